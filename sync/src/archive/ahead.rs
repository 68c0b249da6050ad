//! Writing the large blobs of one image in parallel. Each thread reads, hashes and writes a blob, so that a piece is still
//! in the cache of its core when it is written.
//!
//! Nothing is decided here. A blob that cannot be written is simply absent afterwards; the reader that needs it then reads
//! it again and reports why.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use airdock_registry::content::Sink;
use airdock_registry::oci::Digest;

use crate::input::source::{Extent, PIECE};
use crate::problem::Result;
use crate::progress::Meter;

/// Smaller blobs are not worth a thread.
pub(crate) const LARGE: u64 = 1024 * 1024;

/// Buffers are page-aligned: one just past a page boundary, where `malloc` puts it, suffers 4 KiB aliasing and is copied at
/// a third of the speed.
const PAGE: usize = 4096;

/// More threads make no disk faster, and each holds a piece in memory.
const MAX_THREADS: usize = 4;

/// Writes the blobs that are `wanted`. Returns those that were written.
pub(crate) fn write(to: &mut dyn Sink, meter: &Meter<'_>, wanted: Vec<(Extent, Digest)>) -> Result<HashSet<Digest>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(wanted.len());
    if threads < 2 {
        return Ok(HashSet::new());
    }
    let to = Mutex::new(to);
    let jobs = Mutex::new(VecDeque::from(wanted));
    let written = Mutex::new(HashSet::new());
    let stop = AtomicBool::new(false);
    // `None` when the blob could not be written.
    let one = |extent: &Extent, digest: Digest, piece: &mut [u8], progress: &SyncSender<u64>| {
        let mut blob = locked(&to).blob(digest.algorithm()).ok()?;
        blob.write_inline();
        let mut at = 0;
        while at < extent.size() {
            if stop.load(Relaxed) {
                return None;
            }
            let count = extent.read_at(piece, at).ok().filter(|count| *count > 0)?;
            blob.write(&piece[..count]).ok()?;
            at += count as u64;
            progress.send(count as u64).ok()?;
        }
        blob.finish(Some(digest)).ok()
    };
    let stopped = std::thread::scope(|scope| {
        let (sender, progress) = sync_channel(threads);
        for _ in 0..threads {
            let (jobs, written, one, sender) = (&jobs, &written, &one, sender.clone());
            scope.spawn(move || {
                let mut buffer = vec![0; PIECE + PAGE];
                let begin = buffer.as_ptr().align_offset(PAGE).min(PAGE);
                let piece = &mut buffer[begin..begin + PIECE];
                loop {
                    // Not `while let`: that would hold the lock until the blob is written.
                    let Some((extent, digest)) = locked(jobs).pop_front() else { break };
                    if one(&extent, digest, piece, &sender).is_some() {
                        locked(written).insert(digest);
                    }
                }
            });
        }
        drop(sender);
        let mut stopped = Ok(());
        for count in progress {
            if stopped.is_ok() {
                stopped = meter.read(count);
                stop.store(stopped.is_err(), Relaxed);
            }
        }
        stopped
    });
    stopped?;
    Ok(written.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each thread holds a lock for one call, so the value is valid even if one panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
