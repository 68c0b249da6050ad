//! Large blobs of one image written beside each other, each by a thread that reads, hashes and writes it: a piece is then
//! still in the cache of the core that writes it.
//!
//! Nothing is decided here. A blob that cannot be brought in this way, for whatever reason, is simply not there
//! afterwards: whoever then takes it in turn meets the same reason and says it.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use airdock_registry::ReleaseDraft;
use airdock_registry::oci::Digest;

use super::destination::Destination;
use super::intake::Intake;
use super::problem::Problem;
use super::source::{Extent, PIECE};

/// Smaller blobs are not worth a thread.
pub(crate) const LARGE: u64 = 1024 * 1024;

/// Pieces begin on a page, as files do. A little behind one, where `malloc` puts them, the kernel copies at a third of the
/// speed: its loads then wait for stores that only look like the same address.
const PAGE: usize = 4096;

/// Disks are no faster for more, and each holds a piece in memory.
const MAX_THREADS: usize = 4;

/// Writes what is missing of `wanted`. Returns what is in the store now and was not before.
///
/// # Errors
/// Only when the ingest is stopped.
pub(crate) fn write(intake: &mut Intake<'_>, wanted: Vec<(Extent, Digest)>) -> Result<HashSet<Digest>, Problem> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(wanted.len());
    if threads < 2 {
        return Ok(HashSet::new());
    }
    let meter = intake.meter;
    let Destination::Store(draft) = &mut intake.to else { return Ok(HashSet::new()) };
    let draft = Mutex::new(draft);
    let jobs = Mutex::new(VecDeque::from(wanted));
    let brought = Mutex::new(HashSet::new());
    let stop = AtomicBool::new(false);
    let stopped = std::thread::scope(|scope| {
        let (sender, progress) = sync_channel(threads);
        for _ in 0..threads {
            let (draft, jobs, brought, stop, sender) = (&draft, &jobs, &brought, &stop, sender.clone());
            scope.spawn(move || {
                let mut room = vec![0; PIECE + PAGE];
                let begin = room.as_ptr().align_offset(PAGE).min(PAGE);
                let piece = &mut room[begin..begin + PIECE];
                loop {
                    // Not `while let`: that would hold the lock until the blob is written.
                    let Some((extent, digest)) = locked(jobs).pop_front() else { break };
                    if one(draft, &extent, digest, piece, stop, &sender).is_some() {
                        locked(brought).insert(digest);
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
    Ok(brought.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// `None` when it could not be brought in.
fn one(
    draft: &Mutex<&mut ReleaseDraft>,
    extent: &Extent,
    digest: Digest,
    piece: &mut [u8],
    stop: &AtomicBool,
    progress: &SyncSender<u64>,
) -> Option<()> {
    let mut writer = locked(draft).writer_with(digest.algorithm()).ok()?.inline();
    let mut at = 0;
    while at < extent.size() {
        if stop.load(Relaxed) {
            return None;
        }
        let count = extent.read_at(piece, at).ok().filter(|count| *count > 0)?;
        writer.write(&piece[..count]).ok()?;
        at += count as u64;
        progress.send(count as u64).ok()?;
    }
    writer.commit(Some(digest)).ok().map(drop)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What a thread that panicked held is still whole: each holds it for one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
