//! The client of the administration socket, for commands.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::{ReaderStream, StreamReader};

use super::address::Address;
use super::endpoint::Endpoint;
use super::wire::{JSON, Line, MAX_ANSWER};

/// Why an answer cannot be read.
pub(crate) const ANOTHER_VERSION: &str =
    "cannot read the server's answer: it is of another version; run the command with the server's own `airdock`";

/// How long a server may take to answer that it is there.
const PRESENT: Duration = Duration::from_secs(10);

/// A path with nothing behind it.
const NOTHING: &str = "/admin/v1/";

/// How much of a stream is sent at once.
const PIECE: usize = 256 * 1024;

/// A connection to the server that owns a data folder.
pub(crate) struct Client {
    stream: UnixStream,
    longest: usize,
}

impl Client {
    /// Connects to a server that answers. An error says that there is no server, or not yet, that it belongs to another user,
    /// or that it does not answer.
    pub(crate) async fn connect(data: &Path) -> io::Result<Self> {
        let address = Address::of(data)?;
        // The kernel accepts connections for a process that was stopped, or that hangs. Work may take hours, so it is asked for
        // something that takes no time.
        let late = |_| {
            let text =
                format!("it did not answer within {} s: it was stopped, or its places are taken", PRESENT.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
        tokio::time::timeout(PRESENT, answers(UnixStream::connect(&address.path).await?)).await.map_err(late)??;
        let stream = UnixStream::connect(&address.path).await?;
        Ok(Self { stream, longest: MAX_ANSWER })
    }

    /// Sends a request, with standard input behind the body of an ingest that has a stream.
    pub(crate) async fn send(self, endpoint: &Endpoint) -> anyhow::Result<Answer> {
        let (method, target) = endpoint.render()?;
        let (cut_off, stream) = match endpoint {
            Endpoint::Ingest(asked) => (
                "the server ended before the ingest did, or before it could say how that came out: all of it is visible, or \
                 nothing; when the server is back, `airdock releases` shows which, and running it again does no harm",
                asked.has_stream(),
            ),
            _ => (
                "the connection ended before the whole answer came: the server stopped, or its answer was not read for ten \
                 minutes; ask again",
                false,
            ),
        };
        let body = endpoint.body().context("cannot ask the server: a path or a name is not UTF-8; rename it, or run the command while the server is stopped")?;
        let stream = if stream { Some(File::from(io::stdin().as_fd().try_clone_to_owned()?)) } else { None };
        let stream = stream.map(|input| ReaderStream::with_capacity(tokio::fs::File::from_std(input), PIECE));
        let body = stream::iter((!body.is_empty()).then(|| Ok(Bytes::from(body))));
        // An error of the stream aborts the request, so that half of it is never taken for all of it.
        let body = StreamBody::new(body.chain(stream::iter(stream).flatten()).map_ok(Frame::data));
        let request = Request::builder().method(method).uri(target).header(HOST, "localhost").body(body)?;
        let Ok((mut requests, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(self.stream)).await
        else {
            bail!(cut_off)
        };
        let ended = tokio::spawn(connection);
        // A request that is queued in the moment the connection ends may get no answer, not even an error, as long as its
        // queue is alive.
        let mut answer = pin!(requests.send_request(request));
        let response = tokio::select! {
            response = &mut answer => Some(response),
            _ = ended => answer.now_or_never(),
        };
        let Some(response) = response else { bail!(cut_off) };
        // The library's words would tell less than that.
        let Ok(response) = response else { bail!(cut_off) };
        let is_document = response.status() == StatusCode::OK && response.headers().get(CONTENT_TYPE) == Some(&JSON);
        let body = StreamReader::new(response.into_body().into_data_stream().map_err(io::Error::other));
        let lines = FramedRead::new(body, LinesCodec::new_with_max_length(self.longest)).boxed();
        Ok(Answer { lines, longest: self.longest, is_document, cut_off })
    }
}

/// Waits until the server has answered anything.
async fn answers(stream: UnixStream) -> io::Result<()> {
    // Refused by every version, without looking at any content.
    let request = Request::builder().method(Method::GET).uri(NOTHING).header(HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut requests, connection) = handshake.map_err(io::Error::other)?;
    let mut asked = pin!(requests.send_request(request));
    let answer = tokio::select! {
        answer = &mut asked => Some(answer),
        // It may have brought the answer with its end.
        _ = connection => asked.now_or_never(),
    };
    answer.and_then(Result::ok).map(drop).ok_or_else(|| io::ErrorKind::ConnectionReset.into())
}

/// An answer that is being read.
pub(crate) struct Answer {
    lines: BoxStream<'static, Result<String, LinesCodecError>>,
    longest: usize,
    /// Whether it is one outcome; otherwise it is lines, or one error in the form of a line.
    is_document: bool,
    cut_off: &'static str,
}

impl Answer {
    pub(crate) async fn next(&mut self) -> anyhow::Result<Line> {
        let line = match self.lines.next().await {
            Some(Ok(line)) => line,
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => bail!(
                "the server's answer has a line of more than {} bytes, which is not read; the server has done what was \
                 asked (`airdock releases` lists the result), and to see all of the answer, stop the server and run \
                 `airdock release show ID` on its data folder",
                self.longest
            ),
            Some(Err(LinesCodecError::Io(_))) | None => bail!(self.cut_off),
        };
        let line =
            if self.is_document { serde_json::from_str(&line).map(Line::Outcome) } else { serde_json::from_str(&line) };
        line.map_err(|_| anyhow!("{ANOTHER_VERSION}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Pins a release over a connection whose other end answers with this line.
    async fn answered(line: &[u8], longest: usize) -> anyhow::Result<Line> {
        let (stream, mut server) = UnixStream::pair().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", line.len());
        let answer = [head.as_bytes(), line].concat();
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n0\r\n\r\n") {
                assert!(server.read_buf(&mut asked).await.unwrap() > 0);
            }
            // The client may hang up before the end.
            let _ = server.write_all(&answer).await;
        });
        let client = Client { stream, longest };
        let answer = client.send(&Endpoint::PinRelease { id: 7, pinned: true }).await;
        let line = answer.unwrap().next().await;
        serving.await.unwrap();
        line
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_not_read_and_the_error_says_how_to_see_it() {
        let line = b"{\"id\":7,\"pinned\":true}\n";
        let end = line.len() - 1;
        let answer = answered(line, end).await.unwrap();
        assert!(matches!(&answer, Line::Outcome(pin) if pin.get().as_bytes() == &line[..end]), "{answer:?}");
        let error = answered(line, end - 1).await.unwrap_err().to_string();
        assert!(error.contains(&format!("more than {} bytes", end - 1)), "{error}");
        assert!(error.contains("`airdock releases`") && error.contains("`airdock release show ID`"), "{error}");
        assert!(error.contains("stop the server") && error.contains("done what was asked"), "{error}");
    }
}
