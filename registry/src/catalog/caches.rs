//! Cached lookups, so that the pull path asks no layer twice. A commit removes the keys it changes after the change is
//! on disk (see `files/commit`).

use crate::cache::Cache;
use crate::oci::{Digest, RepositoryName, TagOrDigest};

use super::layer::ServedManifest;

/// Manifests and visible blobs, by exact repository.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Absence is cached, too: a bare name that means an upstream misses first as an internal one.
    pub(crate) manifests: Cache<(RepositoryName, TagOrDigest), Option<ServedManifest>>,
    /// The sizes of blobs that are visible in a repository.
    pub(crate) visible: Cache<(RepositoryName, Digest), u64>,
}

impl Default for Caches {
    fn default() -> Self {
        Self { manifests: Cache::new(8192, 8 * 1024 * 1024), visible: Cache::new(8192, 8192) }
    }
}

impl Caches {
    /// Forgets everything: for changes in many repositories.
    pub(crate) fn clear(&self) {
        self.manifests.clear();
        self.visible.clear();
    }
}
