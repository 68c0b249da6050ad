//! What the log says of the tags since one of its entries.
//!
//! A removed release counts as if it had never been: where a later entry found what that release had made of a tag, it
//! counts as having found what the release had replaced.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::binding::{Provenance, TagLink};
use crate::catalog::files::ReleaseLog;
use crate::catalog::release::{ReleaseKind, RemovedRelease};
use crate::error::Error;
use crate::oci::{RepositoryName, Tag};

type TagName = (RepositoryName, Tag);

/// A part of the log, from after one entry to its end.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The tags that were changed.
    pub(super) tags: BTreeMap<TagName, Concerned>,
    /// Of removed releases, which one was in effect before each.
    parents: HashMap<u64, Option<u64>>,
    /// What the links of removed releases had replaced.
    replaced: HashMap<(TagName, u64), Option<TagLink>>,
}

/// A tag that was changed.
#[derive(Debug)]
pub(super) struct Concerned {
    /// What the first entry found; see [`History::resolve`].
    pub(super) before: Option<TagLink>,
    /// What the last entry made of it, and which entry that was.
    left: Option<TagLink>,
    left_by: u64,
}

impl History {
    /// Reads every entry after `id`, one at a time.
    pub(super) fn after(log: &ReleaseLog, id: u64) -> Result<Self, Error> {
        let mut history = Self::default();
        let mut removed = Vec::new();
        for entry in log.ids()?.into_iter().filter(|entry| *entry > id) {
            let Some(record) = log.read(entry)? else { continue };
            for change in record.changes {
                let concerned = history.tags.entry((change.repository, change.tag)).or_insert_with(|| Concerned {
                    before: change.before,
                    left: None,
                    left_by: 0,
                });
                (concerned.left, concerned.left_by) = (change.after, entry);
            }
            if let (ReleaseKind::Removal { of }, Some(gone)) = (record.kind, record.removed) {
                removed.push((of, gone));
            }
        }
        for (id, RemovedRelease { parent, changes }) in removed {
            history.parents.insert(id, parent);
            for change in changes {
                let name = (change.repository, change.tag);
                if let Some(concerned) = history.tags.get_mut(&name)
                    && concerned.left_by < id
                {
                    (concerned.left, concerned.left_by) = (change.after, id);
                }
                history.replaced.insert((name, id), change.before);
            }
        }
        Ok(history)
    }

    /// What an entry found a tag to be, as if releases that were removed had never been.
    pub(super) fn resolve<'a>(&'a self, name: &TagName, mut found: Option<&'a TagLink>) -> Option<&'a TagLink> {
        let mut before = u64::MAX;
        while let Some(link) = found {
            let Provenance::Ingested { release: Some(release), .. } = link.provenance else { break };
            // What a release found is older than itself; anything else would be a cycle.
            if release >= before {
                break;
            }
            let Some(replaced) = self.replaced.get(&(name.clone(), release)) else { break };
            (found, before) = (replaced.as_ref(), release);
        }
        found
    }

    /// `id`, or, if it was removed, the release that is still there and was in effect before it.
    pub(super) fn parent(&self, mut id: Option<u64>) -> Option<u64> {
        while let Some(parent) = id.and_then(|id| self.parents.get(&id)) {
            id = *parent;
        }
        id
    }
}

impl Concerned {
    /// Whether the tag still is what the log last made it.
    pub(super) fn stands(&self, current: Option<&TagLink>) -> bool {
        current.map(|link| link.sequence) == self.left.as_ref().map(|link| link.sequence)
    }
}
