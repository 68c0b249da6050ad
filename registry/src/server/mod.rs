//! The HTTP server: sockets, TLS, deadlines, sending files, and graceful shutdown.
//!
//! Serves any `tower` service. Invariants: a connection has a deadline in every phase, every resource has a limit, and a
//! response whose body cannot be completed aborts the connection instead of ending it cleanly. All it knows of the
//! registry is how response bodies ask for files to be sent ([`api::Arrival`](crate::api::Arrival)).

mod connection;
mod connections;
mod deadlines;
mod error;
mod io;
mod listener;
mod sendfile;
mod settings;
mod stack;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

pub use error::{ServerError, TlsError};
pub use settings::{Limits, Settings, TlsFiles};

use crate::api::BoxError;
use crate::api::body::Budget;
use connection::Common;
use connections::Connections;

#[cfg(test)]
mod tests;

/// Counts connections over all servers of the process, so that each has a unique number in the log.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// A server that listens but does not serve yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Server {
    /// Reads the certificate and listens on every address. From now on the system queues connections.
    ///
    /// # Errors
    /// [`ServerError`], which names the address or file that cannot be used.
    #[allow(clippy::unused_async, reason = "registering sockets needs a runtime")]
    pub async fn bind(settings: Settings) -> Result<Self, ServerError> {
        if settings.listen.is_empty() {
            return Err(ServerError::NoAddress);
        }
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for &address in &settings.listen {
            let listener = listener::listen(address, &settings.listen, settings.limits.stall)?;
            addresses.push(listener.local_addr().map_err(|source| ServerError::Listen { address, source })?);
            listeners.push(listener);
        }
        let mut limits = settings.limits;
        limits.connections = affordable(limits.connections);
        Ok(Self { listeners, addresses, tls, limits })
    }

    /// The addresses it listens on, in the configured order, with the actual port where 0 was configured.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `shutdown` is cancelled, then lets running requests finish for up to [`Limits::drain`].
    ///
    /// # Errors
    /// None at present: a failure on a connection ends that connection only.
    ///
    /// # Cancel safety
    /// If dropped, it stops listening and aborts every connection at once.
    pub async fn serve<S, B>(self, service: S, shutdown: CancellationToken) -> Result<(), ServerError>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let Self { listeners, tls, limits, .. } = self;
        let (stopping, cut) = (shutdown.child_token(), CancellationToken::new());
        // If this future is dropped, the listeners stop and every connection is aborted.
        let _dropped = (stopping.clone().drop_guard(), cut.clone().drop_guard());
        let (graceful, connections) = (GracefulShutdown::new(), TaskTracker::new());
        let places = Connections::new(limits.connections);
        let (drain, http) = (limits.drain, connection::http(&limits));
        let (stopped, cut_off, budget) = (stopping.clone(), cut.clone(), Arc::new(Budget::default()));
        let common = Arc::new(Common { service, tls, limits, http, budget, stopping: stopped, cut: cut_off });
        let taking = listeners.into_iter().map(|listener| {
            listener::accept(listener, places.clone(), stopping.clone(), |tcp, activity, place| {
                let (common, watcher) = (common.clone(), graceful.watcher());
                let number = CONNECTIONS.fetch_add(1, Relaxed);
                connections.spawn(async move {
                    connection::serve(tcp, (number, place.client), activity, &common, watcher).await;
                    drop(place);
                });
            })
        });
        futures_util::future::join_all(taking).await;
        connections.close();
        let finished = async {
            graceful.shutdown().await;
            // Connections that never reached HTTP.
            connections.wait().await;
        };
        if tokio::time::timeout(drain, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "aborting connections that did not finish in time");
            cut.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// As many of `wanted` connections as the process has file descriptors for: half of these are for connections, and half for
/// the files they send and receive and for the index, which must never be out of them.
fn affordable(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = limit.and_then(|limit| usize::try_from(limit / 2).ok()).unwrap_or(usize::MAX);
    if wanted > most {
        tracing::warn!(
            "at most {most} connections at once, not {wanted}: the process may have only {} files open (`ulimit -n`)",
            most * 2
        );
    }
    wanted.min(most)
}
