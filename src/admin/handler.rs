//! A request from its head to its response: parse, authorise, one match, one use case.

use std::convert::Infallible;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::authorise::{Peer, authorise};
use super::endpoint::{self, Endpoint};
use super::ingester::Ingester;
use super::operation::{Call, Operation, Running};
use super::operations::{
    ingest::ingest, inspect::inspect, list::list, rebuild::rebuild, releases, remove::remove, verify::verify,
};
use super::wire::{Ingest, JSON, Line, MAX_REQUEST, Verify};
use crate::exit::{Code, Failure};

/// A client that takes nothing for this long gets no more events of an ingest, so that it cannot hold up the next one.
const PATIENCE: Duration = Duration::from_secs(30);

/// The media type of an answer that streams.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers one request.
pub(crate) async fn handle(ingester: Ingester, peer: Peer, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    answer(ingester, peer, request).await.unwrap_or_else(|failure| refusal(&path, failure))
}

async fn answer(ingester: Ingester, peer: Peer, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (head, body) = request.into_parts();
    let endpoint = Endpoint::parse(&head.method, &head.uri)?;
    authorise(peer, &head.headers, &endpoint)?;
    let mut call = Call { ingester, by: peer.name(), stream: None, patience: Some(PATIENCE) };
    match endpoint {
        Endpoint::ListTags { patterns } => {
            read_nothing(body).await?;
            many(list(patterns), call).await
        }
        Endpoint::Ingest => {
            let (body, stream) = read_ingest(body).await?;
            call.stream = Some(Box::new(stream));
            many(ingest(body), call).await
        }
        Endpoint::Remove => many(remove(parsed(&read_all(body).await?)?), call).await,
        Endpoint::Verify => {
            let body = read_all(body).await?;
            many(verify(if body.is_empty() { Verify::default() } else { parsed(&body)? }), call).await
        }
        Endpoint::Inspect { reference } => one(inspect(reference), call, body).await,
        Endpoint::Rebuild => one(rebuild(), call, body).await,
        Endpoint::ListReleases => one(releases::list(), call, body).await,
        Endpoint::ShowRelease { id } => one(releases::show(id), call, body).await,
        Endpoint::RemoveRelease { id } => one(releases::remove(id), call, body).await,
        Endpoint::PinRelease { id, pinned } => one(releases::pin(id, pinned), call, body).await,
        Endpoint::Rollback { to } => one(releases::rollback(to), call, body).await,
    }
}

/// An answer that is one JSON document, to a request without a body.
async fn one<T: Serialize>(operation: Operation<(), T>, call: Call, body: Incoming) -> Result<Answer, Failure> {
    read_nothing(body).await?;
    match Running::new(operation, call).next().await {
        Line::Outcome(outcome) => Ok(document(StatusCode::OK, &outcome)),
        Line::Error(failure) => Err(failure),
        Line::Part(_) => unreachable!("an operation with one answer has no parts"),
    }
}

/// An answer that streams its lines, for as long as the client takes them. What fails before the first line is an error
/// with a status of its own.
async fn many<P, T>(operation: Operation<P, T>, call: Call) -> Result<Answer, Failure>
where
    P: Serialize + Send + 'static,
    T: Serialize + Send + 'static,
{
    let mut running = Running::new(operation, call);
    let first = match running.next().await {
        Line::Error(failure) => return Err(failure),
        first => first,
    };
    let lines = stream::unfold(Some((running, Some(first))), |state| async move {
        let (mut running, first) = state?;
        let line = match first {
            Some(first) => first,
            None => running.next().await,
        };
        let more = matches!(line, Line::Part(_));
        let mut lines = Vec::new();
        push_line(&mut lines, &line);
        while more && lines.len() < 16 << 10 {
            let Some(part) = running.ready() else { break };
            push_line(&mut lines, &Line::<_, ()>::Part(part));
        }
        Some((Ok(Frame::data(Bytes::from(lines))), more.then_some((running, None))))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, LINES);
    Ok(response)
}

fn push_line(lines: &mut Vec<u8>, line: &impl Serialize) {
    // Into memory, of types whose keys are text: this cannot fail.
    let _ = serde_json::to_writer(&mut *lines, line);
    lines.push(b'\n');
}

fn document(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut text = Vec::new();
    push_line(&mut text, value);
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn refusal(path: &str, failure: Failure) -> Answer {
    let status = match failure.code {
        Code::NoSuchEndpoint | Code::NotFound | Code::ReleaseUnknown => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::InvalidRequest | Code::InvalidReference => StatusCode::BAD_REQUEST,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NotARelease | Code::ReleasePinned | Code::ReleaseInEffect | Code::NothingBefore | Code::NoneInEffect => {
            StatusCode::CONFLICT
        }
        Code::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let methods: Vec<_> = endpoint::allowed(path).iter().map(|(method, _)| method.to_string()).collect();
    let mut response = document(status, &Line::<(), ()>::Error(failure));
    if status == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(methods) = methods.join(", ").parse()
    {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// The whole body. Only of a request that was read to its end does hyper notice at once that the client hangs up.
async fn read_all(body: Incoming) -> Result<Bytes, Failure> {
    match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(broken(&*error)),
    }
}

async fn read_nothing(body: Incoming) -> Result<(), Failure> {
    if read_all(body).await?.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::InvalidRequest, "this endpoint takes no body"))
}

fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        Failure::new(Code::InvalidRequest, format!("the body is not what this endpoint takes: {error}"))
    })
}

fn too_large() -> Failure {
    Failure::new(Code::TooLarge, format!("the request is longer than {MAX_REQUEST} bytes"))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::new(Code::InvalidRequest, format!("the request broke off: {error}"))
}

/// Reads one line of JSON. What follows it is the stream, if the request has one.
async fn read_ingest(mut body: Incoming) -> Result<(Ingest, Streamed), Failure> {
    let mut line = Vec::new();
    let mut unread = loop {
        let Some(frame) = body.frame().await else { break Bytes::new() };
        let Ok(mut bytes) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.split_to(end.unwrap_or(bytes.len()));
        if line.len() + part.len() > MAX_REQUEST {
            return Err(too_large());
        }
        line.extend_from_slice(&part);
        if end.is_some() {
            bytes.advance(1);
            break bytes;
        }
    };
    let ingest: Ingest = parsed(&line)?;
    // Without a stream the body has to end here, for the same reason as in `read_all`.
    if !ingest.inputs.iter().any(|path| path.as_os_str() == "-") {
        while unread.is_empty() {
            let Some(frame) = body.frame().await else { break };
            unread = frame.map_err(|error| broken(&error))?.into_data().unwrap_or_default();
        }
        if !unread.is_empty() {
            return Err(Failure::new(Code::InvalidRequest, "a stream follows the first line, and no input is `-`"));
        }
    }
    Ok((ingest, Streamed { body, unread, runtime: Handle::current() }))
}

/// The rest of a body, for a thread that may block.
struct Streamed {
    body: Incoming,
    unread: Bytes,
    runtime: Handle,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(frame) => self.unread = frame.map_err(io::Error::other)?.into_data().unwrap_or_default(),
            }
        }
        let read = self.unread.len().min(buffer.len());
        self.unread.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
