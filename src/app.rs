//! Wires the rooms into a running server, and owns the order in which they start and stop.
//!
//! Start: the registry (its lock comes first), what is mounted, the listeners, the control socket, the sweep. Stop, the other way round:
//! no new connections and a drain, the control socket and whatever ingest it runs, the sweep, then the registry.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_registry::api::{self, Api};
use airdock_registry::server::Server;
use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::ingester::Ingester;
use crate::mounter::{self, Mounted};

/// How often uploads nobody goes on with are looked for.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// How long an ingest may take to notice that it is to stop. What does not notice ends with the process, as it would
/// at a crash: nothing of it is visible.
const NOTICE: Duration = Duration::from_secs(5);

/// Everything a server consists of, listening but not yet answering.
pub(crate) struct App {
    registry: Registry,
    server: Server,
    control: Option<Control>,
    ingester: Ingester,
    api: api::Settings,
    mounted: Mounted,
}

impl App {
    /// Opens the data folder, mounts what is to be mounted, and listens.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        // Said at the start, and not of the first bundle.
        let trusted = airdock_sync::ingest::check_keys(&config.ingest)?;
        if !trusted.is_empty() {
            tracing::info!("only bundles signed by {} go in", trusted.join(" or "));
        }
        let registry = Registry::open(config.registry.clone())
            .await
            .with_context(|| format!("cannot open the data folder `{}`", config.registry.data.display()))?;
        let mounted = mounter::mount(&registry, config).await?;
        let server = Server::bind(config.server.clone()).await.context("cannot listen")?;
        let control = Control::bind(registry.data())
            .inspect_err(|error| {
                // Serving does not depend on it; the commands that do say how else to go about it.
                tracing::warn!(%error, "no control socket: `ingest`, `ls` and the other commands need this server to be stopped");
            })
            .ok();
        let ingester = Ingester::new(registry.clone(), config);
        Ok(Self { registry, server, control, ingester, api: config.server.limits.api(), mounted })
    }

    /// Where it listens, in the order asked for.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &str {
        self.server.scheme()
    }

    /// What became of the media that were to be served in place.
    pub(crate) const fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    /// The registry it serves.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What takes bundles into it.
    pub(crate) fn ingester(&self) -> &Ingester {
        &self.ingester
    }

    /// Serves until told to stop, and stops in order.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { registry, server, control, ingester, api, mounted } = self;
        let _reading = (!mounted.lines.is_empty()).then(|| mounter::verify(registry.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(registry.clone(), stop.clone()));
        if let Some(control) = control {
            tasks.spawn(control.serve(ingester.clone(), registry.clone(), stop.clone()));
        }
        let api = Api::new(registry.clone(), api);
        let served = server.serve(api, stop.clone()).await.context("the server failed");
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        if tokio::time::timeout(NOTICE, ingester.idle()).await.is_err() {
            tracing::warn!("an ingest did not stop in time and ends with the process; nothing of it is visible");
        }
        let closed = registry.close().await.context("cannot close the registry");
        served.and(closed)
    }
}

/// Removes uploads nobody goes on with, now and every hour.
async fn sweep(registry: Registry, stop: CancellationToken) {
    let mut clock = tokio::time::interval(SWEEP);
    // After a suspended machine wakes up, one sweep is as good as the missed ones.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(clock.tick()).await.is_some() {
        match registry.sweep_uploads(SystemTime::now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed uploads nobody went on with"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the upload sweep failed"),
        }
    }
}
