//! The one place that changes names: truth first, then the index, then the caches.
//!
//! Invariants: a manifest is linked only after everything it names is there, its tag comes last, and removing goes the
//! other way round. A crash leaves all tags of an entry of the log changed or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::folder::{Folder, Settling};
use super::index::{Change, Index, IndexError};
use super::links::{BlobLink, Link, ManifestLink};
use super::write::Ingested;
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
            let written = folder.write_truth(changes);
            folder.note(&changes.repository);
            if written.is_err() {
                folder.reconcile([&changes.repository], index)?;
            }
            Ok(written?)
        })?;
        // An index that fails now is given up, and the next one is built from the links: the change is made (S05).
        let _ = self.guarded(index, |_, index| Ok(index.change(|change| rows(changes, change))?));
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
        let whole = self.blobs.size(digest)? == Some(link.size) && self.blobs.is_whole(digest);
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

    /// Stores the manifests of an ingest that are not linked yet, durably, and returns them; their links come next. Their
    /// blobs must be stored.
    pub(super) fn store_ingested(&self, manifests: Vec<Ingested>) -> Result<Vec<Ingested>, Error> {
        let mut fresh = Vec::new();
        for (name, manifest) in manifests {
            let linked = self.links.manifest(&name.repository, &name.digest)?;
            // One that is linked and whose file is gone is stored again.
            if linked.is_none() || self.blobs.size(&name.digest)? != Some(manifest.bytes().len() as u64) {
                fresh.push((name, manifest));
            }
        }
        if !fresh.is_empty() {
            let contents: std::collections::BTreeMap<_, _> =
                fresh.iter().map(|(name, manifest)| (name.digest, manifest.bytes().clone())).collect();
            // Blobs were renamed by this ingest, by another request, or by a process that was killed before it synced the
            // folder: the names of all are made durable here.
            self.blobs.put_and_sync_all(&contents.into_iter().collect::<Vec<_>>())?;
        }
        Ok(fresh)
    }

    /// Links stored manifests of an ingest in their repository, durably.
    pub(super) fn link_ingested(
        &self,
        repository: &RepositoryName,
        manifests: &[Ingested],
        index: &Index,
    ) -> Result<(), Error> {
        let mut batch = Batch::new(&self.layout);
        for (ManifestName { digest, .. }, manifest) in manifests {
            // A client may have pushed it since.
            let link = self.links.manifest(repository, digest)?.unwrap_or_else(|| link_of(manifest, true));
            batch.write_record(&self.links.path(repository, Link::Manifest(digest)), &link)?;
        }
        batch.commit()?;
        index.change(|change| {
            let mut all = manifests.iter();
            all.try_for_each(|(name, manifest)| change.manifest(repository, &name.digest, manifest, true))
        })?;
        // Their absence may be cached.
        let names = manifests.iter().map(|(name, _)| (repository.clone(), TagOrDigest::Digest(name.digest)));
        names.for_each(|key| self.caches.manifests.remove(&key));
        Ok(())
    }

    /// Commits an entry of the log, durably: from its rename on it is what every client sees, first by name, then in the
    /// lists. Nothing else may change meanwhile, and the entry before must be settled. [`Folder::follow`] comes next. When the
    /// disk refuses, none of it is visible.
    pub(super) fn publish(self: &Arc<Self>, record: &Arc<ReleaseRecord>, index: &Arc<Index>) -> Result<(), Error> {
        self.guarded(index, |folder, index| {
            let committed = folder.log.commit(record);
            if committed.is_err() {
                folder.reconcile(concerned(record), index)?;
            }
            Ok(committed?)
        })?;
        *self.settling.write() = Settling::of(record);
        self.caches.manifests.clear();
        *self.unsettled.lock() = Some(record.clone());
        *self.in_effect.lock() = Some(record.in_effect);
        // An index that fails now is given up, and the next one is built from the links: the change is made.
        let _ = self.guarded(index, |_, index| {
            Ok(index.change(|change| {
                let mut tags = record.changes.iter();
                tags.try_for_each(|tag| {
                    change.tag(&tag.repository, &tag.tag, tag.after.as_ref().map(|link| &link.digest))
                })
            })?)
        });
        Ok(())
    }

    /// Writes the links of the entry that was published. Nothing that it concerns may change meanwhile; anything else
    /// may. When the disk refuses, it is what every client sees all the same, and the next change of what it concerns, or the
    /// next start, tries again.
    pub(super) fn follow(self: &Arc<Self>, record: &ReleaseRecord, index: &Arc<Index>) -> Result<(), Error> {
        let settled = self.settle(record);
        if settled.is_err() || !record.unlinked.is_empty() {
            // Which blobs became invisible follows from what is left.
            let _ = self.guarded(index, |folder, index| folder.reconcile(concerned(record), index));
        }
        settled?;
        self.settled();
        Ok(())
    }

    /// Settles an entry that the disk had refused to.
    pub(super) fn settle_again(&self) -> Result<(), Error> {
        let unsettled = self.unsettled.lock().clone();
        if let Some(record) = unsettled {
            self.settle(&record)?;
            self.settled();
        }
        Ok(())
    }

    /// From here on the links say what the entry says.
    fn settled(&self) {
        *self.settling.write() = Settling::default();
        *self.unsettled.lock() = None;
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

/// The repositories an entry changes.
fn concerned(record: &ReleaseRecord) -> BTreeSet<&RepositoryName> {
    let tags = record.changes.iter().map(|change| &change.repository);
    tags.chain(record.unlinked.iter().map(|manifest| &manifest.repository)).collect()
}

fn link_of(manifest: &Manifest, ingested: bool) -> ManifestLink {
    ManifestLink { media_type: manifest.media_type().clone(), size: manifest.bytes().len() as u64, ingested }
}

fn rows(changes: &Changes, change: &mut Change<'_>) -> Result<(), IndexError> {
    let repository = &changes.repository;
    changes.unlinked_tags.iter().try_for_each(|tag| change.tag(repository, tag, None))?;
    changes.unlinked_blobs.iter().try_for_each(|digest| change.blob(repository, digest, false))?;
    changes.blobs.iter().try_for_each(|(digest, _)| change.blob(repository, digest, true))?;
    for (manifests, are_linked) in [(&changes.unlinked_manifests, false), (&changes.manifests, true)] {
        for (digest, manifest) in manifests {
            change.manifest(repository, digest, manifest, are_linked)?;
        }
    }
    changes.tags.iter().try_for_each(|(tag, digest, _)| change.tag(repository, tag, Some(digest)))
}
