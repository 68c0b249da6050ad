//! The log in short.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::record::{ReleaseKind, ReleaseRecord};
use crate::catalog::files::Folder;
use crate::disk::DiskError;
use crate::error::Error;

/// Every entry of the log, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseList {
    /// The release in effect, if there is one.
    pub in_effect: Option<u64>,
    /// The entries, the oldest first.
    pub entries: Vec<ReleaseSummary>,
    /// Entries that cannot be believed, a sentence each.
    pub problems: Vec<String>,
}

/// One entry of the log, in short.
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
    /// Different images and charts it brought.
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
    /// How it stands; of a rollback or a removal, nothing.
    pub state: Option<ReleaseState>,
}

/// How a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// It is what the tags are.
    InEffect,
    /// The one in effect came after it, and going back leads to it.
    Earlier,
    /// It was gone back from.
    RolledBack,
}

impl Folder {
    /// Every entry of the log. One that is damaged is reported and passed over.
    pub(super) fn list_releases(&self) -> Result<ReleaseList, Error> {
        let mut list = ReleaseList::default();
        let log = &self.log;
        // An entry the disk refused to settle counts already.
        let unsettled = self.unsettled();
        let mut removed = HashMap::new();
        for id in log.ids()? {
            match log.read(id) {
                Ok(record) => {
                    list.entries.extend(record.map(|record| summary(&record, &mut list.in_effect, &mut removed)))
                }
                Err(error @ DiskError::Damaged { .. }) => list.problems.push(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        list.entries.extend(unsettled.map(|record| summary(&record, &mut list.in_effect, &mut removed)));
        let parents: HashMap<_, _> = list.entries.iter().map(|entry| (entry.id, entry.parent)).chain(removed).collect();
        let mut earlier = HashSet::new();
        let mut ancestor = list.in_effect.and_then(|id| parents.get(&id).copied().flatten());
        while let Some(id) = ancestor.filter(|id| earlier.insert(*id)) {
            ancestor = parents.get(&id).copied().flatten();
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

fn summary(
    record: &ReleaseRecord,
    in_effect: &mut Option<u64>,
    removed: &mut HashMap<u64, Option<u64>>,
) -> ReleaseSummary {
    *in_effect = record.in_effect;
    if let (ReleaseKind::Removal { of }, Some(gone)) = (record.kind, &record.removed) {
        removed.insert(of, gone.parent);
    }
    let tagged = || record.images.iter().filter(|image| image.tag.is_some());
    ReleaseSummary {
        id: record.id,
        kind: record.kind,
        parent: record.parent,
        at: record.at,
        by: record.by.clone(),
        bundle: record.bundle.clone(),
        images: record.images.iter().map(|image| image.digest).collect::<HashSet<_>>().len(),
        tags: if record.images.is_empty() { record.changes.len() } else { tagged().count() },
        bytes: record.bytes,
        checksum: record.checksum.as_ref().map(ToString::to_string),
        kept: record.kept.len(),
        pinned: record.pinned,
        state: None,
    }
}
