//! What changes of one repository: one value, committed in one place.

use std::sync::Arc;

use crate::oci::{Digest, Manifest, RepositoryName, Tag};

use super::binding::Provenance;

/// Changes of one repository that are committed together. What is linked is linked in the order blobs, manifests as they
/// were added, tags; what is unlinked goes first and the other way round.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(super) repository: RepositoryName,
    pub(super) blobs: Vec<(Digest, u64)>,
    pub(super) manifests: Vec<(Digest, Arc<Manifest>)>,
    pub(super) tags: Vec<(Tag, Digest, Provenance)>,
    pub(super) unlinked_tags: Vec<Tag>,
    pub(super) unlinked_manifests: Vec<(Digest, Arc<Manifest>)>,
    pub(super) unlinked_blobs: Vec<Digest>,
}

impl Changes {
    /// Of nothing yet.
    pub(crate) const fn of(repository: RepositoryName) -> Self {
        Self {
            repository,
            blobs: Vec::new(),
            manifests: Vec::new(),
            tags: Vec::new(),
            unlinked_tags: Vec::new(),
            unlinked_manifests: Vec::new(),
            unlinked_blobs: Vec::new(),
        }
    }

    /// Shows a blob of `size` bytes, which must be stored durably.
    pub(crate) fn link_blob(mut self, digest: Digest, size: u64) -> Self {
        self.blobs.push((digest, size));
        self
    }

    /// Stores and links a manifest whose digest must be its content's; what it names must be there, durably.
    pub(crate) fn link_manifest(mut self, digest: Digest, manifest: Arc<Manifest>) -> Self {
        self.manifests.push((digest, manifest));
        self
    }

    /// Points a tag at a manifest.
    pub(crate) fn point(mut self, tag: Tag, digest: Digest, by: Provenance) -> Self {
        self.tags.push((tag, digest, by));
        self
    }

    /// Removes a tag.
    pub(crate) fn unlink_tag(mut self, tag: Tag) -> Self {
        self.unlinked_tags.push(tag);
        self
    }

    /// Removes a manifest.
    pub(crate) fn unlink_manifest(mut self, digest: Digest, manifest: Arc<Manifest>) -> Self {
        self.unlinked_manifests.push((digest, manifest));
        self
    }

    /// Hides a blob that was pushed or mounted.
    pub(crate) fn unlink_blob(mut self, digest: Digest) -> Self {
        self.unlinked_blobs.push(digest);
        self
    }
}
