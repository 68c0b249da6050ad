//! Graceful shutdown: no new connections, running requests may finish, and what is left at the deadline is aborted.

use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that must end before the server is stopped.
#[derive(Debug)]
pub(super) struct Drain {
    graceful: GracefulShutdown,
    stopping: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
}

impl Drop for Drain {
    /// Aborts every connection when the server's future is dropped.
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

/// How a connection learns of the shutdown.
pub(super) struct Stop {
    /// Asks HTTP to finish the running requests.
    pub(super) watcher: Watcher,
    /// Cancelled when the server accepts no more connections.
    pub(super) stopping: CancellationToken,
    /// Cancelled when the deadline has passed.
    pub(super) cut: CancellationToken,
}

impl Drain {
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self {
            graceful: GracefulShutdown::new(),
            stopping,
            cut: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    pub(super) fn stop(&self) -> Stop {
        Stop { watcher: self.graceful.watcher(), stopping: self.stopping.clone(), cut: self.cut.clone() }
    }

    pub(super) const fn connections(&self) -> &TaskTracker {
        &self.connections
    }

    /// Waits up to `limit` for the connections to finish, then aborts the rest.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.connections.close();
        let finished = async {
            std::mem::take(&mut self.graceful).shutdown().await;
            // Connections that never reached HTTP.
            self.connections.wait().await;
        };
        if tokio::time::timeout(limit, finished).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "aborting connections that did not finish in time");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}
