//! A release being made: what one ingest brings. Blobs go in as they are read and are seen by nobody; at the end
//! manifests are linked, and then one rename makes all tags appear together.
//!
//! Invariant: whatever the moment of a crash, all tags of an entry of the log are changed or none.

mod blobs;
mod brought;
mod draft;
mod precedence;
mod settle;
mod sink;

use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{KeptTag, Provenance, WhyKept};

pub use blobs::{BlobWriter, Written};
pub use draft::ReleaseDraft;
pub use precedence::{OnConflict, Precedence};
pub(crate) use settle::Settling;

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tag was not there.
    New,
    /// It pointed there already.
    AlreadyThere,
    /// It pointed somewhere else, and nothing stood in the way.
    Moved {
        /// Where it pointed.
        from: Digest,
    },
    /// It points somewhere else, and stays.
    Kept {
        /// Where it points.
        current: Digest,
        /// From whom.
        by: Provenance,
        /// Why.
        why: WhyKept,
    },
}

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

/// What a committed release did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReport {
    /// Its number in the log; none when nothing that can be seen changed.
    pub id: Option<u64>,
    /// Every tag, in the order of repository and tag.
    pub tags: Vec<TagOutcome>,
    /// Whether anything was written: blobs, links or tags.
    pub wrote: bool,
}
