//! A running server: its parts, and the order in which they start and stop.
//!
//! Start: the registry (its lock comes first), the mounts, the listeners, the administration API, the sweep. Stop is the
//! reverse: no new connections and a drain, the administration API with the ingest it runs, the sweep, then the registry.

pub(crate) mod contents;
pub(crate) mod mounter;

use std::time::{Duration, SystemTime};

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_registry::api::{self, Api};
use airdock_registry::server::Server;
use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::admin::handler;
use crate::admin::ingester::Ingester;
use crate::admin::server::Listener;
use mounter::Mounted;

/// How often expired uploads are removed.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// How long an ingest may take to stop. One that takes longer ends with the process, as in a crash: nothing of it is
/// visible.
const NOTICE: Duration = Duration::from_secs(5);

/// A server that listens and does not answer yet.
pub(crate) struct App {
    pub(crate) registry: Registry,
    pub(crate) server: Server,
    pub(crate) admin: Vec<Listener>,
    pub(crate) ingester: Ingester,
    api: api::Settings,
    pub(crate) mounted: Mounted,
}

impl App {
    /// Opens the data folder, mounts the media, and listens.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        // An invalid key stops the start, not the first bundle.
        let trusted = airdock_sync::ingest::check_keys(&config.ingest)?;
        if !trusted.is_empty() {
            tracing::info!("only bundles signed by {} are ingested", trusted.join(" or "));
        }
        let registry = Registry::open(config.registry.clone())
            .await
            .with_context(|| format!("cannot open the data folder `{}`", config.registry.data.display()))?;
        let mounted = mounter::mount(&registry, config).await?;
        let server = Server::bind(config.server.clone()).await.context("cannot listen")?;
        let mut admin = Vec::new();
        match Listener::unix(registry.data()) {
            Ok(socket) => admin.push(socket),
            // Serving does not depend on it.
            Err(error) => {
                tracing::warn!(%error, "no administration socket: `ingest`, `ls` and the other commands need this server to be stopped");
            }
        }
        if let Some(address) = config.admin_listen {
            let listener = Listener::tcp(address).await;
            admin.push(listener.with_context(|| format!("cannot listen for administration on `{address}`"))?);
        }
        let ingester = Ingester::new(registry.clone(), config);
        Ok(Self { registry, server, admin, ingester, api: config.server.api(), mounted })
    }

    /// Serves until `stop`, and stops its parts in order.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { registry, server, admin, ingester, api, mounted } = self;
        let _reading = (!mounted.lines.is_empty()).then(|| mounter::verify(registry.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(registry.clone(), stop.clone()));
        for listener in admin {
            let ingester = ingester.clone();
            let handle = move |peer, request| handler::handle(ingester.clone(), peer, request);
            tasks.spawn(listener.serve(handle, stop.clone()));
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

/// Removes expired uploads, now and every hour.
async fn sweep(registry: Registry, stop: CancellationToken) {
    let mut clock = tokio::time::interval(SWEEP);
    // After a suspend, one sweep makes up for those that were missed.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(clock.tick()).await.is_some() {
        match registry.sweep_uploads(SystemTime::now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed expired uploads"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the upload sweep failed"),
        }
    }
}
