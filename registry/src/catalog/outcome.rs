//! What became of one tag of a release or a mount.

use super::precedence::Outcome;
use super::release::KeptTag;
use crate::oci::{Digest, RepositoryName, Tag};

/// One tag of a release and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagOutcome {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where the release points it.
    pub digest: Digest,
    /// What became of it.
    pub outcome: Outcome,
}

impl TagOutcome {
    /// The same for the record, if the tag stays as it is.
    #[must_use]
    pub fn kept(&self) -> Option<KeptTag> {
        let Outcome::Kept { current, by, why } = &self.outcome else { return None };
        Some(KeptTag {
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            wanted: Some(self.digest),
            current: Some(*current),
            by: Some(by.clone()),
            why: *why,
        })
    }
}
