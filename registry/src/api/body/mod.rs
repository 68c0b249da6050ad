//! The body of a response: bytes in memory, or ranges of a blob read at the speed of the connection.
//!
//! A blob's bytes leave in one of two ways. Where the connection can send files itself ([`FileWindows`]), the body is one
//! frame whose address stands for the file. Everywhere else (TLS, HTTP/2, an embedding server) it is read into buffers
//! that fit the CPU cache. An unverified blob of a medium goes the second way and is hashed (`checked`). Invariant: a
//! body has its announced length, or it fails. A file that cannot be read, or is shorter than its blob, aborts the
//! connection; it never ends the body early.

pub(super) mod budget;
mod checked;
mod multipart;
mod reader;
mod windows;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

pub use budget::{Budget, Share};
pub use windows::FileWindows;

use super::Arrival;
use crate::Blob;
use crate::oci::ByteRange;
use budget::Held;
use checked::Checked;
use multipart::Multipart;
use reader::Reader;
pub(crate) use reader::cut_short;

/// Up to this size in bytes a blob is read rather than sent from its file: the copy is cheaper than two more system calls.
const SMALL: u64 = 16 * 1024;

/// The body of a response of the [`Api`](super::Api).
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    /// Bytes that count for a connection until the client has taken them.
    Counted(Bytes, Held),
    Blob(BlobRange),
    Checked(Box<Checked>),
    Multipart(Box<Multipart>),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self(Content::Bytes(Bytes::new()))
    }

    pub(super) const fn full(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }

    /// A whole blob that is not verified yet.
    pub(super) fn checked(blob: Blob, arrival: &Arrival) -> Self {
        Self(Content::Checked(Box::new(Checked::new(blob, arrival.share.clone()))))
    }

    pub(crate) fn blob(blob: Blob, range: ByteRange, arrival: &Arrival) -> Self {
        Self(Content::Blob(BlobRange::new(blob, range, arrival.windows.as_ref(), arrival.share.as_ref())))
    }

    /// Several ranges of a blob, and the boundary that separates them.
    pub(super) fn ranges(blob: Blob, ranges: &[ByteRange], arrival: &Arrival) -> (Self, String) {
        multipart::multipart(blob, ranges, arrival.windows.clone(), arrival.share.clone())
    }

    /// How many bytes of it are in memory already.
    pub(super) fn in_memory(&self) -> usize {
        match &self.0 {
            Content::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// The same body, whose bytes in memory count.
    pub(super) fn counted(self, held: Held) -> Self {
        match self.0 {
            Content::Bytes(bytes) => Self(Content::Counted(bytes, held)),
            other => Self(other),
        }
    }

    /// How many bytes are left to send.
    #[must_use]
    pub fn length(&self) -> u64 {
        match &self.0 {
            Content::Bytes(bytes) | Content::Counted(bytes, _) => bytes.len() as u64,
            Content::Blob(range) => range.left.len(),
            Content::Checked(checked) => checked.left.len(),
            Content::Multipart(parts) => parts.left,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match &mut self.0 {
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::Counted(..) => Poll::Ready(self.take_counted()),
            Content::Blob(range) => range.poll_next(cx),
            Content::Checked(checked) => checked.poll_next(cx),
            Content::Multipart(parts) => parts.poll_next(cx),
        };
        bytes.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

impl Body {
    /// All of the bytes; what they count goes with them.
    fn take_counted(&mut self) -> Option<io::Result<Bytes>> {
        let Content::Counted(bytes, held) = std::mem::replace(&mut self.0, Content::Bytes(Bytes::new())) else {
            return None;
        };
        Some(Ok(Bytes::from_owner(Unread { bytes, _held: held })))
    }
}

/// Bytes of an answer, counted until the client has taken them.
struct Unread {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A range of a blob being sent.
#[derive(Debug)]
struct BlobRange {
    blob: Blob,
    left: ByteRange,
    windows: Option<Arc<FileWindows>>,
    reader: Reader,
}

impl BlobRange {
    fn new(blob: Blob, range: ByteRange, windows: Option<&Arc<FileWindows>>, share: Option<&Arc<Share>>) -> Self {
        // Sending from a file that may hang would hold a thread of the runtime.
        let windows = windows.filter(|_| range.len() > SMALL && !blob.may_hang()).cloned();
        // What is sent from its file is never in memory.
        let reader = if windows.is_some() { Reader::default() } else { Reader::new(share.cloned()) };
        Self { blob, left: range, windows, reader }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(bytes) = self.windows.take().and_then(|windows| windows.lend(&self.blob, self.left)) {
            self.left.start = self.left.end;
            return Poll::Ready(Some(Ok(bytes)));
        }
        let read = std::task::ready!(self.reader.poll_read(cx, &self.blob, self.left));
        if let Ok(bytes) = &read {
            self.left.start += bytes.len() as u64;
        }
        Poll::Ready(Some(read))
    }
}

#[cfg(test)]
mod tests;
