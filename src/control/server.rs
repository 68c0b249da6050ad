//! The side that has the data folder.

use std::convert::Infallible;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use airdock_registry::Registry;
use airdock_sync::ingest::{Event, Input};
use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::{Answer, IngestRequest, Line, MAX_REQUEST, RequestedInput};
use crate::ingester::{Ingester, Wish};
use crate::request::Parts;
use crate::user;

/// Commands connected at once; all but one of them wait for their turn anyway.
const MAX_CLIENTS: usize = 16;

/// Events on their way to a client.
const QUEUE: usize = 64;

/// A client that takes nothing for this long is told no more events, so that it cannot hold up the ingest.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a client hears of bytes.
const PACE: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The socket, while there is one.
pub(crate) struct Control {
    listener: UnixListener,
    address: Address,
}

impl Control {
    /// Makes the socket in a data folder whose lock the caller has.
    ///
    /// # Errors
    /// The folder cannot be written, or its file system has no sockets.
    pub(crate) fn bind(data: &Path) -> io::Result<Self> {
        let address = Address::of(data)?;
        match std::fs::remove_file(address.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(address.path())?)?;
        // Between binding and listening nobody can connect: there is no moment in which the mode is too wide.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(address.path(), mode)?;
        rustix::net::listen(&socket, MAX_CLIENTS as i32)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, address })
    }

    /// Answers until told to stop; what is under way then is broken off.
    pub(crate) async fn serve(self, ingester: Ingester, registry: Registry, stop: CancellationToken) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = clients.join_next() => {}
                accepted = self.listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                    Ok((stream, _)) => {
                        clients.spawn(serve_one(stream, ingester.clone(), registry.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the control socket cannot accept");
                        // Out of descriptors, most likely: trying again at once would only spin.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        clients.shutdown().await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Dropped before the folder's lock is: what is removed here is this process's own socket.
        let _ = std::fs::remove_file(self.address.path());
    }
}

async fn serve_one(stream: UnixStream, ingester: Ingester, registry: Registry) {
    // By whom the system says it is connected to, whatever is asked.
    let by = stream.peer_cred().map_or_else(|_| "unknown".to_owned(), |peer| user::name(peer.uid()));
    let service = service_fn(move |request| {
        let (ingester, registry, by) = (ingester.clone(), registry.clone(), by.clone());
        async move { Ok::<_, Infallible>(answer(request, ingester, registry, by).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        // A command that was interrupted looks like this.
        tracing::debug!(%error, "a control connection broke");
    }
}

async fn answer(request: Request<Incoming>, ingester: Ingester, registry: Registry, by: String) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/ingest") => {
            let streams = |request: &IngestRequest| request.inputs.contains(&RequestedInput::Stream);
            match read_request(request.into_body(), streams).await {
                Ok((request, rest)) => ingest(request, rest, ingester, by),
                Err(problem) => plain(StatusCode::BAD_REQUEST, problem),
            }
        }
        (&Method::POST, "/request") => match read_request(request.into_body(), |_| false).await {
            Ok((request, _)) => execute(crate::request::Request::asked_by(request, by), registry),
            Err(problem) => plain(StatusCode::BAD_REQUEST, problem),
        },
        _ => plain(StatusCode::NOT_FOUND, "no such request on the control socket".to_owned()),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Reads the request's line; whatever else has come already belongs to the stream, if the request `streams`.
async fn read_request<T: DeserializeOwned>(
    mut body: Incoming,
    streams: impl FnOnce(&T) -> bool,
) -> Result<(T, Streamed), String> {
    let mut line = Vec::new();
    loop {
        let Some(frame) = body.frame().await else { return Err("the request has no end of line".to_owned()) };
        let Ok(mut bytes) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.split_to(end.unwrap_or(bytes.len()));
        if line.len() + part.len() > MAX_REQUEST {
            return Err(format!("the request is longer than {MAX_REQUEST} bytes"));
        }
        line.extend_from_slice(&part);
        if end.is_some() {
            bytes.advance(1);
            let request = serde_json::from_slice(&line)
                .map_err(|error| format!("not a request of this version: {error}; stop the server to do without it"))?;
            let mut rest = Streamed { body, unread: bytes, runtime: Handle::current() };
            // Only of a request that was read to its end does hyper notice at once that the client has gone.
            if !streams(&request) && rest.has_more().await {
                return Err("the request goes on after its line and asks for no stream".to_owned());
            }
            return Ok((request, rest));
        }
    }
}

/// The rest of a request's body, for a thread that may block.
struct Streamed {
    body: Incoming,
    unread: Bytes,
    runtime: Handle,
}

impl Streamed {
    /// Whether there is anything to read; waits until that is known.
    async fn has_more(&mut self) -> bool {
        while self.unread.is_empty() {
            match self.body.frame().await {
                Some(Ok(frame)) => self.unread = frame.into_data().unwrap_or_default(),
                Some(Err(_)) | None => return false,
            }
        }
        true
    }
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(frame) => {
                    if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
                        self.unread = bytes;
                    }
                }
            }
        }
        let read = self.unread.len().min(buffer.len());
        self.unread.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// Starts an ingest that lives as long as its answer: a client that hangs up stops it.
fn ingest(request: IngestRequest, rest: Streamed, ingester: Ingester, by: String) -> Response<Body> {
    let mut rest = Some(rest);
    let mut inputs = Vec::new();
    for input in request.inputs {
        match (input, rest.take()) {
            (RequestedInput::Path(path), kept) => {
                rest = kept;
                inputs.push(Input::Path(path));
            }
            (RequestedInput::Stream, Some(stream)) => {
                inputs.push(Input::Stream(Box::new(stream), "standard input".to_owned()));
            }
            (RequestedInput::Stream, None) => {
                return plain(StatusCode::BAD_REQUEST, "there is one standard input, not two".to_owned());
            }
        }
    }
    let (sender, events) = mpsc::channel(QUEUE);
    let teller = Teller::new(sender, Handle::current());
    let IngestRequest { strict, naming, on_conflict, keys, inventory, .. } = request;
    let wish = Wish { strict, naming, on_conflict, keys, inventory, by };
    let work = async move { ingester.run(inputs, wish, move |event| teller.tell(event)).await };
    answer_in_lines(work, events, Answer::Event, Answer::Ended)
}

/// Starts a request that lives as long as its answer: a client that hangs up stops it.
fn execute(request: crate::request::Request, registry: Registry) -> Response<Body> {
    let (parts, coming) = Parts::channel();
    let work = async move { crate::request::execute(&registry, request, &parts).await };
    answer_in_lines(work, coming, Line::Part, Line::Ended)
}

/// An answer of one line for each part, and one for the outcome.
fn answer_in_lines<P, O, L>(
    work: impl Future<Output = O> + Send + 'static,
    parts: mpsc::Receiver<P>,
    part: fn(P) -> L,
    ended: fn(O) -> L,
) -> Response<Body>
where
    P: Send + 'static,
    O: 'static,
    L: Serialize + 'static,
{
    let lines = stream::unfold(Some((Box::pin(work), parts)), move |running| async move {
        let (mut work, mut parts) = running?;
        let mut lines = Vec::new();
        let running = tokio::select! {
            Some(next) = parts.recv() => {
                push_line(&mut lines, &part(next));
                Some((work, parts))
            }
            outcome = &mut work => {
                // What was told before the end, but not yet taken, comes before it.
                while let Ok(left) = parts.try_recv() {
                    push_line(&mut lines, &part(left));
                }
                push_line(&mut lines, &ended(outcome));
                None
            }
        };
        Some((Ok(Frame::data(Bytes::from(lines))), running))
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

fn push_line(lines: &mut Vec<u8>, line: &impl Serialize) {
    // Into memory, of types whose keys are text: nothing can fail.
    let _ = serde_json::to_writer(&mut *lines, line);
    lines.push(b'\n');
}

/// Hands events from the ingest's thread to the connection, bytes at a measured pace.
struct Teller {
    runtime: Handle,
    state: Mutex<TellerState>,
}

struct TellerState {
    sender: Option<mpsc::Sender<Event>>,
    untold: u64,
    told_at: Instant,
}

impl Teller {
    fn new(sender: mpsc::Sender<Event>, runtime: Handle) -> Self {
        let state = TellerState { sender: Some(sender), untold: 0, told_at: Instant::now() };
        Self { runtime, state: Mutex::new(state) }
    }

    fn tell(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Event::Advanced { bytes } = event {
            state.untold = state.untold.saturating_add(bytes);
            if state.told_at.elapsed() < PACE {
                return;
            }
        } else {
            self.send_untold(&mut state);
            self.send(&mut state, event);
            return;
        }
        self.send_untold(&mut state);
    }

    fn send_untold(&self, state: &mut TellerState) {
        let bytes = std::mem::take(&mut state.untold);
        if bytes > 0 {
            state.told_at = Instant::now();
            self.send(state, Event::Advanced { bytes });
        }
    }

    fn send(&self, state: &mut TellerState, event: Event) {
        let Some(sender) = &state.sender else { return };
        let sent = self.runtime.block_on(sender.send_timeout(event, PATIENCE));
        if sent.is_err() {
            state.sender = None;
        }
    }
}
