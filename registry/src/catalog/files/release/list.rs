//! A summary of the log.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::catalog::files::Folder;
use crate::catalog::release::{ReleaseKind, ReleaseRecord};
use crate::disk::DiskError;
use crate::error::Error;

/// A summary of every entry of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseList {
    /// The release in effect, if there is one.
    pub in_effect: Option<u64>,
    /// The entries, the oldest first.
    pub entries: Vec<ReleaseSummary>,
    /// Damaged entries, a sentence each.
    pub problems: Vec<String>,
}

/// A summary of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// Its number.
    pub id: u64,
    /// What made it.
    pub kind: ReleaseKind,
    /// The release in effect before it.
    pub parent: Option<u64>,
    /// Seconds since 1970.
    pub at: u64,
    /// Who asked for it.
    pub by: String,
    /// The bundle's name.
    pub bundle: String,
    /// Distinct images and charts it brought.
    pub images: usize,
    /// Tags it brought; of a rollback or a removal, tags it changed.
    pub tags: usize,
    /// Bytes it brought.
    pub bytes: u64,
    /// The checksum of what it brought.
    pub checksum: Option<String>,
    /// Tags it would have changed and did not.
    pub kept: usize,
    /// Whether it must not be removed.
    pub pinned: bool,
    /// Its state; a rollback or a removal has none.
    pub state: Option<ReleaseState>,
}

/// The state of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// The tags are as it left them.
    InEffect,
    /// It was in effect before the current one, and a rollback can lead to it.
    Earlier,
    /// A rollback went to another release.
    RolledBack,
}

impl Folder {
    /// Every entry of the log. A damaged one is reported and skipped.
    pub(super) fn list_releases(&self) -> Result<ReleaseList, Error> {
        let mut list = ReleaseList::default();
        let mut parents = HashMap::new();
        // One that the disk refused to settle counts already.
        let unsettled = self.unsettled.lock().clone();
        for id in self.log.ids()? {
            match self.log.read(id) {
                Ok(record) => record.into_iter().for_each(|record| list.add(record, &mut parents)),
                Err(error @ DiskError::Damaged { .. }) => list.problems.push(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        // It may have been settled since.
        let unsettled = unsettled.filter(|record| !parents.contains_key(&record.id));
        unsettled.into_iter().for_each(|record| list.add((*record).clone(), &mut parents));
        let parent = |id: u64| parents.get(&id).copied().flatten();
        let mut earlier = HashSet::new();
        let mut ancestor = list.in_effect.and_then(parent);
        while let Some(id) = ancestor.filter(|id| earlier.insert(*id)) {
            ancestor = parent(id);
        }
        for entry in list.entries.iter_mut().filter(|entry| entry.kind == ReleaseKind::Ingest) {
            entry.state = Some(match entry.id {
                id if list.in_effect == Some(id) => ReleaseState::InEffect,
                id if earlier.contains(&id) => ReleaseState::Earlier,
                _ => ReleaseState::RolledBack,
            });
        }
        Ok(list)
    }
}

impl ReleaseList {
    /// Adds the next entry, and to `parents` which release was in effect before it, or before the one it removed.
    fn add(&mut self, record: ReleaseRecord, parents: &mut HashMap<u64, Option<u64>>) {
        self.in_effect = record.in_effect;
        parents.insert(record.id, record.parent);
        if let (ReleaseKind::Removal { of }, Some(removed)) = (record.kind, record.removed) {
            parents.insert(of, removed.parent);
        }
        let tagged = record.images.iter().filter(|image| image.tag.is_some()).count();
        self.entries.push(ReleaseSummary {
            id: record.id,
            kind: record.kind,
            parent: record.parent,
            at: record.at,
            by: record.by,
            bundle: record.bundle,
            images: record.images.iter().map(|image| image.digest).collect::<HashSet<_>>().len(),
            tags: if record.images.is_empty() { record.changes.len() } else { tagged },
            bytes: record.bytes,
            checksum: record.checksum.as_ref().map(ToString::to_string),
            kept: record.kept.len(),
            pinned: record.pinned,
            state: None,
        });
    }
}
