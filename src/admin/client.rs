//! The client of the administration socket, for commands.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::address::Address;
use super::operation::Operation;
use super::wire::{JSON, Line, MAX_ANSWER};

/// How much of a stream is sent at once.
const PIECE: usize = 256 * 1024;

/// Pieces read ahead.
const AHEAD: usize = 2;

/// A connection to the server that owns a data folder.
pub(crate) struct Client {
    stream: UnixStream,
    longest: usize,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// There is no server, or not yet, or it belongs to another user.
    pub(crate) async fn connect(data: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(Address::of(data)?.path()).await?;
        Ok(Self { stream, longest: MAX_ANSWER })
    }

    /// Sends an operation; `stream` follows its body.
    ///
    /// # Errors
    /// The [`Failure`](crate::exit::Failure) the server answers with, or why the conversation failed.
    pub(crate) async fn send<P, T>(
        self,
        operation: Operation<P, T>,
        stream: Option<Box<dyn Read + Send>>,
    ) -> anyhow::Result<Answer> {
        let cut_off = operation.cut_off;
        let (method, target) = operation.endpoint.render()?;
        let body = operation.body.context("cannot ask the server: a path or a name is not UTF-8")?;
        let (sender, frames) = mpsc::channel(AHEAD);
        if !body.is_empty() {
            // The channel has room for it, and its other end is below.
            let _ = sender.try_send(Ok(Frame::data(Bytes::from(body))));
        }
        match stream {
            // A thread of its own: reading standard input may block for ever, and the runtime must not wait for it.
            Some(stream) => {
                let reader = std::thread::Builder::new().name("standard input".to_owned());
                reader.spawn(move || forward(stream, &sender))?;
            }
            // The request ends where its last sender does.
            None => drop(sender),
        }
        let body = stream::unfold(frames, |mut frames| async move { frames.recv().await.map(|frame| (frame, frames)) });
        let request = Request::builder().method(method).uri(target).header(HOST, "localhost");
        let request = request.body(StreamBody::new(body))?;
        let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.stream)).await?;
        tokio::spawn(connection);
        let response = requests.send_request(request).await.context(cut_off)?;
        let is_document = response.status() == StatusCode::OK && response.headers().get(CONTENT_TYPE) == Some(&JSON);
        let body = response.into_body();
        Ok(Answer { body, unread: BytesMut::new(), longest: self.longest, is_document, cut_off })
    }
}

/// An answer that is being read.
pub(crate) struct Answer {
    body: Incoming,
    unread: BytesMut,
    longest: usize,
    /// Whether it is one outcome; otherwise it is lines, or one error in the form of a line.
    is_document: bool,
    cut_off: &'static str,
}

impl Answer {
    /// The next line; the caller knows which operation was sent.
    pub(crate) async fn next<P, T>(&mut self) -> anyhow::Result<Line<P, T>>
    where
        P: DeserializeOwned,
        T: DeserializeOwned,
    {
        let line = self.line().await?.context(self.cut_off)?;
        let line = if self.is_document {
            serde_json::from_slice(&line).map(Line::Outcome)
        } else {
            serde_json::from_slice(&line)
        };
        line.context("cannot read the server's answer; is it the same version?")
    }

    /// Up to the next end of line; nothing where the answer is cut off.
    async fn line(&mut self) -> anyhow::Result<Option<BytesMut>> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.unread[looked_at..].iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.unread.split_to(looked_at + end + 1)));
            }
            looked_at = self.unread.len();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        if self.unread.len() + bytes.len() > self.longest {
                            bail!(
                                "the server's answer has a line of more than {} bytes, which is not read; the server has \
                                 done what was asked (`airdock releases` lists the result), and to see all of the answer, \
                                 stop the server and run `airdock release show ID` on its data folder",
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

/// Sends a stream to its end as a request's body. Blocks.
fn forward(mut stream: Box<dyn Read + Send>, sender: &mpsc::Sender<io::Result<Frame<Bytes>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let frame = match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                piece.truncate(read);
                Ok(Frame::data(Bytes::from(piece)))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // An error in the body aborts the request, so that half a stream is never taken for a complete one.
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
    use crate::admin::operations::releases::pin;
    use crate::admin::wire::Pin;

    /// Pins a release over a connection whose other end answers with this line.
    async fn answered(line: &[u8], longest: usize) -> anyhow::Result<Line<(), Pin>> {
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
        let answer = client.send(pin(7, true), None).await;
        let line = answer.unwrap().next().await;
        serving.await.unwrap();
        line
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_not_read_and_the_error_says_how_to_see_it() {
        let line = b"{\"id\":7,\"pinned\":true}\n";
        let answer = answered(line, line.len()).await.unwrap();
        assert!(matches!(answer, Line::Outcome(Pin { id: 7, pinned: true })), "{answer:?}");
        let error = answered(line, line.len() - 1).await.unwrap_err().to_string();
        assert!(error.contains(&format!("more than {} bytes", line.len() - 1)), "{error}");
        assert!(error.contains("`airdock releases`") && error.contains("`airdock release show ID`"), "{error}");
        assert!(error.contains("stop the server") && error.contains("done what was asked"), "{error}");
    }
}
