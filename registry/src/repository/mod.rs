//! The use cases: what a client may ask of a repository, without HTTP.
//!
//! Reads go by whatever name was asked and look through the repositories it may mean; writes go to exactly one.
//! Invariants kept here: a manifest is linked only after everything it names is there, its tag comes last, and deleting
//! goes the other way round; a blob is visible only where it is linked; reads never write.

mod carry;
mod charts;
mod contents;
mod delete;
mod lists;
mod mount_sink;
mod mounted;
mod pull;
mod push;
pub(crate) mod rebuild;
mod referrers;
mod release;
mod releases;
mod upload;
mod verify;

use std::sync::Arc;

use crate::oci::RepositoryName;
use crate::registry::Shared;

pub(crate) use charts::Charts;
pub use charts::{ChartFile, ChartIndex};
pub use contents::{ContentKind, Description, Listed, Part, Place, Summary, TagOrigin, Tagged, TaggedPage};
pub use lists::{RepositoryPage, TagPage};
pub use mount_sink::MountSink;
pub use mounted::Mounted;
pub use pull::ServedManifest;
pub use push::{PutManifest, PutReference};
pub use referrers::ReferrersPage;
pub(crate) use release::Settling;
pub use release::{BlobWriter, OnConflict, Outcome, Precedence, ReleaseDraft, ReleaseReport, TagOutcome, Written};
pub use releases::{ReleaseError, ReleaseList, ReleaseState, ReleaseSummary, Releases, Rollback};
pub use upload::Upload;
pub use verify::{Finding, MediumPlace, MediumRead, VerifyProgress, VerifyReport};

/// One repository, to be changed.
#[derive(Clone, Debug)]
pub struct Repository {
    shared: Arc<Shared>,
    name: RepositoryName,
}

impl Repository {
    pub(crate) const fn new(shared: Arc<Shared>, name: RepositoryName) -> Self {
        Self { shared, name }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &RepositoryName {
        &self.name
    }
}

/// Seconds since 1970, for people to read in a tag's link.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
