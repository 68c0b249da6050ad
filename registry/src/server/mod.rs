//! The listener: sockets, TLS, deadlines, the sending of files, and the drain.
//!
//! Serves any `tower` service; what is asked and answered is not its business. Invariants: every connection has a
//! deadline in every state, every count has a bound, and a connection whose body cannot be finished is aborted, never
//! ended as if it were whole. Knows nothing of the registry but how its bodies ask for files to be sent
//! ([`api::Arrival`](crate::api::Arrival)).

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

/// Connections, counted over all servers of the process so that each has one name in the log.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// A server that listens and does not answer yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Server {
    /// Reads the certificate and listens on every address. Connections wait from now on.
    ///
    /// # Errors
    /// [`ServerError`] naming the address or the file that is of no use.
    #[allow(clippy::unused_async, reason = "sockets are registered with the runtime, which must be there")]
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

    /// Where it listens, in the order asked for, with the ports that were found free.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `shutdown`, then lets the requests that run finish, for as long as the limits say.
    ///
    /// # Errors
    /// None at present: what goes wrong on a connection ends that connection.
    ///
    /// # Cancel safety
    /// Dropped, it stops listening and cuts every connection at once.
    pub async fn serve<S, B>(self, service: S, shutdown: CancellationToken) -> Result<(), ServerError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { listeners, tls, limits, .. } = self;
        // Ends the listeners when this is dropped, too.
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
