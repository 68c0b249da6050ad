//! Removing a release: its tags become what they were before it, and the manifests that only it brought are unlinked.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::history::History;
use crate::catalog::binding::{Provenance, TagLink};
use crate::catalog::files::Folder;
use crate::catalog::precedence::WhyKept;
use crate::catalog::release::{
    KeptTag, ManifestName, ReleaseError, ReleaseKind, ReleaseRecord, RemovedRelease, TagChange,
};
use crate::disk::damaged_is_none;
use crate::error::Error;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, Manifest, ManifestKind, RepositoryName};

/// Manifests, by repository.
type Manifests = BTreeMap<RepositoryName, HashSet<Digest>>;

impl Folder {
    /// What a removal has to do; see [`Releases::remove`](super::Releases::remove).
    pub(super) fn remove_release(&self, id: u64, by: String) -> Result<ReleaseRecord, Error> {
        let release = self.release_record(id)?;
        if release.pinned {
            return Err(ReleaseError::Pinned(id).into());
        }
        let in_effect = self.in_effect()?;
        let is_in_effect = in_effect == Some(id);
        if is_in_effect && self.release_before(id)?.is_some() {
            return Err(ReleaseError::InEffect(id).into());
        }
        let number = self.sequence.next()?;
        let mut record = ReleaseRecord::new(number, ReleaseKind::Removal { of: id }, by);
        record.parent = in_effect;
        record.in_effect = in_effect.filter(|_| !is_in_effect);
        record.bundle.clone_from(&release.bundle);
        let history = History::after(&self.log, 0)?;
        self.put_back(&release, &history, &mut record)?;
        record.removed = Some(what_stays(&release, &history));
        record.unlinked = self.brought_alone(&release, &record)?;
        Ok(record)
    }

    /// Sets every tag that still is what the release made it to what it was before.
    fn put_back(&self, release: &ReleaseRecord, history: &History, record: &mut ReleaseRecord) -> Result<(), Error> {
        for TagChange { repository, tag, before, after } in &release.changes {
            let Some(after) = after else { continue };
            // A damaged link is not what the release left there.
            let current = damaged_is_none(self.links.tag(repository, tag))?;
            let Some(current) = current.filter(|current| is_of(current, after)) else { continue };
            let name = (repository.clone(), tag.clone());
            let mut wanted = history.resolve(&name, before.as_ref());
            if let Some(target) = wanted
                && self.links.manifest(repository, &target.digest)?.is_none()
            {
                record.kept.push(KeptTag {
                    repository: repository.clone(),
                    tag: tag.clone(),
                    wanted: Some(target.digest),
                    current: None,
                    by: Some(target.provenance.clone()),
                    why: WhyKept::TargetGone,
                });
                wanted = None;
            }
            let after = wanted.map(|wanted| TagLink { sequence: record.id, at: record.at, ..wanted.clone() });
            record.changes.push(TagChange { repository: name.0, tag: name.1, before: Some(current), after });
        }
        Ok(())
    }

    /// The manifests of the release that nothing else needs once `record` is committed.
    fn brought_alone(&self, release: &ReleaseRecord, record: &ReleaseRecord) -> Result<Vec<ManifestName>, Error> {
        let mut alone = Manifests::new();
        for ManifestName { repository, digest } in &release.manifests {
            let link = self.links.manifest(repository, digest)?;
            if link.is_some_and(|link| link.ingested) {
                alone.entry(repository.clone()).or_default().insert(*digest);
            }
        }
        self.spare_what_the_log_names(release.id, record, &mut alone)?;
        for (repository, digests) in &mut alone {
            self.spare_what_is_tagged(repository, record, digests)?;
            self.spare_what_indexes_name(repository, digests)?;
        }
        let names = alone.into_iter().flat_map(|(repository, digests)| {
            let name = move |digest| ManifestName { repository: repository.clone(), digest };
            digests.into_iter().collect::<BTreeSet<_>>().into_iter().map(name)
        });
        Ok(names.collect())
    }

    /// Spares what another release brought, and what a rollback may restore.
    fn spare_what_the_log_names(&self, id: u64, record: &ReleaseRecord, alone: &mut Manifests) -> Result<(), Error> {
        let mut gone: Vec<u64> = vec![id];
        let mut entries = Vec::new();
        for entry in self.log.ids()?.into_iter().filter(|entry| *entry != id) {
            let Some(entry) = self.log.read(entry)? else { continue };
            if let ReleaseKind::Removal { of } = entry.kind {
                gone.push(of);
            }
            for ManifestName { repository, digest } in &entry.manifests {
                alone.get_mut(repository).map(|digests| digests.remove(digest));
            }
            entries.extend(entry.changes);
        }
        // What is restored now may have been found by a release that is gone.
        entries.extend(record.changes.iter().cloned());
        for TagChange { repository, before, after, .. } in &entries {
            let Some(digests) = alone.get_mut(repository) else { continue };
            // A rollback never restores a tag to a removed release; it skips to what that release had replaced.
            for link in [before, after].into_iter().flatten().filter(|link| !is_of_any(link, &gone)) {
                digests.remove(&link.digest);
            }
        }
        Ok(())
    }

    fn spare_what_is_tagged(
        &self,
        repository: &RepositoryName,
        record: &ReleaseRecord,
        digests: &mut HashSet<Digest>,
    ) -> Result<(), Error> {
        let of_here = record.changes.iter().filter(|change| change.repository == *repository);
        let changed: BTreeMap<_, _> = of_here.map(|change| (&change.tag, &change.after)).collect();
        for tag in self.links.tags(repository)? {
            let tag = tag?;
            match changed.get(&tag) {
                Some(after) => after.as_ref().map(|link| digests.remove(&link.digest)),
                None => self.links.tag(repository, &tag)?.map(|link| digests.remove(&link.digest)),
            };
        }
        Ok(())
    }

    /// Spares what the indexes name that stay in the repository.
    fn spare_what_indexes_name(&self, repository: &RepositoryName, digests: &mut HashSet<Digest>) -> Result<(), Error> {
        let mut staying: Vec<Digest> = self.links.manifests(repository)?.collect::<Result<_, _>>()?;
        staying.retain(|digest| !digests.contains(digest));
        while let Some(digest) = staying.pop() {
            if digests.is_empty() {
                break;
            }
            let Some(link) = self.links.manifest(repository, &digest)? else { continue };
            if link.media_type.manifest_kind() == ManifestKind::Image {
                continue;
            }
            // A damaged one cannot be served either.
            let bytes = damaged_is_none(self.blobs.read_now(&digest, MAX_MANIFEST_SIZE))?;
            let Some(Ok(index)) = bytes.map(|bytes| Manifest::parse(bytes, Some(link.media_type))) else { continue };
            staying.extend(
                index.children().filter(|(child, _)| digests.remove(&child.digest)).map(|(child, _)| child.digest),
            );
        }
        Ok(())
    }
}

/// What is kept of the release, as if releases removed earlier had never been: a reader that starts at a later entry of
/// the log does not see those.
fn what_stays(release: &ReleaseRecord, history: &History) -> RemovedRelease {
    let resolved = |change: &TagChange| {
        let name = (change.repository.clone(), change.tag.clone());
        TagChange { before: history.resolve(&name, change.before.as_ref()).cloned(), ..change.clone() }
    };
    RemovedRelease { parent: history.parent(release.parent), changes: release.changes.iter().map(resolved).collect() }
}

/// Whether a link is what a release made it, or what a rollback restored of that.
fn is_of(current: &TagLink, made: &TagLink) -> bool {
    current.digest == made.digest && current.provenance == made.provenance
}

fn is_of_any(link: &TagLink, releases: &[u64]) -> bool {
    matches!(link.provenance, Provenance::Ingested { release: Some(release), .. } if releases.contains(&release))
}
