//! Sinks that write nothing: one counts what an ingest would write, without reading layers; one hashes everything.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airdock_registry::content::{BlobSink, Committed, FileRange, HashedBlob, Sink};
use airdock_registry::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use airdock_registry::{Error, ReleaseDraft};

/// The blobs that the registry of `draft` lacks, each once.
pub(super) struct Count {
    pub(super) draft: ReleaseDraft,
    blobs: HashMap<Digest, u64>,
}

impl Count {
    pub(super) fn new(draft: ReleaseDraft) -> Self {
        Self { draft, blobs: HashMap::new() }
    }

    /// Whether everything counted fits and leaves `keep_free` bytes free.
    pub(super) fn require_room(&self, keep_free: u64) -> Result<(), Error> {
        let needed = self.blobs.values().fold(0_u64, |needed, size| needed.saturating_add(*size));
        self.draft.require_room(needed, keep_free)
    }

    fn add(&mut self, digest: Digest, size: u64) {
        // What is there already takes no room.
        if self.draft.has_blob(&digest) != Some(size) {
            self.blobs.insert(digest, size);
        }
    }
}

impl Sink for Count {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).copied().or_else(|| self.draft.has_blob(digest))
    }

    fn locates_only(&self) -> bool {
        true
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(HashedBlob::new(algorithm)))
    }

    fn put(&mut self, bytes: &[u8], digest: Digest) -> Result<(), Error> {
        self.add(digest, bytes.len() as u64);
        Ok(())
    }

    fn locate(&mut self, digest: Digest, at: &FileRange<'_>, _: bool) -> io::Result<bool> {
        self.add(digest, at.size);
        Ok(true)
    }

    fn estimate(&mut self, diff_id: Digest, size: u64) -> bool {
        self.add(diff_id, size);
        true
    }

    fn manifest(&mut self, _: &RepositoryName, _: Digest, _: Arc<Manifest>) {}

    fn tag(&mut self, _: &RepositoryName, _: Tag, _: Digest) {}

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        Ok(Committed::default())
    }
}

/// The sizes of the blobs that were hashed: an inventory has to name the digests of what can be read whole. Blobs written in
/// parallel share them.
#[derive(Clone, Default)]
pub(super) struct Hash(Arc<Mutex<HashMap<Digest, u64>>>);

/// A blob that adds its size once it is whole.
struct Blob {
    hashed: Box<HashedBlob>,
    into: Hash,
}

impl Hash {
    fn sizes(&self) -> MutexGuard<'_, HashMap<Digest, u64>> {
        // A panic cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Hash {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.sizes().get(digest).copied()
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(Blob { hashed: Box::new(HashedBlob::new(algorithm)), into: self.clone() }))
    }

    fn manifest(&mut self, _: &RepositoryName, _: Digest, _: Arc<Manifest>) {}

    fn tag(&mut self, _: &RepositoryName, _: Tag, _: Digest) {}

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        Ok(Committed::default())
    }
}

impl BlobSink for Blob {
    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.hashed.write(piece)
    }

    fn size(&self) -> u64 {
        self.hashed.size()
    }

    fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<(Digest, u64), Error> {
        let (digest, size) = self.hashed.finish(expected)?;
        self.into.sizes().insert(digest, size);
        Ok((digest, size))
    }
}
