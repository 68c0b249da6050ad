//! Releases: the set of tags one ingest brought. Its file's rename into `releases/pending` is the one moment at which
//! all of them change; writing them to the tags' own links comes after and is done again by the next start when it was
//! cut off.

use std::fs;

use serde::{Deserialize, Serialize};

use super::durable::{Batch, sync_folder};
use super::error::{Context, StoreError};
use super::layout::Layout;
use super::link::{self, TagLink};
use crate::oci::{RepositoryName, Tag};

/// One tag of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseTag {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Tag,
    pub(crate) link: TagLink,
}

/// What a release changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) sequence: u64,
    pub(crate) tags: Vec<ReleaseTag>,
}

/// The releases of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    layout: Layout,
}

impl Releases {
    pub(crate) const fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Commits a release. After this its tags are the truth, whatever their links still say.
    ///
    /// # Durability
    /// Durable when it returns.
    pub(crate) fn commit(&self, release: &Release) -> Result<(), StoreError> {
        let incoming = self.layout.incoming();
        let mut batch = Batch::new(&incoming);
        let path = self.layout.pending_release(release.sequence);
        batch.write(&path, &link::render(release))?;
        // Best effort: what was refused must not come true at the next start.
        batch.commit().inspect_err(|_| drop(fs::remove_file(&path)))
    }

    /// Says that the links of all its tags are written and durable.
    pub(crate) fn settle(&self, sequence: u64) -> Result<(), StoreError> {
        let settled = self.layout.release(sequence);
        fs::rename(self.layout.pending_release(sequence), &settled).on("put in place", &settled)?;
        sync_folder(&self.layout.releases())?;
        sync_folder(&self.layout.pending_releases())
    }

    /// The releases that are committed and not settled, in order. Files of other names are not ours.
    pub(crate) fn pending(&self) -> Result<Vec<Release>, StoreError> {
        let folder = self.layout.pending_releases();
        let mut pending: Vec<Release> = Vec::new();
        for entry in fs::read_dir(&folder).on("list", &folder)? {
            let path = entry.on("list", &folder)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
                continue;
            }
            let text = fs::read(&path).on("read", &path)?;
            pending.push(link::parse(&text, &path)?);
        }
        pending.sort_by_key(|release| release.sequence);
        Ok(pending)
    }
}
