//! `airdock serve`: listen, say so, take in the bundles given, and go when told.

use std::path::PathBuf;

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::Input;
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::app::App;
use crate::contents::{Address, Contents};
use crate::exit::Exit;
use crate::ingester::{Ingester, Wish};
use crate::output;
use crate::progress::Progress;
use crate::report;
use crate::user;

pub(crate) fn run(config: Config) -> anyhow::Result<Exit> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config));
    // Everything that matters is closed; a thread that is still reading a bundle is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config) -> anyhow::Result<Exit> {
    // Before anything else: a signal during the start is a signal to stop.
    let mut signals = Signals::listen()?;
    let app = tokio::select! {
        app = App::start(&config) => app?,
        () = signals.next() => return Ok(Exit::Done),
    };
    for address in app.addresses() {
        output::line(format_args!(
            "airdock serves {}://{address} from {}",
            app.scheme(),
            config.registry.data.display()
        ));
    }
    for line in &app.mounted().lines {
        output::line(line);
    }
    let stop = CancellationToken::new();
    let compressed = &app.mounted().compressed;
    let copies = if config.mount.copy { &config.mount.paths } else { compressed }.clone();
    let greeter = Greeter {
        registry: app.registry().clone(),
        ingester: app.ingester().clone(),
        address: app.addresses().first().map(|address| Address::of(*address, app.scheme())),
        bundles: config.bundles,
        is_mounted: !app.mounted().lines.is_empty(),
        copies,
    };
    let greeting = tokio::spawn(stop.clone().run_until_cancelled_owned(greeter.greet()));
    let outcome = run_until_told(app, &mut signals, &stop).await;
    greeting.abort();
    outcome
}

/// Serves; the first signal drains, the second ends it where it stands.
async fn run_until_told(app: App, signals: &mut Signals, stop: &CancellationToken) -> anyhow::Result<Exit> {
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

/// The signals that ask a server to stop.
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

/// Takes in the bundles a server was started with, and tells the person who started it what there is.
struct Greeter {
    registry: Registry,
    ingester: Ingester,
    address: Option<Address>,
    bundles: Vec<PathBuf>,
    is_mounted: bool,
    /// Media that are taken into the store while they are served, or because they cannot be served from where they lie.
    copies: Vec<PathBuf>,
}

impl Greeter {
    async fn greet(self) {
        // What is mounted can be pulled now, and taking something in may last.
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
                output::text(format_args!("{}{commands}", contents.describe()));
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot list what there is"),
        }
    }

    async fn ingest(&self, bundles: &[PathBuf]) {
        let inputs = bundles.iter().cloned().map(Input::Path).collect();
        let progress = Progress::log();
        let wish = Wish { by: user::own(), ..Wish::default() };
        match self.ingester.run(inputs, wish, move |event| progress.show(&event)).await {
            Ok(report) => output::text(report::render(&report)),
            // What was there before is served all the same: a disc that was taken out must not stop a cluster's pulls.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the bundle did not go in"),
        }
    }
}
