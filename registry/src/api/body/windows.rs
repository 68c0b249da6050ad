//! Ranges of files lent to one connection as body bytes.
//!
//! A lent [`Bytes`] is only an address: the socket writer looks it up here and sends from the file it stands for. The
//! address is that of a memory mapping, so even if the look-up failed its bytes would be the file's: a mistake costs
//! speed, never content. Lent bytes leave the list when they are dropped.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Blob;
use crate::oci::ByteRange;

/// Maps a range of a file, by offset and length in bytes.
type Map = fn(&File, u64, u64) -> Option<Bytes>;

/// The file ranges that one connection may send without copying.
#[derive(Debug)]
pub struct FileWindows {
    map: Map,
    lent: Mutex<Vec<Window>>,
}

/// A lent range of a file.
#[derive(Debug)]
pub(crate) struct Window {
    blob: Blob,
    /// Where the range begins, in memory and in the file.
    address: usize,
    offset: u64,
    pub(super) len: usize,
}

impl Window {
    /// The file, and the offset in it of the byte at `address`.
    pub(crate) fn locate(&self, address: usize) -> (&Blob, u64) {
        (&self.blob, self.offset + (address - self.address) as u64)
    }

    const fn holds(&self, address: usize, len: usize) -> bool {
        // Both bounds are checked: the end of one range may be the start of another that is mapped right after it.
        self.address <= address && len <= self.len && address - self.address <= self.len - len
    }
}

impl FileWindows {
    /// An empty list. `map` maps a range of a file, by offset and length in bytes.
    pub fn new(map: Map) -> Self {
        Self { map, lent: Mutex::new(Vec::new()) }
    }

    /// Bytes that stand for a range of `blob`, or `None` if it cannot be mapped.
    pub(super) fn lend(self: Arc<Self>, blob: &Blob, range: ByteRange) -> Option<Bytes> {
        let whole = blob.mapping(self.map)?;
        let part = whole.slice(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
        let (address, len) = (part.as_ptr() as usize, part.len());
        let offset = blob.offset() + range.start;
        self.lent.lock().push(Window { blob: blob.clone(), address, offset, len });
        Some(Bytes::from_owner(Lent { part, windows: self }))
    }

    /// Looks up the range that contains `bytes`.
    pub(crate) fn find<R>(&self, bytes: &[u8], then: impl FnOnce(&Window) -> R) -> Option<R> {
        let address = bytes.as_ptr() as usize;
        self.lent.lock().iter().find(|window| window.holds(address, bytes.len())).map(then)
    }

    /// Whether nothing is lent, so that writes need no look-up.
    pub(crate) fn is_empty(&self) -> bool {
        self.lent.lock().is_empty()
    }
}

/// Keeps the mapping and its entry in the list until the bytes have been written.
struct Lent {
    part: Bytes,
    windows: Arc<FileWindows>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.part
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (address, len) = (self.part.as_ptr() as usize, self.part.len());
        let mut lent = self.windows.lent.lock();
        // The same range may be lent twice, to two pipelined requests; the entries are interchangeable.
        if let Some(index) = lent.iter().position(|window| window.address == address && window.len == len) {
            lent.swap_remove(index);
        }
    }
}
