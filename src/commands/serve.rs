//! `airdock serve`: listens, announces its addresses, ingests the bundles it was given, and stops on a signal.

use std::path::PathBuf;

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::{Input, Settings};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::worker::runtime;
use crate::admin::authorise::Peer;
use crate::admin::ingester::Ingester;
use crate::admin::server::Listener;
use crate::app::App;
use crate::app::contents::{Address, Contents};
use crate::exit::Exit;
use crate::view::progress::Progress;
use crate::view::{report, text};

pub(crate) fn run(config: Config) -> anyhow::Result<Exit> {
    raise_descriptors();
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config));
    // The registry is closed; a thread that is still reading a bundle is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Allows the process as many open files as the system lets it: the usual limit is for programs that cannot have more.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, most)
    {
        tracing::warn!(%error, limit = limit.current, "cannot raise the limit of open files");
    }
}

/// Prints where standard output may not be read: that must not hold a thread that serves.
async fn print(text: String) {
    let _ = tokio::task::spawn_blocking(move || text::text(text)).await;
}

async fn serve(config: Config) -> anyhow::Result<Exit> {
    // First of all, so that a signal during the start stops it.
    let mut signals = Signals::listen()?;
    let app = tokio::select! {
        app = App::start(&config) => app?,
        () = signals.next() => return Ok(Exit::Done),
    };
    let (addresses, scheme) = (app.server.addresses(), app.server.scheme());
    for address in addresses {
        text::line(format_args!("airdock serves {scheme}://{address} from {}", config.registry.data.display()));
    }
    for address in app.admin.iter().filter_map(Listener::address) {
        text::line(format_args!("administration API on http://{address}/admin/v1/"));
    }
    app.mounted.lines.iter().for_each(text::line);
    let stop = CancellationToken::new();
    let copies = if config.mount.copy { &config.mount.paths } else { &app.mounted.compressed }.clone();
    let greeter = Greeter {
        registry: app.registry.clone(),
        ingester: app.ingester.clone(),
        address: addresses.first().map(|address| Address::of(*address, scheme)),
        bundles: config.bundles,
        is_mounted: !app.mounted.lines.is_empty(),
        copies,
    };
    let greeting = tokio::spawn(stop.clone().run_until_cancelled_owned(greeter.greet()));
    let outcome = run_until_signalled(app, &mut signals, &stop).await;
    greeting.abort();
    outcome
}

/// Serves until a first signal, which drains; a second one stops at once.
async fn run_until_signalled(app: App, signals: &mut Signals, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let served = app.run(stop.clone());
    tokio::pin!(served);
    tokio::select! {
        outcome = &mut served => return outcome.map(|()| Exit::Done),
        () = signals.next() => {}
    }
    tracing::info!("stopping: no new connections, answers under way are finished; a second signal stops at once");
    stop.cancel();
    tokio::select! {
        outcome = &mut served => outcome.map(|()| Exit::Done),
        () = signals.next() => {
            tracing::warn!("stopped at once by a second signal");
            Ok(Exit::Failed)
        }
    }
}

/// The signals that stop a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ingests the bundles a server was started with, and prints what there is to pull.
struct Greeter {
    registry: Registry,
    ingester: Ingester,
    address: Option<Address>,
    bundles: Vec<PathBuf>,
    is_mounted: bool,
    /// Mounted media to ingest too: for `--copy`, or because they cannot be served in place.
    copies: Vec<PathBuf>,
}

impl Greeter {
    async fn greet(self) {
        // Mounted content can be pulled now, before a long ingest ends.
        if self.is_mounted {
            self.describe().await;
        }
        if !self.bundles.is_empty() {
            self.ingest(&self.bundles).await;
        }
        for copy in &self.copies {
            self.ingest(std::slice::from_ref(copy)).await;
        }
        if !self.is_mounted || !self.bundles.is_empty() {
            self.describe().await;
        }
    }

    async fn describe(&self) {
        match Contents::of(&self.registry).await {
            Ok(contents) => {
                let commands = self.address.as_ref().map(|address| contents.commands(address)).unwrap_or_default();
                print(format!("{}{commands}", contents.describe())).await;
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot list what there is"),
        }
    }

    async fn ingest(&self, bundles: &[PathBuf]) {
        let inputs = bundles.iter().cloned().map(Input::Path).collect();
        let progress = Progress::log();
        let settings = Settings { by: Peer::own().name(), ..self.ingester.config.ingest.clone() };
        match self.ingester.run(inputs, settings, move |event| progress.show(&event)).await {
            Ok(report) => print(report::render(&report).to_string()).await,
            // The server goes on with what it has: a disc that was removed must not stop a cluster's pulls.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the bundle did not go in"),
        }
    }
}
