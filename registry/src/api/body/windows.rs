//! Parts of files lent to one connection as body bytes.
//!
//! A lent [`Bytes`] is an address and nothing more: whoever writes it to the socket finds the file it stands for here
//! and sends from that. Should the address not be found, its bytes are the file's all the same, because it is the address
//! of a mapping; so a mistake costs speed and never content. Lent bytes leave this list when they are dropped.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Blob;
use crate::oci::ByteRange;

/// Makes an address range for the bytes of a file from an offset on, so many of them.
type Map = fn(&File, u64, u64) -> Option<Bytes>;

/// What one connection may send straight from files.
#[derive(Debug)]
pub struct FileWindows {
    map: Map,
    lent: Mutex<Vec<Window>>,
}

/// A lent part of a file.
#[derive(Debug)]
pub(crate) struct Window {
    blob: Blob,
    /// Where the part begins, in memory and in the file.
    address: usize,
    offset: u64,
    pub(super) len: usize,
}

impl Window {
    /// The file, and where in it the byte lies that has `address`.
    pub(crate) fn locate(&self, address: usize) -> (&Blob, u64) {
        (&self.blob, self.offset + (address - self.address) as u64)
    }

    const fn holds(&self, address: usize, len: usize) -> bool {
        // Both bounds, or the end of one part could pass for the beginning of another that was mapped behind it.
        self.address <= address && len <= self.len && address - self.address <= self.len - len
    }
}

impl FileWindows {
    /// Nothing lent yet. `map` gives a part of a file, by offset and size, an address range of its length.
    pub fn new(map: Map) -> Self {
        Self { map, lent: Mutex::new(Vec::new()) }
    }

    /// Bytes that stand for a range of `blob`, or `None` where it cannot be mapped.
    pub(super) fn lend(self: Arc<Self>, blob: &Blob, range: ByteRange) -> Option<Bytes> {
        let whole = blob.mapping(self.map)?;
        let part = whole.slice(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
        let (address, len) = (part.as_ptr() as usize, part.len());
        let offset = blob.offset() + range.start;
        self.lent.lock().push(Window { blob: blob.clone(), address, offset, len });
        Some(Bytes::from_owner(Lent { part, windows: self }))
    }

    /// Looks up the part that holds `bytes`.
    pub(crate) fn find<R>(&self, bytes: &[u8], then: impl FnOnce(&Window) -> R) -> Option<R> {
        let address = bytes.as_ptr() as usize;
        self.lent.lock().iter().find(|window| window.holds(address, bytes.len())).map(then)
    }

    /// Whether nothing is lent, so that no look-up is needed.
    pub(crate) fn is_empty(&self) -> bool {
        self.lent.lock().is_empty()
    }
}

/// Keeps the mapping, and the entry in the list, as long as somebody may write it.
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
        // The same part may be lent twice, to two requests in one pipeline; either entry serves the other.
        if let Some(index) = lent.iter().position(|window| window.address == address && window.len == len) {
            lent.swap_remove(index);
        }
    }
}
