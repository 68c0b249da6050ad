//! A sink that hashes everything and keeps only sizes: an inventory has to name the digests of what can be read whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airdock_registry::Error;
use airdock_registry::content::{BlobSink, Committed, HashedBlob, Sink};
use airdock_registry::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

/// The sizes of the blobs that were hashed. Blobs written in parallel share them.
#[derive(Clone, Debug, Default)]
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
