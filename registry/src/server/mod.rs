//! The HTTP server: sockets, TLS, deadlines, sending files, and graceful shutdown.
//!
//! Serves any `tower` service. Invariants: a connection has a deadline in every phase, every resource has a limit, and a
//! response whose body cannot be completed aborts the connection instead of ending it cleanly. All it knows of the
//! registry is how response bodies ask for files to be sent ([`api::Arrival`](crate::api::Arrival)).

mod connection;
mod deadlines;
mod drain;
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
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

pub use error::{ServerError, TlsError};
pub use settings::{Limits, Settings, TlsFiles};

use crate::api::BoxError;
use connection::Common;
use drain::Drain;

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
        Ok(Self { listeners, addresses, tls, limits: settings.limits })
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
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { listeners, tls, limits, .. } = self;
        // Stops the listeners when this future is dropped, too.
        let stopping = shutdown.child_token();
        let _dropped = stopping.clone().drop_guard();
        let drain = Drain::new(stopping.clone());
        let permits = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let wait = limits.drain;
        let common = Arc::new(Common::new(service, tls, limits));
        let taking = listeners.into_iter().map(|listener| {
            let (common, drain) = (&common, &drain);
            listener::accept(listener, permits.clone(), stopping.clone(), move |tcp, permit| {
                let (common, stop) = (common.clone(), drain.stop());
                let number = CONNECTIONS.fetch_add(1, Relaxed);
                drain.connections().spawn(async move {
                    connection::serve(tcp, number, common, stop).await;
                    drop(permit);
                });
            })
        });
        futures_util::future::join_all(taking).await;
        drain.finish(wait).await;
        Ok(())
    }
}
