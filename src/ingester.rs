//! Ingests on behalf of whoever asks: the command itself, a bundle given to `serve`, the control socket.
//!
//! Invariant: one ingest at a time; the others wait their turn. The work is blocking and has its own thread.

use std::sync::Arc;

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::{self, Cancel, Event, IngestError, Input, Naming, Report, Settings};
use airdock_sync::publish::PublishRules;
use tokio::sync::Mutex;

/// Takes bundles into one registry. A cheap handle.
#[derive(Clone)]
pub(crate) struct Ingester {
    registry: Registry,
    publish: Arc<PublishRules>,
    settings: Settings,
    turn: Arc<Mutex<()>>,
}

impl Ingester {
    pub(crate) fn new(registry: Registry, config: &Config) -> Self {
        Self {
            registry,
            publish: Arc::new(config.publish.clone()),
            settings: config.ingest.clone(),
            turn: Arc::default(),
        }
    }

    /// Whether one bad item keeps a whole bundle out unless asked otherwise.
    pub(crate) fn is_strict(&self) -> bool {
        self.settings.strict
    }

    /// Waits until no ingest is running.
    pub(crate) async fn idle(&self) {
        drop(self.turn.lock().await);
    }

    /// Ingests, telling `progress` as it goes.
    ///
    /// # Cancel safety
    /// Dropping the future asks the ingest to stop, which it does within one read; nothing of it becomes visible.
    ///
    /// # Errors
    /// Why nothing went in. What was refused item by item is in the report.
    pub(crate) async fn run(
        &self,
        inputs: Vec<Input>,
        strict: bool,
        naming: Naming,
        progress: impl Fn(Event) + Send + 'static,
    ) -> Result<Report, IngestError> {
        let turn = self.turn.clone().lock_owned().await;
        let cancel = Cancel::default();
        let _stops_when_dropped = StopOnDrop(cancel.clone());
        let (registry, publish) = (self.registry.clone(), self.publish.clone());
        let settings = Settings { strict, naming, ..self.settings.clone() };
        let work = tokio::task::spawn_blocking(move || {
            // The turn is over when the thread is done, not when whoever asked has gone.
            let _turn = turn;
            ingest::ingest_until(&cancel, &registry, &publish, inputs, &settings, &progress)
        });
        work.await.unwrap_or_else(|panic| {
            Err(IngestError::Registry { message: format!("the ingest came upon a defect of its own: {panic}") })
        })
    }
}

struct StopOnDrop(Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
