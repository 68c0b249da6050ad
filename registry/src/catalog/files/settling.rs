//! What a committed entry of the log says as long as the links do not say it yet.

use std::collections::{HashMap, HashSet};

use crate::catalog::binding::TagLink;
use crate::catalog::release::{ManifestName, ReleaseRecord, TagChange};
use crate::oci::{Digest, RepositoryName, Tag};

/// Read before the links.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Where tags point; `None` for those that are gone.
    pub(super) tags: HashMap<(RepositoryName, Tag), Option<TagLink>>,
    /// Manifests that are in their repositories no more.
    unlinked: HashSet<ManifestName>,
}

impl Settling {
    pub(super) fn of(record: &ReleaseRecord) -> Self {
        let tag =
            |TagChange { repository, tag, after, .. }: &TagChange| ((repository.clone(), tag.clone()), after.clone());
        Self { tags: record.changes.iter().map(tag).collect(), unlinked: record.unlinked.iter().cloned().collect() }
    }

    /// Whether the manifest is there no more.
    pub(super) fn is_unlinked(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        // Nearly always the set is empty, and no key has to be made.
        !self.unlinked.is_empty()
            && self.unlinked.contains(&ManifestName { repository: repository.clone(), digest: *digest })
    }
}
