//! Runs ingests into one registry, for a command, for `serve --bundle`, and for the administration API.
//!
//! Invariant: one ingest at a time; the others wait for their turn. The work blocks and has a thread of its own.

use std::sync::Arc;

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::{self, Cancel, Event, IngestError, Input, Report, Settings};
use tokio::sync::Mutex;

/// Ingests into one registry. A cheap handle.
#[derive(Clone)]
pub(crate) struct Ingester {
    pub(crate) registry: Registry,
    pub(crate) config: Arc<Config>,
    turn: Arc<Mutex<()>>,
}

impl Ingester {
    pub(crate) fn new(registry: Registry, config: &Config) -> Self {
        Self { registry, config: Arc::new(config.clone()), turn: Arc::default() }
    }

    /// Waits until no ingest is running.
    pub(crate) async fn idle(&self) {
        drop(self.turn.lock().await);
    }

    /// Ingests, calling `progress` for each event.
    /// Dropping the future asks the ingest to stop, which it does within one read; nothing of it becomes visible.
    pub(crate) async fn run(
        &self,
        inputs: Vec<Input>,
        settings: Settings,
        progress: impl Fn(Event) + Send + 'static,
    ) -> Result<Report, IngestError> {
        let turn = self.turn.clone().lock_owned().await;
        let cancel = Cancel::default();
        let _stops_when_dropped = StopOnDrop(cancel.clone());
        let (registry, config) = (self.registry.clone(), self.config.clone());
        let work = tokio::task::spawn_blocking(move || {
            // The turn ends with the thread, not with the future: a client that hangs up does not end the thread.
            let _turn = turn;
            ingest::ingest_until(&cancel, &registry, &config.publish, inputs, &settings, &progress)
        });
        work.await.unwrap_or_else(|_| {
            let message = "a defect ended the ingest; standard error says where".to_owned();
            Err(IngestError::Registry { message })
        })
    }
}

struct StopOnDrop(Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
