//! What was looked up lately, so that the pull path asks no layer twice.
//!
//! Whatever changes names forgets its keys here, after the change is on disk (see `files/commit`).

use crate::cache::Cache;
use crate::oci::{Digest, RepositoryName, TagOrDigest};

use super::layer::ServedManifest;

/// Manifests kept: their number and their bytes together.
const MANIFESTS: (usize, usize) = (8192, 8 * 1024 * 1024);

/// Pairs of a repository and a blob it shows that are kept.
const VISIBLE: usize = 8192;

/// Manifests and memberships, by exact repository.
#[derive(Debug)]
pub(crate) struct Caches {
    /// That there is none is kept too: a bare name that means an upstream misses first as an internal one.
    pub(crate) manifests: Cache<(RepositoryName, TagOrDigest), Option<ServedManifest>>,
    /// The size of a blob that may be seen in a repository.
    pub(crate) visible: Cache<(RepositoryName, Digest), u64>,
}

impl Default for Caches {
    fn default() -> Self {
        Self { manifests: Cache::new(MANIFESTS.0, MANIFESTS.1), visible: Cache::new(VISIBLE, VISIBLE) }
    }
}

impl Caches {
    /// Forgets everything: for changes of many repositories at once.
    pub(crate) fn clear(&self) {
        self.manifests.clear();
        self.visible.clear();
    }
}
