//! Reused buffers for reading blobs: allocating fresh pages costs more than the read.

use parking_lot::Mutex;

/// Size of a buffer in bytes: large enough to amortise system calls, small enough to stay in the CPU cache.
pub(super) const BUFFER: usize = 64 * 1024;

/// The most unused buffers kept: 2 MiB in total.
const KEPT: usize = 32;

static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer of the pool, of which the first `len` bytes are filled. Returns to the pool when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    // Empty only while it is being returned.
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    pub(super) fn take() -> Self {
        let bytes = POOL.lock().pop().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
        Self { bytes, len: 0 }
    }

    /// The whole buffer, to read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(super) fn filled(mut self, len: usize) -> Self {
        self.len = len.min(self.bytes.len());
        self
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut pool = POOL.lock();
        if pool.len() < KEPT {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}
