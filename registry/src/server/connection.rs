//! One connection, from accept to close: TLS if configured, HTTP/1.1 or HTTP/2, and the watchdog.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::deadlines::{Activity, missed};
use super::io::{Socket, Watched};
use super::sendfile::{SendfileStream, map};
use super::settings::Limits;
use super::stack::Stack;
use super::tls;
use crate::api::BoxError;
use crate::api::body::{Budget, FileWindows, Share};

/// How many bytes of one HTTP/2 response are buffered until the client takes them.
const HTTP2_SEND_BUFFER: usize = 256 * 1024;

/// The smallest buffer hyper accepts, in bytes.
const MINIMUM_BUFFER: usize = 8192;

/// What all connections of a server share.
pub(super) struct Common<S> {
    pub(super) service: S,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: Limits,
    pub(super) http: auto::Builder<TokioExecutor>,
    /// The memory of answers that are not read.
    pub(super) budget: Arc<Budget>,
    /// Cancelled when the server accepts no more connections.
    pub(super) stopping: CancellationToken,
    /// Cancelled when the time to finish running requests is over.
    pub(super) cut: CancellationToken,
}

/// HTTP/1.1 and HTTP/2 within `limits`.
pub(super) fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        // The watchdog does this: hyper would set and clear a timer for every request.
        .header_read_timeout(None)
        // A client may close its side once it has sent its request.
        .half_close(true)
        .max_buf_size(limits.max_header_bytes.max(MINIMUM_BUFFER));
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle / 3)
        .keep_alive_timeout(limits.first_byte)
        .max_concurrent_streams(limits.max_streams)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    http
}

/// Serves one connection until it closes. Every way it can hang has a deadline.
pub(super) async fn serve<S, B>(
    tcp: TcpStream,
    (number, client): (u64, IpAddr),
    activity: Arc<Activity>,
    common: &Common<S>,
    watcher: Watcher,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let (limits, watched, share) = (&common.limits, activity.clone(), Share::of(&common.budget));
    let stack = |windows| Stack {
        service: common.service.clone(),
        connection: number,
        client: Some(client.to_canonical()),
        activity: activity.clone(),
        windows,
        share: share.clone(),
    };
    let work = async {
        match &common.tls {
            None => {
                let windows = Arc::new(FileWindows::new(map));
                let stream = SendfileStream::new(tcp, windows.clone());
                speak(stream, stack(Some(windows)), common, watcher).await;
            }
            Some(acceptor) => {
                // Aborting a handshake loses nothing.
                let handshake = tokio::time::timeout(limits.first_byte, tls::accept(acceptor, tcp));
                let accepted = tokio::select! {
                    accepted = handshake => accepted,
                    () = common.stopping.cancelled() => return,
                };
                match accepted {
                    Ok(Ok(Some(stream))) => speak(stream, stack(None), common, watcher).await,
                    Ok(Ok(None)) => tracing::debug!(connection = number, "closed: the client does not speak TLS"),
                    Ok(Err(error)) => tracing::debug!(connection = number, %error, "closed: the TLS handshake failed"),
                    Err(_) => tracing::debug!(connection = number, "closed: the TLS handshake timed out"),
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        reason = missed(&watched, &share, limits) => tracing::debug!(connection = number, "closed: {reason}"),
        () = watched.give_way.notified() => tracing::debug!(connection = number, "closed: others need its place"),
        () = common.cut.cancelled() => tracing::debug!(connection = number, "aborted: the server is stopping"),
    }
}

async fn speak<I, S, B>(stream: I, stack: Stack<S>, common: &Common<S>, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Socket + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let number = stack.connection;
    let io = TokioIo::new(Watched::new(stream, stack.activity.clone(), common.limits.max_header_bytes));
    let connection = common.http.serve_connection(io, stack).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // Clients close early as a matter of course: containerd does in the middle of every range it reads in parallel.
        let hung_up = error.downcast_ref::<io::Error>().is_some();
        tracing::debug!(connection = number, %error, hung_up, "closed early");
    }
}
