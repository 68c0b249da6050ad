//! Making the metadata anew.

use airdock_registry::{RebuildReport, Registry};
use serde::{Deserialize, Serialize};

use super::Failure;

/// What a rebuild found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RebuildCounts {
    pub(crate) repositories: u64,
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
    pub(crate) problems: Vec<String>,
}

impl From<RebuildReport> for RebuildCounts {
    fn from(report: RebuildReport) -> Self {
        Self {
            repositories: report.repositories as u64,
            manifests: report.manifests as u64,
            tags: report.tags as u64,
            problems: report.problems,
        }
    }
}

pub(super) async fn rebuild(registry: &Registry) -> Result<RebuildCounts, Failure> {
    let report = registry.rebuild().await.map_err(|error| Failure::because("cannot rebuild the metadata", &error))?;
    Ok(report.into())
}
