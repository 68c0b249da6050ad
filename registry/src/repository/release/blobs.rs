//! Blobs of a release: written as they are read, and synced and named beside the reading of the next ones.

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::oci::{Algorithm, Digest};
use crate::registry::Shared;
use crate::store::{Adopted, Sealed, StoreError, WriteBehind, Writer};

/// Blobs whose content is written and that wait to be synced. More would keep more files open.
const SYNC_QUEUE: usize = 16;

/// The blobs written so far, with their sizes.
type Sizes = Arc<Mutex<HashMap<Digest, u64>>>;

/// Writes, syncs and names blobs beside the reading of the next ones. Dropped, it waits until everything queued has its
/// name: an ingest that was stopped goes on later from there, and nothing writes once it is said to be over.
#[derive(Debug)]
pub(super) struct Syncer {
    writing: WriteBehind,
    work: Option<(SyncSender<Sealed>, Syncing)>,
}

/// Ends when no more can be queued; says whether any blob was new.
type Syncing = JoinHandle<Result<bool, StoreError>>;

/// One blob of a release being written. Dropped before it is committed, it is gone.
#[derive(Debug)]
pub struct BlobWriter {
    writer: Writer,
    shared: Arc<Shared>,
    queue: SyncSender<Sealed>,
    written: Sizes,
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
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let (queue, blobs) = sync_channel::<Sealed>(SYNC_QUEUE);
        let work = move || {
            let mut wrote = false;
            for sealed in blobs {
                let adopted = sealed.adopt(&shared.store.blobs)?;
                wrote |= adopted != Adopted::There;
                if adopted == Adopted::Mended {
                    // Somebody may hold the damaged file open.
                    shared.blobs.clear();
                }
            }
            Ok(wrote)
        };
        let failed =
            |source| Error::Store(StoreError::Io { operation: "start a thread in", path: "incoming".into(), source });
        let writing = WriteBehind::start().map_err(failed)?;
        let thread = std::thread::Builder::new().name("blob sync".into()).spawn(work).map_err(failed)?;
        Ok(Self { writing, work: Some((queue, thread)) })
    }

    /// Begins a blob; what is written of it is noted in `written`.
    pub(super) fn writer(
        &self,
        shared: &Arc<Shared>,
        algorithm: Algorithm,
        written: &Sizes,
    ) -> Result<BlobWriter, Error> {
        let Some((queue, _)) = &self.work else { return Err(Error::Unavailable("the release is over".into())) };
        let writer = Writer::create(&shared.store.blobs, algorithm, self.writing.clone())?;
        Ok(BlobWriter { writer, shared: shared.clone(), queue: queue.clone(), written: written.clone() })
    }

    /// Waits until everything queued has its name; says whether any blob is new.
    pub(super) fn finish(mut self) -> Result<bool, Error> {
        match self.join() {
            Some(Ok(result)) => Ok(result?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(false),
        }
    }

    fn join(&mut self) -> Option<std::thread::Result<Result<bool, StoreError>>> {
        let (queue, thread) = self.work.take()?;
        drop(queue);
        Some(thread.join())
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // What went wrong is of no consequence: the release is not committed.
        let _ = self.join();
    }
}

impl BlobWriter {
    /// Takes in the next piece, hashing it while it is in the processor's cache: 64 KiB to 1 MiB are best.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.writer.write(bytes)?)
    }

    /// Writes on the calling thread, however large the blob is: a caller that writes several blobs at once gains nothing
    /// from a thread beside each.
    pub fn write_inline(&mut self) {
        self.writer.write_inline();
    }

    /// Bytes taken in so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.writer.size()
    }

    /// Ends the blob, which must have the `expected` digest if there is one. It has its name, and is durable, once the
    /// release is committed.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is kept. When the disk refuses.
    pub fn commit(self, expected: Option<Digest>) -> Result<Written, Error> {
        let sealed = self.writer.seal()?;
        let (digest, size) = (sealed.digest, sealed.size);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::DigestMismatch { expected, found: digest });
        }
        let there = self.shared.store.blobs.size(&digest)? == Some(size);
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = !there && written.insert(digest, size).is_none();
        drop(written);
        // The queue is closed only when the syncing thread met an error, which the commit of the release reports.
        if new && self.queue.send(sealed).is_err() {
            tracing::debug!(%digest, "the blob cannot be synced");
        }
        Ok(Written { digest, size, new })
    }
}
