//! Where manifests are: what belongs to one goes to each of its repositories.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{Digest, RepositoryName};

/// How many repositories of one manifest are named at most: what belongs to it is linked in each of them.
pub(crate) const MAX: usize = 256;

/// The repositories of manifests, in bytewise order.
pub type Homes = BTreeMap<Digest, BTreeSet<RepositoryName>>;

/// Adds a repository of a manifest, unless there are enough.
pub(crate) fn add_home(homes: &mut Homes, manifest: Digest, repository: &RepositoryName) {
    let repositories = homes.entry(manifest).or_default();
    if repositories.len() < MAX {
        repositories.insert(repository.clone());
    }
}
