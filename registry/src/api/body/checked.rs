//! A whole, unverified blob of a medium: hashed while it is sent, its last bytes held back until the digest matched. A
//! damaged blob ends as an aborted connection, never as a complete body.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::budget::Share;
use super::reader::Reader;
use crate::Blob;
use crate::blobs::Version;
use crate::oci::{ByteRange, Hasher};

/// The range left to send, and the hash of what was sent.
#[derive(Debug)]
pub(super) struct Checked {
    blob: Blob,
    pub(super) left: ByteRange,
    reader: Reader,
    // Taken when the last bytes are checked.
    hasher: Option<Hasher>,
    /// What of the file is read.
    version: Option<Version>,
}

impl Checked {
    /// All of `blob`. An empty blob has no last bytes to hold back: it is verified when it is opened.
    pub(super) fn new(blob: Blob, share: Option<Arc<Share>>) -> Self {
        let (left, hasher) = (ByteRange { start: 0, end: blob.size() }, blob.digest().algorithm().hasher());
        let version = blob.version();
        Self { blob, left, reader: Reader::new(share), hasher: Some(hasher), version }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.reader.poll_read(cx, &self.blob, self.left));
        Poll::Ready(Some(piece.and_then(|piece| self.check(piece))))
    }

    fn check(&mut self, piece: Bytes) -> io::Result<Bytes> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        if piece.len() as u64 == self.left.len() {
            self.end()?;
        }
        self.left.start += piece.len() as u64;
        Ok(piece)
    }

    /// Compares the digests. Only after this may the last bytes be sent.
    fn end(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let found = hasher.finish();
        let matched = self.blob.unverified().map(|medium| medium.found(&found, self.version));
        match matched {
            None if found == self.blob.digest() => Ok(()),
            Some(Ok(())) => Ok(()),
            None => Err(io::ErrorKind::InvalidData.into()),
            Some(Err(problem)) => {
                tracing::error!(%problem, "serving a blob was broken off before its end");
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
        }
    }
}
