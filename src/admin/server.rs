//! One HTTP/1.1 server for a Unix socket or a TCP address. Knows no endpoints: it accepts, limits, and hands each request
//! to a handler together with its [`Peer`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::authorise::Peer;
use super::patient::Patient;

/// Connections at once; more wait in the system's queue.
const MAX_CLIENTS: usize = 16;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// How long a client that was answered may go on sending.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client may read nothing of its answer: a person who scrolls through a list needs minutes.
const STALLED: Duration = Duration::from_secs(10 * 60);

/// Somewhere to listen.
pub(crate) enum Listener {
    /// The administration socket, removed on drop.
    Unix { listener: UnixListener, _file: SocketFile },
    /// A TCP address.
    Tcp(TcpListener),
}

/// The socket's file.
pub(crate) struct SocketFile(Address);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Dropped before the folder's lock is released, so the file is this process's own.
        let _ = std::fs::remove_file(&self.0.path);
    }
}

impl Listener {
    /// Creates the administration socket in a data folder whose lock the caller holds. Only that process creates it, so a
    /// socket that is there already is stale.
    pub(crate) fn unix(data: &Path) -> io::Result<Self> {
        let address = Address::of(data)?;
        match std::fs::remove_file(&address.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(&address.path)?)?;
        let file = SocketFile(address);
        // Connections are refused between bind and listen, so the mode is never too wide.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file.0.path, mode)?;
        rustix::net::listen(&socket, MAX_CLIENTS as i32)?;
        Ok(Self::Unix { listener: UnixListener::from_std(socket.into())?, _file: file })
    }

    /// Listens on a TCP address.
    pub(crate) async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// The TCP address, with the port that was chosen for port 0.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix { .. } => None,
            Self::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// Serves until `stop`; requests in progress are cut off then.
    pub(crate) async fn serve<H, F, B>(self, handler: H, stop: CancellationToken)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error = Infallible> + Send + 'static,
    {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = clients.join_next() => {}
                accepted = self.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                    Ok((stream, peer)) => {
                        clients.spawn(serve_one(stream, peer, handler.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the administration API cannot accept a connection");
                        // Most likely out of file descriptors: an immediate retry would spin.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        clients.shutdown().await;
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::Local(stream.peer_cred().ok().map(|peer| peer.uid()));
                Ok((Box::new(stream), peer))
            }
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Remote(address)))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn serve_one<H, F, B>(stream: Box<dyn Stream>, peer: Peer, handler: H)
where
    H: Fn(Peer, Request<Incoming>) -> F + Send,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data: Send, Error = Infallible> + Send + 'static,
{
    let service = service_fn(move |request| handler(peer, request).map(Ok::<_, Infallible>));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // An idle connection would take one of the few places.
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, STALLED)), service)
        .without_shutdown()
        .await;
    match served {
        Ok(parts) => {
            // A bundle may be refused while it is still being sent. If the connection were closed now, the client would
            // fail on its next write, before it reads the answer.
            let mut stream = parts.io.into_inner();
            let _ = stream.shutdown().await;
            let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
        }
        // Also what a command that was interrupted looks like.
        Err(error) => tracing::debug!(%error, "a connection to the administration API broke"),
    }
}
