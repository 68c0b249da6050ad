//! Starting the write-back of a growing file early, so that the sync at its end finds little left to do.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::Advice;

/// How many bytes are written before their write-back is started.
const STEP: u64 = 8 * 1024 * 1024;

/// How far the write-back of one file was started. Gives no durability: the sync stays.
#[derive(Debug, Default)]
pub(crate) struct WriteBack {
    started: u64,
}

impl WriteBack {
    /// For a file whose first `size` bytes are no concern.
    pub(crate) const fn after(size: u64) -> Self {
        Self { started: size }
    }

    /// Says that the file has `size` bytes now. Linux starts writing dirty pages out on this advice and drops only those
    /// that are clean already; what was just written stays readable from memory until it is on the disk.
    pub(crate) fn grown(&mut self, file: &File, size: u64) {
        if size - self.started >= STEP {
            // Advice: a file system that has none loses nothing.
            let _ = rustix::fs::fadvise(file, self.started, NonZeroU64::new(size - self.started), Advice::DontNeed);
            self.started = size;
        }
    }
}
