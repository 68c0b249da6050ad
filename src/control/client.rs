//! The side that asks.

use std::io::{self, Read};
use std::path::Path;

use airdock_sync::ingest::{Event, IngestError, Report};
use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::address::Address;
use super::{Answer, IngestRequest, Line, MAX_LINE};
use crate::request::{Reply, Request};

/// How much of a stream goes out at once.
const PIECE: usize = 256 * 1024;

/// Pieces read ahead.
const AHEAD: usize = 2;

/// A connection to the server that has a data folder.
pub(crate) struct Client {
    stream: UnixStream,
    longest: usize,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there: no server, not yet, or not one of this user's.
    pub(crate) async fn connect(data: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(Address::of(data)?.path()).await?;
        Ok(Self { stream, longest: MAX_LINE })
    }

    /// Has the server ingest, handing its events on as they come. `stream` is what
    /// [`RequestedInput::Stream`](super::RequestedInput::Stream) stands for.
    ///
    /// # Errors
    /// The inner error is the ingest's own; the outer one says how the conversation failed.
    pub(crate) async fn ingest(
        self,
        request: IngestRequest,
        stream: Option<Box<dyn Read + Send>>,
        mut progress: impl FnMut(Event),
    ) -> anyhow::Result<Result<Report, IngestError>> {
        let mut line = serde_json::to_vec(&request)
            .context("cannot ask the server: a path is not UTF-8; ingest while the server is stopped, or rename it")?;
        line.push(b'\n');
        let mut answers = self.ask("/ingest", Bytes::from(line), stream).await?;
        loop {
            match answers.next().await? {
                Some(Answer::Event(event)) => progress(event),
                Some(Answer::Ended(outcome)) => return Ok(outcome),
                None => bail!(
                    "the server ended before the ingest did; nothing of it is visible, so run it again when the server is back"
                ),
            }
        }
    }

    /// Has the server do one thing, handing the parts of its answer on as they come. An error of `on_part` hangs up.
    ///
    /// # Errors
    /// What the server said ([`Failure`](crate::request::Failure)), or how the conversation failed.
    pub(crate) async fn request(
        self,
        request: Request,
        mut on_part: impl FnMut(Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<Reply> {
        let mut line = serde_json::to_vec(&request).context("cannot ask the server: a name is not UTF-8")?;
        line.push(b'\n');
        let mut answers = self.ask("/request", Bytes::from(line), None).await?;
        loop {
            match answers.next().await? {
                Some(Line::Part(part)) => on_part(part)?,
                Some(Line::Ended(outcome)) => return Ok(outcome?),
                None => bail!("the server ended before it had answered; ask again when it is back"),
            }
        }
    }

    async fn ask(self, path: &str, line: Bytes, stream: Option<Box<dyn Read + Send>>) -> anyhow::Result<Lines> {
        let (sender, body) = mpsc::channel(AHEAD);
        // The channel has room for it, and nobody else has its other end.
        let _ = sender.try_send(Ok(Frame::data(line)));
        match stream {
            // A thread of its own: a read of standard input ends when it likes, and no runtime should wait for it.
            Some(stream) => {
                let reader = std::thread::Builder::new().name("standard input".to_owned());
                reader.spawn(move || send(stream, &sender))?;
            }
            // The request ends where its last sender does.
            None => drop(sender),
        }
        let body = stream::unfold(body, |mut body| async move { body.recv().await.map(|frame| (frame, body)) });
        let request = http::Request::post(path).header(http::header::HOST, "airdock").body(StreamBody::new(body))?;
        let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.stream)).await?;
        tokio::spawn(connection);
        let response =
            requests.send_request(request).await.context("the server does not answer on its control socket")?;
        Lines::of(response, self.longest).await
    }
}

/// The lines of an answer.
struct Lines {
    body: Incoming,
    unread: BytesMut,
    longest: usize,
}

impl Lines {
    /// The answer's body, if the server takes the request.
    async fn of(response: Response<Incoming>, longest: usize) -> anyhow::Result<Self> {
        if response.status() == StatusCode::OK {
            return Ok(Self { body: response.into_body(), unread: BytesMut::new(), longest });
        }
        let problem = response.into_body().collect().await.context("cannot read the server's answer")?;
        bail!("the server does not take this: {}", String::from_utf8_lossy(&problem.to_bytes()))
    }

    /// The next line, or nothing where the answer is cut off.
    async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.unread[looked_at..].iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(looked_at + end + 1);
                let line = serde_json::from_slice(&line);
                return line.map(Some).context("cannot read the server's answer; is it the same version?");
            }
            looked_at = self.unread.len();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        if self.unread.len() + bytes.len() > self.longest {
                            bail!(
                                "the server's answer has a line of more than {} bytes, which is not read; the server has \
                                 done what was asked (`airdock releases` lists what became of it), and to see all of the \
                                 answer stop the server and run `airdock release show ID` on its data folder",
                                self.longest
                            );
                        }
                        self.unread.extend_from_slice(&bytes);
                    }
                }
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// Reads a stream to its end into a request's body. Blocks.
fn send(mut stream: Box<dyn Read + Send>, sender: &mpsc::Sender<io::Result<Frame<Bytes>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let frame = match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                piece.truncate(read);
                Ok(Frame::data(Bytes::from(piece)))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // As an error in the body it breaks the request off, so that half a stream is never taken for a whole.
            Err(error) => Err(error),
        };
        let failed = frame.is_err();
        if sender.blocking_send(frame).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::request::{ReleaseReply, ReleaseRequest};

    /// Asks for a release over a connection whose other end answers with this line.
    async fn answered(line: &[u8], longest: usize) -> anyhow::Result<Reply> {
        let (stream, mut server) = UnixStream::pair().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
        let answer = [head.as_bytes(), line].concat();
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            // The request's one line is its end but for the last chunk.
            while !asked.ends_with(b"0\r\n\r\n") {
                assert!(server.read_buf(&mut asked).await.unwrap() > 0);
            }
            // Whoever has read enough hangs up.
            let _ = server.write_all(&answer).await;
        });
        let request = Request::Releases(ReleaseRequest::Show { id: 7 });
        let reply = Client { stream, longest }.request(request, |_| Ok(())).await;
        serving.await.unwrap();
        reply
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_not_read_and_the_error_says_how_to_see_it() {
        let reply = Line::Ended(Ok(Reply::Releases(ReleaseReply::Pinned { id: 7, pinned: true })));
        let mut line = serde_json::to_vec(&reply).unwrap();
        line.push(b'\n');
        let reply = answered(&line, line.len()).await.unwrap();
        assert!(matches!(reply, Reply::Releases(ReleaseReply::Pinned { id: 7, pinned: true })), "{reply:?}");
        let error = answered(&line, line.len() - 1).await.unwrap_err().to_string();
        assert!(error.contains(&format!("more than {} bytes", line.len() - 1)), "{error}");
        assert!(error.contains("`airdock releases`") && error.contains("`airdock release show ID`"), "{error}");
        assert!(error.contains("stop the server") && error.contains("done what was asked"), "{error}");
    }
}
