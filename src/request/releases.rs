//! The releases there were: listing and showing them, pinning, going back or forward, removing.

use airdock_registry::{Error, Registry, ReleaseList, ReleaseRecord};
use serde::{Deserialize, Serialize};

use super::Failure;

/// What is wanted of the releases.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReleaseRequest {
    /// All of them: [`ReleaseReply::List`].
    List,
    /// One of them: [`ReleaseReply::Shown`].
    Show { id: u64 },
    /// Whether one may be removed: [`ReleaseReply::Pinned`].
    Pin { id: u64, pinned: bool },
    /// Back, or forward, to one, or to the one before: [`ReleaseReply::RolledBack`].
    Rollback { to: Option<u64>, by: String },
    /// One away: [`ReleaseReply::Removed`].
    Remove { id: u64, by: String },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReleaseReply {
    List(ReleaseList),
    Shown(Box<ReleaseRecord>),
    Pinned {
        id: u64,
        pinned: bool,
    },
    /// The release in effect now, and the entry of the log, unless it was in effect already.
    RolledBack {
        to: u64,
        record: Option<Box<ReleaseRecord>>,
    },
    /// The entry that took its place.
    Removed {
        id: u64,
        record: Box<ReleaseRecord>,
    },
}

pub(super) async fn answer(registry: &Registry, request: ReleaseRequest) -> Result<ReleaseReply, Failure> {
    let releases = registry.releases();
    let failed = |tried: &str, error: Error| match error {
        // They say what to do, and need no preface.
        Error::Release(refusal) => Failure::new(refusal.to_string()),
        error => Failure::because(tried, &error),
    };
    match request {
        ReleaseRequest::List => {
            releases.list().await.map(ReleaseReply::List).map_err(|error| failed("cannot list the releases", error))
        }
        ReleaseRequest::Show { id } => {
            let record = releases.show(id).await.map_err(|error| failed("cannot show the release", error))?;
            Ok(ReleaseReply::Shown(Box::new(record)))
        }
        ReleaseRequest::Pin { id, pinned } => {
            releases.pin(id, pinned).await.map_err(|error| failed("cannot pin the release", error))?;
            Ok(ReleaseReply::Pinned { id, pinned })
        }
        ReleaseRequest::Rollback { to, by } => {
            let done = releases.rollback(to, &by).await.map_err(|error| failed("cannot roll back", error))?;
            Ok(ReleaseReply::RolledBack { to: done.to, record: done.record.map(Box::new) })
        }
        ReleaseRequest::Remove { id, by } => {
            let record = releases.remove(id, &by).await.map_err(|error| failed("cannot remove the release", error))?;
            Ok(ReleaseReply::Removed { id, record: Box::new(record) })
        }
    }
}
