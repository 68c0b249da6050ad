//! Going back, or forward, to a release: every tag that the log has changed since becomes again what it was.

use super::error::ReleaseError;
use super::history::History;
use super::record::{KeptTag, ReleaseKind, ReleaseRecord, TagChange};
use crate::catalog::binding::TagLink;
use crate::catalog::files::{Folder, Index};
use crate::catalog::precedence::WhyKept;
use crate::disk::DiskError;
use crate::error::Error;
use crate::oci::{RepositoryName, Tag};

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The release in effect now.
    pub to: u64,
    /// The entry it made; none if that release was in effect already.
    pub record: Option<ReleaseRecord>,
}

impl Folder {
    /// See [`Releases::rollback`](super::Releases::rollback).
    pub(super) fn roll_back(&self, to: Option<u64>, by: String, index: &Index) -> Result<Rollback, Error> {
        let in_effect = self.in_effect()?;
        let to = match to {
            Some(to) => to,
            None => self.release_before(in_effect.ok_or(ReleaseError::NoneInEffect)?)?,
        };
        let release = self.release_record(to)?;
        let history = History::after(&self.log, to)?;
        let id = self.sequence.next()?;
        let mut record = ReleaseRecord::new(id, ReleaseKind::Rollback { to }, by);
        (record.parent, record.in_effect) = (in_effect, Some(to));
        for (name, concerned) in &history.tags {
            let (repository, tag) = name;
            let wanted = history.before(name, concerned);
            let (current, damaged) = match self.links.tag(repository, tag) {
                Ok(current) => (current, false),
                // Whatever it was, it is not what was left there.
                Err(DiskError::Damaged { .. }) => (None, true),
                Err(error) => return Err(error.into()),
            };
            if !damaged && is_same(wanted, current.as_ref()) {
                continue;
            }
            let why = if damaged || !concerned.stands(current.as_ref()) {
                Some(WhyKept::ChangedSince)
            } else {
                match wanted {
                    Some(wanted) if self.links.manifest(repository, &wanted.digest)?.is_none() => {
                        Some(WhyKept::TargetGone)
                    }
                    _ => None,
                }
            };
            let (repository, tag) = (repository.clone(), tag.clone());
            match why {
                Some(why) => record.kept.push(kept(repository, tag, wanted, current.as_ref(), why)),
                None => {
                    let after = wanted.map(|wanted| TagLink { sequence: id, at: record.at, ..wanted.clone() });
                    record.changes.push(TagChange { repository, tag, before: current, after });
                }
            }
        }
        if record.changes.is_empty() && in_effect == Some(to) {
            return Ok(Rollback { to, record: None });
        }
        self.keep_others(&release, &history, &mut record)?;
        self.commit_entry(&record, index)?;
        Ok(Rollback { to, record: Some(record) })
    }

    /// Tags of the release that the log has not changed since, and that a client has.
    fn keep_others(&self, release: &ReleaseRecord, history: &History, record: &mut ReleaseRecord) -> Result<(), Error> {
        for TagChange { repository, tag, after, .. } in &release.changes {
            let name = (repository.clone(), tag.clone());
            if history.tags.contains_key(&name) {
                continue;
            }
            let current = match self.links.tag(repository, tag) {
                Ok(current) => current,
                Err(DiskError::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            if current.as_ref().map(|link| link.digest) != after.as_ref().map(|link| link.digest) {
                let (repository, tag) = name;
                let why = WhyKept::ChangedSince;
                record.kept.push(kept(repository, tag, after.as_ref(), current.as_ref(), why));
            }
        }
        Ok(())
    }

    /// The release that was in effect before `id`, of those that are still there.
    pub(super) fn release_before(&self, id: u64) -> Result<u64, Error> {
        let mut parent = self.release_record(id)?.parent;
        while let Some(known) = parent {
            if self.log.read(known)?.is_some() {
                return Ok(known);
            }
            // Removed since it was in effect: the entry that says so is later than itself.
            let history = History::after(&self.log, known)?;
            let before = history.parent(Some(known));
            parent = before.filter(|before| *before < known);
        }
        Err(ReleaseError::NothingBefore(id).into())
    }
}

/// Whether nothing would have to be written: the same content, from the same source.
fn is_same(one: Option<&TagLink>, other: Option<&TagLink>) -> bool {
    let content = |link: Option<&TagLink>| link.map(|link| (link.digest, link.provenance.clone()));
    content(one) == content(other)
}

fn kept(
    repository: RepositoryName,
    tag: Tag,
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
