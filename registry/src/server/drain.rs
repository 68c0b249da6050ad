//! The goodbye: no new connections, the requests that run may finish, and what is left at the deadline is cut.

use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that has to end before the server has.
#[derive(Debug)]
pub(super) struct Drain {
    graceful: GracefulShutdown,
    stopping: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
}

impl Drop for Drain {
    /// Whoever stops waiting for the server stops its connections too.
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

/// How a connection learns of the end.
pub(super) struct Stop {
    /// Asks HTTP to finish what it has begun.
    pub(super) watcher: Watcher,
    /// The server takes nothing new.
    pub(super) stopping: CancellationToken,
    /// The deadline has passed.
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

    /// Waits for the connections to finish, for `limit` at most, then cuts those that are left.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.connections.close();
        let finished = async {
            std::mem::take(&mut self.graceful).shutdown().await;
            // Those that never came to speak HTTP.
            self.connections.wait().await;
        };
        if tokio::time::timeout(limit, finished).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "cutting connections that did not finish in time");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}
