//! Ingests on behalf of whoever asks: the command itself, a bundle given to `serve`, the control socket.
//!
//! Invariant: one ingest at a time; the others wait their turn. The work is blocking and has its own thread.

use std::path::PathBuf;
use std::sync::Arc;

use airdock_config::Config;
use airdock_registry::{OnConflict, Registry};
use airdock_sync::ingest::{self, Cancel, Event, IngestError, Input, Naming, Report, Settings};
use airdock_sync::publish::PublishRules;
use tokio::sync::Mutex;

/// How somebody wants a bundle to be taken in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// Whether one bad item keeps everything out, also if the settings would not have it so.
    pub(crate) strict: bool,
    /// What to call content that does not say its name.
    pub(crate) naming: Naming,
    /// What becomes of tags that somebody pushed, if not what the settings say.
    pub(crate) on_conflict: Option<OnConflict>,
    /// Keys one of which has to have signed it, if the settings have none.
    pub(crate) keys: Vec<PathBuf>,
    /// The inventory of all of it, if none of those inside is to count.
    pub(crate) inventory: Option<PathBuf>,
    /// Whose wish it is.
    pub(crate) by: String,
}

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
        wish: Wish,
        progress: impl Fn(Event) + Send + 'static,
    ) -> Result<Report, IngestError> {
        let turn = self.turn.clone().lock_owned().await;
        let cancel = Cancel::default();
        let _stops_when_dropped = StopOnDrop(cancel.clone());
        let (registry, publish) = (self.registry.clone(), self.publish.clone());
        let mut settings = self.settings.clone();
        settings.strict |= wish.strict;
        settings.precedence.on_conflict = wish.on_conflict.unwrap_or(settings.precedence.on_conflict);
        settings.by = wish.by;
        settings.naming = wish.naming;
        // Whoever asks can ask for a signature, and cannot choose whose where that is settled.
        if settings.trust.keys.is_empty() {
            settings.trust.keys = wish.keys;
        }
        settings.trust.inventory = wish.inventory;
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
