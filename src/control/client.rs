//! The side that asks.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use airdock_sync::ingest::{Event, IngestError, Report};
use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::address::Address;
use super::{Answer, IngestRequest, MAX_LINE, RebuildCounts, Rebuilt, RequestedInput};

/// How long a server that has the lock may take until it has its socket.
const STARTING: Duration = Duration::from_secs(3);

/// How much of a stream goes out at once.
const PIECE: usize = 256 * 1024;

/// Pieces read ahead.
const AHEAD: usize = 2;

/// A connection to the server that has a data folder.
pub(crate) struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects, allowing for a server that has only just begun.
    ///
    /// # Errors
    /// Nobody listens there: no server, or not one of this user's.
    pub(crate) async fn connect(data: &Path) -> io::Result<Self> {
        let address = Address::of(data)?;
        let end = tokio::time::Instant::now() + STARTING;
        loop {
            match UnixStream::connect(address.path()).await {
                Ok(stream) => return Ok(Self { stream }),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
                Err(error) if tokio::time::Instant::now() >= end => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Has the server ingest, handing its events on as they come. `stream` is what [`RequestedInput::Stream`] stands for.
    ///
    /// # Errors
    /// The inner error is the ingest's own; the outer one says how the conversation failed.
    pub(crate) async fn ingest(
        self,
        inputs: Vec<RequestedInput>,
        strict: bool,
        stream: Option<Box<dyn Read + Send>>,
        mut progress: impl FnMut(Event),
    ) -> anyhow::Result<Result<Report, IngestError>> {
        let mut line = serde_json::to_vec(&IngestRequest { inputs, strict })
            .context("cannot ask the server: a path is not UTF-8; ingest while the server is stopped, or rename it")?;
        line.push(b'\n');
        let mut response = self.ask("/ingest", Bytes::from(line), stream).await?;
        if response.status() != StatusCode::OK {
            let problem = response.into_body().collect().await.context("cannot read the server's answer")?;
            bail!("the server does not take this: {}", String::from_utf8_lossy(&problem.to_bytes()));
        }
        let mut unread = BytesMut::new();
        loop {
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = unread.split_to(end + 1);
                match serde_json::from_slice(&line)
                    .context("cannot read the server's answer; is it the same version?")?
                {
                    Answer::Event(event) => progress(event),
                    Answer::Ended(outcome) => return Ok(outcome),
                }
            }
            match response.body_mut().frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        if unread.len() + bytes.len() > MAX_LINE {
                            bail!("the server's answer is longer than {MAX_LINE} bytes a line");
                        }
                        unread.extend_from_slice(&bytes);
                    }
                }
                Some(Err(_)) | None => bail!(
                    "the server ended before the ingest did; nothing of it is visible, so run it again when the server is back"
                ),
            }
        }
    }

    /// Has the server rebuild its metadata.
    ///
    /// # Errors
    /// What the server said, or how the conversation failed.
    pub(crate) async fn rebuild(self) -> anyhow::Result<RebuildCounts> {
        let response = self.ask("/rebuild", Bytes::new(), None).await?;
        let body = response.into_body().collect().await.context("the server ended before the rebuild did")?;
        let rebuilt: Rebuilt = serde_json::from_slice(&body.to_bytes())
            .context("cannot read the server's answer; is it the same version?")?;
        rebuilt.map_err(anyhow::Error::msg)
    }

    async fn ask(
        self,
        path: &str,
        line: Bytes,
        stream: Option<Box<dyn Read + Send>>,
    ) -> anyhow::Result<Response<Incoming>> {
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
        let request = Request::post(path).header(http::header::HOST, "airdock").body(StreamBody::new(body))?;
        let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.stream)).await?;
        tokio::spawn(connection);
        requests.send_request(request).await.context("the server does not answer on its control socket")
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
