//! What changes in one repository: one value, committed in one place.

use std::sync::Arc;

use crate::oci::{Digest, Manifest, RepositoryName, Tag};

use super::binding::Provenance;

/// Changes of one repository that are committed together. What is linked is linked in the order blobs, manifests, tags;
/// what is unlinked goes first and the other way round.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) repository: RepositoryName,
    /// Blobs that become visible, with their sizes in bytes. They must be stored durably.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// Manifests to store and link, under the digests of their contents. What they name must be stored durably.
    pub(crate) manifests: Vec<(Digest, Arc<Manifest>)>,
    pub(crate) tags: Vec<(Tag, Digest, Provenance)>,
    pub(crate) unlinked_tags: Vec<Tag>,
    pub(crate) unlinked_manifests: Vec<(Digest, Arc<Manifest>)>,
    /// Blobs that were pushed or mounted, and become invisible unless a manifest names them.
    pub(crate) unlinked_blobs: Vec<Digest>,
}

impl Changes {
    /// No changes yet.
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
}
