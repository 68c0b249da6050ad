//! A request from its head to its response: parse, authorise, one match, one use case.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::authorise::{Peer, authorise, authorise_paths};
use super::endpoint::{self, Endpoint};
use super::ingester::Ingester;
use super::operation::{Call, Running};
use super::operations;
use super::wire::{Ingest, JSON, Line, MAX_REQUEST};
use crate::exit::{Code, Failure};

/// How long a client may take to send what it asks, without the stream of an ingest.
const BODY: Duration = Duration::from_secs(30);

/// How long the stream of an ingest may be silent: a person may have to change the disc.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// A client that takes nothing for this long gets no more events of an ingest, so that it cannot hold up the next one.
const PATIENCE: Duration = Duration::from_secs(30);

/// The media type of an answer that streams.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Lines are sent together up to about this many bytes.
const TOGETHER: usize = 16 << 10;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers one request.
pub(crate) async fn handle(ingester: Ingester, peer: Peer, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    answer(ingester, peer, request).await.unwrap_or_else(|failure| refusal(&path, failure))
}

async fn answer(ingester: Ingester, peer: Peer, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (head, body) = request.into_parts();
    let mut endpoint = Endpoint::parse(&head.method, &head.uri)?;
    authorise(peer, &head.headers, &endpoint)?;
    let mut call = Call { ingester, by: peer.name(), stream: None, patience: Some(PATIENCE) };
    match &mut endpoint {
        Endpoint::Ingest(asked) => {
            let body = StreamReader::new(heard(body.into_data_stream().map_err(io::Error::other).boxed(), SILENCE));
            let (read, stream) = in_time(read_ingest(body)).await?;
            authorise_paths(peer, &read)?;
            *asked = read;
            call.stream = Some(Box::new(SyncIoBridge::new(stream)));
        }
        Endpoint::Remove(asked) => *asked = parsed(&read_all(body).await?)?,
        Endpoint::Verify(asked) => {
            let body = read_all(body).await?;
            if !body.is_empty() {
                *asked = parsed(&body)?;
            }
        }
        _ if read_all(body).await?.is_empty() => {}
        _ => return Err(Failure::new(Code::InvalidRequest, "this endpoint takes no body")),
    }
    let streams = endpoint.streams();
    let mut running = operations::start(endpoint, call);
    match running.next().await {
        Line::Error(failure) => Err(failure),
        Line::Outcome(outcome) if !streams => Ok(document(StatusCode::OK, &outcome)),
        first => Ok(lines(first, running)),
    }
}

/// An answer that streams its lines, for as long as the client takes them. What fails before the first line is an error
/// with a status of its own.
fn lines(first: Line, running: Running) -> Answer {
    let lines = stream::unfold(Some((running, Some(first))), |state| async move {
        let (mut running, first) = state?;
        let line = match first {
            Some(first) => first,
            None => running.next().await,
        };
        let more = matches!(line, Line::Part(_));
        let mut lines = Vec::new();
        push_line(&mut lines, &line);
        while more && lines.len() < TOGETHER {
            let Some(part) = running.ready() else { break };
            push_line(&mut lines, &part);
        }
        Some((Ok(Frame::data(Bytes::from(lines))), more.then_some((running, None))))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, LINES);
    response
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
    let methods: Vec<_> = endpoint::allowed(path).iter().map(ToString::to_string).collect();
    let mut response = document(status, &Line::Error(failure));
    if status == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(methods) = methods.join(", ").parse()
    {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// The pieces of a body, as long as none is longer in coming than `silence`: an ingest keeps others waiting.
fn heard(body: BoxStream<'static, io::Result<Bytes>>, silence: Duration) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces = stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(silence, body.next()).await {
            Ok(piece) => Some((piece?, Some(body))),
            Err(_) => {
                let text = format!("nothing came for {silence:?}");
                Some((Err(io::Error::new(io::ErrorKind::TimedOut, text)), None))
            }
        }
    });
    pieces.boxed()
}

/// The whole body. Only of a request that was read to its end does hyper notice at once that the client hangs up.
async fn read_all(body: Incoming) -> Result<Bytes, Failure> {
    let read = async {
        match Limited::new(body, MAX_REQUEST).collect().await {
            Ok(read) => Ok(read.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Err(_) => Err(broken()),
        }
    };
    in_time(read).await
}

/// A client that sends nothing would hold one of the few connections.
async fn in_time<T>(read: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Failure::new(Code::InvalidRequest, format!("the body did not arrive within {} s", BODY.as_secs()));
    tokio::time::timeout(BODY, read).await.map_err(late)?
}

fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        Failure::new(Code::InvalidRequest, format!("the body is not what this endpoint takes: {error}"))
    })
}

fn too_large() -> Failure {
    Failure::new(Code::TooLarge, format!("the request is longer than {MAX_REQUEST} bytes"))
}

fn broken() -> Failure {
    Failure::new(Code::InvalidRequest, "the request broke off before its end; send it again")
}

/// Reads one line of JSON. What follows it is the stream, if the request has one.
async fn read_ingest<B: AsyncBufRead + Unpin>(mut body: B) -> Result<(Ingest, B), Failure> {
    let mut line = Vec::new();
    let read = (&mut body).take(MAX_REQUEST as u64 + 1).read_until(b'\n', &mut line).await;
    read.map_err(|_| broken())?;
    if line.len() > MAX_REQUEST {
        return Err(too_large());
    }
    let ingest: Ingest = parsed(&line)?;
    // Without a stream the body has to end here, for the same reason as in `read_all`.
    if !ingest.has_stream() && !body.fill_buf().await.map_err(|_| broken())?.is_empty() {
        return Err(Failure::new(Code::InvalidRequest, "a stream follows the first line, and no input is `-`"));
    }
    Ok((ingest, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d23_a_stream_that_goes_silent_ends_with_an_error() {
        let first = stream::iter([Ok(Bytes::from_static(b"first"))]);
        let mut heard = heard(first.chain(stream::pending()).boxed(), Duration::from_millis(300));
        assert_eq!(heard.next().await.unwrap().unwrap(), "first");
        assert_eq!(heard.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(heard.next().await.is_none());
    }
}
