//! Several ranges of one blob (RFC 9110, 14.6): one part per range, in the requested order: podman relies on it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;

use super::{BlobRange, Body, Content, FileWindows, Share};
use crate::Blob;
use crate::oci::{ByteRange, MediaType};

/// The parts left to send, each with the header before it.
#[derive(Debug)]
pub(super) struct Multipart {
    blob: Blob,
    windows: Option<Arc<FileWindows>>,
    share: Option<Arc<Share>>,
    parts: vec::IntoIter<(Bytes, ByteRange)>,
    current: Option<BlobRange>,
    /// The closing boundary.
    tail: Bytes,
    /// How many bytes are left to send.
    pub(super) left: u64,
}

/// A body of several ranges, and the boundary that separates them.
pub(super) fn multipart(
    blob: Blob,
    ranges: &[ByteRange],
    windows: Option<Arc<FileWindows>>,
    share: Option<Arc<Share>>,
) -> (Body, String) {
    // Random, so that content cannot contain it; a plain token, so that it needs no quotes.
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let size = blob.size();
    let parts: Vec<_> = ranges
        .iter()
        .enumerate()
        .map(|(index, range)| {
            let before = if index == 0 { "" } else { "\r\n" };
            let head = format!(
                "{before}--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                MediaType::OCTET_STREAM,
                range.content_range(size)
            );
            (Bytes::from(head), *range)
        })
        .collect();
    let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let left = parts.iter().map(|(head, range)| head.len() as u64 + range.len()).sum::<u64>() + tail.len() as u64;
    let parts = Multipart { blob, windows, share, parts: parts.into_iter(), current: None, tail, left };
    (Body(Content::Multipart(Box::new(parts))), boundary)
}

impl Multipart {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let next = std::task::ready!(self.poll_piece(cx));
        if let Some(Ok(bytes)) = &next {
            self.left -= bytes.len() as u64;
        }
        Poll::Ready(next)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(current) = &mut self.current {
            match std::task::ready!(current.poll_next(cx)) {
                None => self.current = None,
                next => return Poll::Ready(next),
            }
        }
        if let Some((head, range)) = self.parts.next() {
            self.current = Some(BlobRange::new(self.blob.clone(), range, self.windows.as_ref(), self.share.as_ref()));
            return Poll::Ready(Some(Ok(head)));
        }
        Poll::Ready((!self.tail.is_empty()).then(|| Ok(std::mem::take(&mut self.tail))))
    }
}
