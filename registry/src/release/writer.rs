//! The blobs of a release: written as they are read, then synced and named while the next ones are read.

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::blobs::{Adopted, Lease, Sealed, WriteBehind, Writer};
use crate::content::{BlobSink, check_digest};
use crate::core::Core;
use crate::disk::DiskError;
use crate::error::Error;
use crate::oci::{Algorithm, Digest};

/// How many written blobs may wait to be synced. More would keep more files open.
const SYNC_QUEUE: usize = 16;

/// The blobs written so far, with their sizes and the leases that keep them until the release is committed.
pub(super) type WrittenBlobs = Arc<Mutex<HashMap<Digest, (u64, Lease)>>>;

/// Writes, syncs and names blobs while the next ones are read. When dropped, it waits until every queued blob has its
/// name: an ingest that was stopped can continue from there, and nothing writes after an ingest has ended.
#[derive(Debug)]
pub(super) struct Syncer {
    writing: WriteBehind,
    work: Option<(SyncSender<Sealed>, Syncing)>,
}

/// The thread ends when its queue is closed and empty, and returns whether any blob was new.
type Syncing = JoinHandle<Result<bool, DiskError>>;

/// One blob of a release being written. If it is dropped before it is committed, its bytes are discarded.
#[derive(Debug)]
pub struct BlobWriter {
    writer: Writer,
    core: Arc<Core>,
    queue: SyncSender<Sealed>,
    written: WrittenBlobs,
}

/// A blob that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the store did not have it.
    pub new: bool,
}

impl Syncer {
    pub(super) fn start(core: Arc<Core>) -> Result<Self, Error> {
        let files = core.blobs.depot.clone();
        let failed = |source| Error::Disk(files.no_thread(source));
        let (queue, blobs) = sync_channel::<Sealed>(SYNC_QUEUE);
        let work = move || {
            let mut wrote = false;
            for mut sealed in blobs {
                let adopted = core.blobs.depot.adopt(&mut sealed)?;
                wrote |= adopted != Adopted::There;
                core.blobs.adopted(&sealed.digest, adopted);
            }
            Ok(wrote)
        };
        let writing = WriteBehind::start().map_err(failed)?;
        let thread = std::thread::Builder::new().name("blob sync".into()).spawn(work).map_err(failed)?;
        Ok(Self { writing, work: Some((queue, thread)) })
    }

    /// Begins a blob, which is added to `written` once it is whole.
    pub(super) fn writer(
        &self,
        core: &Arc<Core>,
        algorithm: Algorithm,
        written: &WrittenBlobs,
    ) -> Result<BlobWriter, Error> {
        let Some((queue, _)) = &self.work else { return Err(Error::Unavailable("the release is over".into())) };
        let writer = core.blobs.depot.writer(algorithm, self.writing.clone())?;
        Ok(BlobWriter { writer, core: core.clone(), queue: queue.clone(), written: written.clone() })
    }

    /// Waits until every queued blob has its name. Returns whether any of them is new.
    pub(super) fn finish(mut self) -> Result<bool, Error> {
        match self.join() {
            Some(Ok(result)) => Ok(result?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(false),
        }
    }

    fn join(&mut self) -> Option<std::thread::Result<Result<bool, DiskError>>> {
        let (queue, thread) = self.work.take()?;
        drop(queue);
        Some(thread.join())
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // Its errors do not matter: the release is not committed.
        let _ = self.join();
    }
}

impl BlobWriter {
    /// Adds the next piece, hashing it while it is in the CPU cache: 64 KiB to 1 MiB are best.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.writer.write(bytes)?)
    }

    /// Ends the blob, which must have the `expected` digest if there is one. It has its name, and is durable, once the
    /// release is committed.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is kept. When the disk refuses.
    pub fn commit(self, expected: Option<Digest>) -> Result<Written, Error> {
        let (sealed, lease) = self.writer.seal()?;
        let (digest, size) = (sealed.digest, sealed.size);
        check_digest(expected.unwrap_or(digest), digest)?;
        let there = self.core.blobs.depot.size(&digest)? == Some(size);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let new = written.insert(digest, (size, lease)).is_none() && !there;
        drop(written);
        // The queue is closed only when the syncing thread met an error, which the commit of the release reports.
        if new && self.queue.send(sealed).is_err() {
            tracing::debug!(%digest, "the blob cannot be synced");
        }
        Ok(Written { digest, size, new })
    }
}

impl BlobSink for BlobWriter {
    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        Self::write(self, piece)
    }

    fn size(&self) -> u64 {
        self.writer.size()
    }

    fn write_inline(&mut self) {
        self.writer.write_inline();
    }

    fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<(Digest, u64), Error> {
        self.commit(expected).map(|written| (written.digest, written.size))
    }
}
