//! The one place that changes names: truth first, then the index, then the caches.
//!
//! Invariants: a manifest is linked only after everything it names is there, its tag comes last, and removing goes the
//! other way round. A crash leaves all tags of an entry of the log changed or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::folder::{Folder, Settling};
use super::index::{Index, Rows};
use super::links::{BlobLink, Link, ManifestLink};
use crate::catalog::binding::{Provenance, TagLink};
use crate::catalog::changes::Changes;
use crate::catalog::release::{ManifestName, ReleaseKind, ReleaseRecord, TagChange, now};
use crate::disk::{Batch, DiskError, damaged_is_none};
use crate::error::Error;
use crate::oci::{Digest, Manifest, RepositoryName, Tag, TagOrDigest};

impl Folder {
    /// Commits changes of one repository, durably. Says whether anything was there that was to be unlinked.
    pub(super) fn commit(self: &Arc<Self>, changes: &Changes, index: &Arc<Index>) -> Result<bool, Error> {
        let unlinked = self.guarded(index, |folder, index| {
            folder.settle_again()?;
            let written = folder.write_truth(changes);
            if written.is_err() {
                folder.reconcile([&changes.repository], index)?;
            }
            Ok(written?)
        })?;
        // An index that fails now is given up, and the next one is built from the links: the change is made (S05).
        let _ = self.guarded(index, |_, index| Ok(index.apply(rows(changes))?));
        // After the index: a read in between would cache the old answer again.
        self.forget(changes);
        Ok(unlinked)
    }

    fn write_truth(&self, changes: &Changes) -> Result<bool, DiskError> {
        let (links, repository) = (&self.links, &changes.repository);
        let mut unlinked = false;
        let mut batch = Batch::new(&self.layout);
        for tag in &changes.unlinked_tags {
            unlinked |= batch.remove(&links.path(repository, Link::Tag(tag)))?;
        }
        batch.commit()?;
        let mut batch = Batch::new(&self.layout);
        for (digest, _) in &changes.unlinked_manifests {
            unlinked |= batch.remove(&links.path(repository, Link::Manifest(digest)))?;
        }
        batch.commit()?;
        let mut batch = Batch::new(&self.layout);
        for digest in &changes.unlinked_blobs {
            unlinked |= batch.remove(&links.path(repository, Link::Blob(digest)))?;
        }
        for (digest, size) in &changes.blobs {
            batch.write_record(&links.path(repository, Link::Blob(digest)), &BlobLink { size: *size })?;
        }
        batch.commit()?;
        for (digest, manifest) in &changes.manifests {
            self.link_manifest(repository, digest, manifest)?;
        }
        self.point(repository, &changes.tags)?;
        Ok(unlinked)
    }

    /// Stores a manifest's bytes and links it, each durable before the next.
    fn link_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        manifest: &Manifest,
    ) -> Result<(), DiskError> {
        let link = link_of(manifest, false);
        let whole = self.blobs.size(digest)? == Some(link.size);
        if whole && self.links.manifest(repository, digest)?.as_ref() == Some(&link) {
            return Ok(());
        }
        self.blobs.put(&[(*digest, manifest.bytes().clone())])?;
        let mut batch = Batch::new(&self.layout);
        batch.write_record(&self.links.path(repository, Link::Manifest(digest)), &link)?;
        batch.commit()
    }

    fn point(&self, repository: &RepositoryName, tags: &[(Tag, Digest, Provenance)]) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        for (tag, digest, by) in tags {
            // The same target from the same source: nothing to write.
            let there = self.links.tag(repository, tag);
            if matches!(&there, Ok(Some(link)) if link.digest == *digest && link.provenance == *by) {
                continue;
            }
            let sequence = self.sequence.next()?;
            let link = TagLink { digest: *digest, sequence, at: now(), provenance: by.clone() };
            batch.write_record(&self.links.path(repository, Link::Tag(tag)), &link)?;
        }
        batch.commit()
    }

    fn forget(&self, changes: &Changes) {
        let repository = &changes.repository;
        let forget = |reference| self.caches.manifests.remove(&(repository.clone(), reference));
        let tags = changes.tags.iter().map(|(tag, ..)| tag).chain(&changes.unlinked_tags);
        tags.for_each(|tag| forget(TagOrDigest::Tag(tag.clone())));
        let manifests = changes.manifests.iter().chain(&changes.unlinked_manifests);
        manifests.for_each(|(digest, _)| forget(TagOrDigest::Digest(*digest)));
        // Blobs that only such a manifest made visible here are now invisible.
        let named = changes.unlinked_manifests.iter().flat_map(|(_, manifest)| manifest.blobs());
        let hidden = named.map(|blob| blob.digest).chain(changes.unlinked_blobs.iter().copied());
        hidden.for_each(|digest| self.caches.visible.remove(&(repository.clone(), digest)));
        // The manifest that is pushed next names them.
        for (digest, size) in &changes.blobs {
            let key = (repository.clone(), *digest);
            self.caches.visible.remove(&key);
            self.caches.visible.insert(self.caches.visible.ticket(&key), key, *size, 1);
        }
    }

    /// Links those manifests of an ingest that are not linked yet; says whether there were any. Their blobs must be
    /// stored. Each folder is synced once.
    pub(super) fn link_ingested(
        &self,
        manifests: &[(ManifestName, Arc<Manifest>)],
        index: &Index,
    ) -> Result<bool, Error> {
        let mut fresh = Vec::new();
        for (name, manifest) in manifests {
            let linked = self.links.manifest(&name.repository, &name.digest)?;
            // One that is linked and whose file is gone is stored again.
            if linked.is_none() || self.blobs.size(&name.digest)? != Some(manifest.bytes().len() as u64) {
                fresh.push((name, manifest, linked));
            }
        }
        if fresh.is_empty() {
            return Ok(false);
        }
        let contents: std::collections::BTreeMap<_, _> =
            fresh.iter().map(|(name, manifest, _)| (name.digest, manifest.bytes().clone())).collect();
        // Blobs were renamed by this ingest, by another request, or by a process that was killed before it synced the
        // folder: the names of all are made durable here.
        self.blobs.put_and_sync_all(&contents.into_iter().collect::<Vec<_>>())?;
        let mut batch = Batch::new(&self.layout);
        let mut rows = Rows::default();
        for (ManifestName { repository, digest }, manifest, linked) in &fresh {
            let link = linked.clone().unwrap_or_else(|| link_of(manifest, true));
            batch.write_record(&self.links.path(repository, Link::Manifest(digest)), &link)?;
            rows.manifest(repository, digest, manifest, true);
        }
        batch.commit()?;
        index.apply(rows)?;
        // Their absence may be cached.
        self.caches.manifests.clear();
        Ok(true)
    }

    /// Commits an entry of the log, durably: from its rename on it is what every client sees. Nothing else may change
    /// meanwhile. When the disk refuses, none of it is visible, or all of it and the links follow with the next change.
    pub(crate) fn commit_entry(&self, record: &ReleaseRecord, index: &Index) -> Result<(), Error> {
        let committed = self.publish(record, index);
        if matches!(committed, Err(Error::Disk(_))) {
            let tags = record.changes.iter().map(|change| &change.repository);
            let manifests = record.unlinked.iter().map(|manifest| &manifest.repository);
            self.reconcile(tags.chain(manifests).collect::<BTreeSet<_>>(), index)?;
        }
        committed
    }

    fn publish(&self, record: &ReleaseRecord, index: &Index) -> Result<(), Error> {
        self.log.commit(record)?;
        let mut rows = Rows::default();
        for TagChange { repository, tag, after, .. } in &record.changes {
            rows.tag(repository, tag, after.as_ref().map(|link| &link.digest));
        }
        // From here on every read sees all of it: first by name, then in the lists.
        *self.settling.write() = Settling::of(record);
        self.caches.manifests.clear();
        *self.unsettled.lock() = Some(record.clone());
        *self.in_effect.lock() = Some(record.in_effect);
        let listed = index.apply(rows);
        self.settle_again()?;
        listed?;
        if record.unlinked.is_empty() {
            return Ok(());
        }
        // Which blobs became invisible follows from what is left.
        let concerned: BTreeSet<_> = record.unlinked.iter().map(|manifest| &manifest.repository).collect();
        self.reconcile(concerned, index)
    }

    /// Settles a committed entry. When the disk refuses, it still is what every client sees; the next change or the next
    /// start tries again, because no tag may change before.
    pub(super) fn settle_again(&self) -> Result<(), Error> {
        let mut unsettled = self.unsettled.lock();
        if let Some(record) = &*unsettled {
            self.settle(record)?;
            *self.settling.write() = Settling::default();
            *unsettled = None;
        }
        Ok(())
    }

    /// Writes a committed entry to the links. Idempotent: a tag that changed later stays.
    pub(super) fn settle(&self, release: &ReleaseRecord) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        for TagChange { repository, tag, after, .. } in &release.changes {
            // A damaged link is written again.
            let there = damaged_is_none(self.links.tag(repository, tag))?;
            let later = there.is_some_and(|there| there.sequence >= release.id);
            let path = self.links.path(repository, Link::Tag(tag));
            match after {
                _ if later => {}
                Some(link) => batch.write_record(&path, link)?,
                None => drop(batch.remove(&path)?),
            }
        }
        batch.commit()?;
        let mut batch = Batch::new(&self.layout);
        for ManifestName { repository, digest } in &release.unlinked {
            batch.remove(&self.links.path(repository, Link::Manifest(digest)))?;
        }
        batch.commit()?;
        if let ReleaseKind::Removal { of } = release.kind {
            self.log.forget(of)?;
        }
        self.log.settle(release.id)
    }
}

fn link_of(manifest: &Manifest, ingested: bool) -> ManifestLink {
    ManifestLink { media_type: manifest.media_type().clone(), size: manifest.bytes().len() as u64, ingested }
}

fn rows(changes: &Changes) -> Rows {
    let (mut rows, repository) = (Rows::default(), &changes.repository);
    changes.unlinked_tags.iter().for_each(|tag| rows.tag(repository, tag, None));
    changes.unlinked_blobs.iter().for_each(|digest| rows.blob(repository, digest, false));
    changes.blobs.iter().for_each(|(digest, _)| rows.blob(repository, digest, true));
    for (manifests, are_linked) in [(&changes.unlinked_manifests, false), (&changes.manifests, true)] {
        manifests.iter().for_each(|(digest, manifest)| rows.manifest(repository, digest, manifest, are_linked));
    }
    changes.tags.iter().for_each(|(tag, digest, _)| rows.tag(repository, tag, Some(digest)));
    rows
}
