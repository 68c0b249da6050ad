//! The stream under every connection: it counts bytes for the watchdog, and closes so that the last response arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::deadlines::Activity;
use super::sendfile::{SendfileStream, queued};

/// How many bytes of an unread request body are discarded, and for how long, before the connection is closed. Closing a
/// socket with unread bytes resets the connection, and the client may lose the response.
const LINGER_BYTES: usize = 8 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A stream that knows how much of what was written to it the client has not acknowledged.
pub(super) trait Socket {
    fn queued(&self) -> u64;
}

impl Socket for SendfileStream {
    fn queued(&self) -> u64 {
        queued(self.tcp())
    }
}

impl Socket for TlsStream<TcpStream> {
    fn queued(&self) -> u64 {
        queued(self.get_ref().0)
    }
}

/// A stream that reports to the watchdog.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// What had been heard at the last write: requests and bytes.
    heard: (u64, u64),
    /// The largest header, for the answer to one that is larger.
    max_header: usize,
    /// An answer in place of one of hyper's: its bytes, how many were sent, and how many of hyper's it replaces.
    instead: Option<(Vec<u8>, usize, usize)>,
}

impl<I: Socket> Watched<I> {
    pub(super) const fn new(io: I, activity: Arc<Activity>, max_header: usize) -> Self {
        Self { io, activity, lingering: None, heard: (0, 0), max_header, instead: None }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.went_out(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.activity.found_no_room();
                if self.activity.is_to_measure() {
                    self.activity.measured(self.io.queued());
                }
            }
        }
    }
}

impl<I> Watched<I> {
    /// Whether `first` is an answer of hyper itself, to something it cannot read as a request; then another one is sent.
    fn is_hypers_own(&mut self, first: &[u8]) -> bool {
        if self.instead.is_some() {
            return true;
        }
        let heard = self.activity.heard();
        // Something was received that made no request.
        let (is_new, before) = (heard.0 != self.heard.0, self.heard.1);
        self.heard = heard;
        if is_new || heard.1 == before || !self.activity.is_idle() {
            return false;
        }
        let Some(answer) = instead_of(first, self.max_header) else { return false };
        // It may still be sending what cannot be read.
        self.activity.leaves_body_unread();
        self.instead = Some((answer, 0, first.len()));
        true
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some((answer, sent, replaced)) = &mut self.instead {
            if *sent == answer.len() {
                let replaced = *replaced;
                self.instead = None;
                return Poll::Ready(Ok(replaced));
            }
            *sent += ready!(Pin::new(&mut self.io).poll_write(cx, &answer[*sent..]))?;
        }
        Poll::Ready(Ok(0))
    }
}

/// The answer to send instead of hyper's own, which has no body: clients of a registry read JSON.
fn instead_of(hypers: &[u8], max_header: usize) -> Option<Vec<u8>> {
    let text = str::from_utf8(hypers).ok()?;
    let status = text.strip_prefix("HTTP/1.1 ")?.lines().next()?;
    if !text.ends_with("\r\n\r\n") || !text.contains("\r\ncontent-length: 0\r\n") || text.contains("docker-") {
        return None;
    }
    let message = match status.get(..3)? {
        "400" => "the request is not valid HTTP".to_owned(),
        "414" => "the request's path is too long".to_owned(),
        "431" => format!(
            "the request's header has more than {max_header} bytes (`server.limits.max_header_bytes`) or 100 fields"
        ),
        _ => return None,
    };
    let body = format!(r#"{{"errors":[{{"code":"UNSUPPORTED","message":"{message}"}}]}}"#);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
         docker-distribution-api-version: registry/2.0\r\n\r\n",
        body.len()
    );
    Some((head + &body).into_bytes())
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.activity.came_in(buf.filled().len() - before);
        read
    }
}

impl<I: AsyncRead + AsyncWrite + Socket + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_hypers_own(buf) {
            return self.poll_instead(cx);
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_hypers_own(bufs.first().map_or(&[], |first| first)) {
            return self.poll_instead(cx);
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if !self.activity.left_body_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let Self { io, lingering, .. } = &mut *self;
        let (until, left) = lingering.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER_TIME)), LINGER_BYTES));
        let mut space = [0; 16 * 1024];
        while *left > 0 {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => *left = left.saturating_sub(buf.filled().len()),
                // The client has closed, or the connection failed.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return until.as_mut().poll(cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
