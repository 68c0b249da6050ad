//! A mounted medium as a sink: blobs stay where they are, and the mount makes them visible.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::{BlobSink, Committed, FileRange, HashedBlob, Sink, wait};
use crate::error::Error;
use crate::mounts::MountDraft;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use crate::registry::Registry;

/// A medium being described, that is mounted in the end.
#[derive(Debug)]
pub struct MountSink {
    registry: Registry,
    draft: MountDraft,
}

impl MountSink {
    /// Begins with nothing. `root` is the folder or file that is mounted: errors name its files from there.
    #[must_use]
    pub fn new(registry: &Registry, root: &Path) -> Self {
        Self { registry: registry.clone(), draft: MountDraft::new(root) }
    }
}

impl Sink for MountSink {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.draft.has_blob(digest)
    }

    fn locates_only(&self) -> bool {
        true
    }

    fn held(&self) -> Option<u64> {
        Some(self.draft.held())
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(HashedBlob::new(algorithm)))
    }

    fn put(&mut self, bytes: &[u8], digest: Digest) -> Result<(), Error> {
        self.draft.hold(digest, Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn locate(&mut self, digest: Digest, at: &FileRange<'_>, verified: bool) -> io::Result<bool> {
        self.draft.locate(digest, (at.file, at.path), (at.offset, at.size), verified)?;
        Ok(true)
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>) {
        self.draft.add_manifest(repository, digest, manifest);
    }

    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.draft.add_tag(repository, tag, digest);
    }

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        let mounted = wait(self.registry.mount(self.draft))?;
        Ok(Committed { tags: mounted.tags, ..Committed::default() })
    }
}
