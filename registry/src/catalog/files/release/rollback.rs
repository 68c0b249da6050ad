//! Rolling back, or forward, to a release: every tag that the log has changed since becomes what it was then.

use super::history::History;
use crate::catalog::binding::TagLink;
use crate::catalog::files::Folder;
use crate::catalog::precedence::WhyKept;
use crate::catalog::release::{KeptTag, ReleaseError, ReleaseKind, ReleaseRecord, TagChange};
use crate::disk::{DiskError, damaged_is_none};
use crate::error::Error;
use crate::oci::{RepositoryName, Tag};

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The release in effect now.
    pub to: u64,
    /// The entry it made; none if that release already was in effect.
    pub record: Option<ReleaseRecord>,
}

impl Folder {
    /// What a rollback has to do; see [`Releases::rollback`](super::Releases::rollback).
    pub(super) fn roll_back(&self, to: Option<u64>, by: String) -> Result<Rollback, Error> {
        let in_effect = self.in_effect()?;
        let to = match to {
            Some(to) => to,
            None => {
                let current = in_effect.ok_or(ReleaseError::NoneInEffect)?;
                self.release_before(current)?.ok_or(ReleaseError::NothingBefore(current))?
            }
        };
        let release = self.release_record(to)?;
        let history = History::after(&self.log, to)?;
        let id = self.sequence.next()?;
        let mut record = ReleaseRecord::new(id, ReleaseKind::Rollback { to }, by);
        (record.parent, record.in_effect) = (in_effect, Some(to));
        for (name, concerned) in &history.tags {
            let (repository, tag) = name;
            let wanted = history.resolve(name, concerned.before.as_ref());
            let current = self.links.tag(repository, tag);
            // A damaged link is not what the log left there.
            let damaged = matches!(current, Err(DiskError::Damaged { .. }));
            let current = damaged_is_none(current)?;
            if !damaged && is_same(wanted, current.as_ref()) {
                continue;
            }
            let why = match wanted {
                _ if damaged || !concerned.stands(current.as_ref()) => Some(WhyKept::ChangedSince),
                Some(wanted) if self.links.manifest(repository, &wanted.digest)?.is_none() => Some(WhyKept::TargetGone),
                _ => None,
            };
            match why {
                Some(why) => record.kept.push(kept(name.clone(), wanted, current.as_ref(), why)),
                None => {
                    let (repository, tag) = name.clone();
                    let after = wanted.map(|wanted| TagLink { sequence: id, at: record.at, ..wanted.clone() });
                    record.changes.push(TagChange { repository, tag, before: current, after });
                }
            }
        }
        if record.changes.is_empty() && in_effect == Some(to) {
            return Ok(Rollback { to, record: None });
        }
        self.keep_others(&release, &history, &mut record)?;
        Ok(Rollback { to, record: Some(record) })
    }

    /// Reports the tags of the release that only clients have changed since.
    fn keep_others(&self, release: &ReleaseRecord, history: &History, record: &mut ReleaseRecord) -> Result<(), Error> {
        for TagChange { repository, tag, after, .. } in &release.changes {
            let name = (repository.clone(), tag.clone());
            if history.tags.contains_key(&name) {
                continue;
            }
            let current = damaged_is_none(self.links.tag(repository, tag))?;
            if current.as_ref().map(|link| link.digest) != after.as_ref().map(|link| link.digest) {
                record.kept.push(kept(name, after.as_ref(), current.as_ref(), WhyKept::ChangedSince));
            }
        }
        Ok(())
    }

    /// The release that was in effect before `id`, of those that are still there.
    pub(super) fn release_before(&self, id: u64) -> Result<Option<u64>, Error> {
        let mut parent = self.release_record(id)?.parent;
        while let Some(known) = parent {
            if self.log.read(known)?.is_some() {
                return Ok(Some(known));
            }
            // It was removed, as a later entry says.
            let before = History::after(&self.log, known)?.parent(Some(known));
            parent = before.filter(|before| *before < known);
        }
        Ok(None)
    }
}

/// Whether nothing would have to be written: the same content, from the same source.
fn is_same(one: Option<&TagLink>, other: Option<&TagLink>) -> bool {
    let content = |link: Option<&TagLink>| link.map(|link| (link.digest, link.provenance.clone()));
    content(one) == content(other)
}

fn kept(
    (repository, tag): (RepositoryName, Tag),
    wanted: Option<&TagLink>,
    current: Option<&TagLink>,
    why: WhyKept,
) -> KeptTag {
    KeptTag {
        repository,
        tag,
        wanted: wanted.map(|link| link.digest),
        current: current.map(|link| link.digest),
        by: current.map(|link| link.provenance.clone()),
        why,
    }
}
