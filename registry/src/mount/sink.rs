//! A mounted medium as a sink: blobs stay where they are, and mounting makes them visible.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::draft::MountDraft;
use crate::content::{BlobSink, Committed, FileRange, HashedBlob, Sink, wait};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

impl Sink for MountDraft {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.has_blob(digest)
    }

    fn locates_only(&self) -> bool {
        true
    }

    fn held(&self) -> Option<u64> {
        Some(Self::held(self))
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(HashedBlob::new(algorithm)))
    }

    fn put(&mut self, bytes: &[u8], digest: Digest) -> Result<(), Error> {
        self.hold(digest, Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn locate(&mut self, digest: Digest, at: &FileRange<'_>, verified: bool) -> io::Result<bool> {
        Self::locate(self, digest, (at.file, at.path), (at.offset, at.size), verified)?;
        Ok(true)
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>) {
        self.add_manifest(repository, digest, manifest);
    }

    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.add_tag(repository, tag, digest);
    }

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        let mounted = wait(super::mount(*self))?;
        Ok(Committed { tags: mounted.tags, ..Committed::default() })
    }
}
