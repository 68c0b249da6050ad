//! The draft of a release: filled while a bundle is read, committed once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Algorithm, Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::Shared;
use crate::repository::now;
use crate::store::{
    ManifestLink, ManifestName, Provenance, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource,
    StoreError, TagChange, TagLink,
};

use super::blobs::{BlobWriter, Syncer};
use super::brought::{self, Manifests};
use super::{OnConflict, Outcome, Precedence, ReleaseReport, TagOutcome};

/// A release being filled. Dropped before it is committed, nothing of it is seen; blobs that are whole stay and spare the
/// next attempt their bytes.
#[derive(Debug)]
pub struct ReleaseDraft {
    shared: Arc<Shared>,
    origin: Provenance,
    precedence: Precedence,
    by: String,
    media: Vec<ReleaseSource>,
    signatures: Vec<ReleaseSignature>,
    images: Vec<ReleaseImage>,
    manifests: Manifests,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
    syncer: Option<Syncer>,
    written: Arc<Mutex<HashMap<Digest, u64>>>,
}

impl ReleaseDraft {
    pub(crate) fn new(shared: Arc<Shared>, origin: Provenance) -> Self {
        Self {
            shared,
            origin,
            precedence: Precedence::default(),
            by: String::new(),
            media: Vec::new(),
            signatures: Vec::new(),
            images: Vec::new(),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            syncer: None,
            written: Arc::default(),
        }
    }

    /// The size of a blob the store has, or this release has written, in whatever repository it may be.
    #[must_use]
    pub fn has_blob(&self, digest: &Digest) -> Option<u64> {
        let written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(digest).copied();
        // A disk that cannot say is asked again when the blob is written.
        written.or_else(|| self.shared.store.blobs.size(digest).ok().flatten())
    }

    /// A blob the store has, to be read again; none while it is still on its way there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<std::fs::File>, Error> {
        Ok(self.shared.store.blobs.file(digest)?)
    }

    /// Whether `needed` more bytes fit on the disk and leave `keep_free` of it free. Nothing is reserved.
    ///
    /// # Errors
    /// [`NoRoom`](crate::StoreError::NoRoom), with what is missing; when the disk cannot say.
    pub fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), Error> {
        Ok(self.shared.store.require_room(needed, keep_free)?)
    }

    /// Begins a blob.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn writer(&mut self) -> Result<BlobWriter, Error> {
        self.writer_with(Algorithm::Sha256)
    }

    /// Begins a blob that is to be known by a digest of `algorithm`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn writer_with(&mut self, algorithm: Algorithm) -> Result<BlobWriter, Error> {
        let syncer = match &mut self.syncer {
            Some(syncer) => syncer,
            none => none.insert(Syncer::start(self.shared.clone())?),
        };
        syncer.writer(&self.shared, algorithm, &self.written)
    }

    /// What becomes of tags that point elsewhere; those somebody pushed stay if nothing is said.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.precedence = precedence;
    }

    /// For the record: who asked for it, and what was read.
    pub fn set_source(&mut self, by: String, media: Vec<ReleaseSource>) {
        self.by = by;
        self.media = media;
    }

    /// For the record: who had signed it.
    pub fn set_signatures(&mut self, signatures: Vec<ReleaseSignature>) {
        self.signatures = signatures;
    }

    /// For the record: an image or chart under one of its names. Its state is found out at the end.
    pub fn describe(&mut self, image: ReleaseImage) {
        self.images.push(image);
    }

    /// Adds a manifest to a repository. Kept in memory until the release is committed.
    pub fn add_manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: impl Into<Arc<Manifest>>) {
        self.manifests.insert((repository.clone(), digest), manifest.into());
    }

    /// Adds a tag. The same tag again is pointed elsewhere: the last one counts.
    pub fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.tags.insert((repository.clone(), tag), digest);
    }

    /// Links the manifests and makes all tags appear together, but those that others go before (see
    /// [`ReleaseDraft::set_precedence`]). If that changes anything, it becomes the release in effect.
    ///
    /// Indexes may name manifests that are not there: they are served for the platforms that are.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not fit
    /// its digest or its blobs; [`Error::Conflicts`] when a tag would be kept and that is to fail; the failures of the
    /// disk. Then no tag changes.
    ///
    /// # Durability
    /// Everything is durable when it returns. A crash leaves all tags or none, whatever the moment.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn commit(mut self) -> Result<ReleaseReport, Error> {
        let shared = self.shared.clone();
        let syncer = self.syncer.take();
        let synced = crate::registry::blocking(move || {
            let Some(syncer) = syncer else { return Ok(false) };
            syncer.finish()
        });
        let wrote_blobs = synced.await?;
        let releases = shared.releases.clone().write_owned().await;
        let metadata = shared.metadata().await?;
        let commit = move |shared: &Shared, metadata: &Metadata| {
            let _releases = releases;
            let report = self.commit_blocking(shared, metadata);
            if matches!(report, Err(Error::Store(_))) {
                let manifests = self.manifests.keys().map(|(repository, _)| repository);
                let tags = self.tags.keys().map(|(repository, _)| repository);
                shared.reconcile(manifests.chain(tags).collect::<BTreeSet<_>>(), metadata)?;
            }
            let report = report?;
            if !shared.mounts.is_empty() {
                // What was read from a medium may be here now.
                shared.blobs.clear();
            }
            Ok(ReleaseReport { wrote: report.wrote || wrote_blobs, ..report })
        };
        shared.run(metadata, commit).await
    }

    fn commit_blocking(&self, shared: &Shared, metadata: &Metadata) -> Result<ReleaseReport, Error> {
        shared.settle_again()?;
        self.check(shared)?;
        let (tags, there) = self.decide(shared)?;
        let kept: Vec<_> = tags.iter().filter_map(TagOutcome::kept).collect();
        if self.precedence.on_conflict == OnConflict::Fail && !kept.is_empty() {
            return Err(Error::Conflicts(kept));
        }
        let linked = self.link_manifests(shared, metadata)?;
        let changes_tags = tags.iter().any(|tag| matches!(tag.outcome, Outcome::New | Outcome::Moved { .. }));
        if !linked && !changes_tags && !self.was_cut_off(shared)? {
            return Ok(ReleaseReport { id: None, tags, wrote: false });
        }
        let mut record = ReleaseRecord::new(shared.store.sequence.next()?, ReleaseKind::Ingest, now(), self.by.clone());
        self.record(&mut record, &tags, there);
        record.kept = kept;
        record.parent = shared.in_effect()?;
        record.in_effect = Some(record.id);
        shared.commit_release(&record, metadata)?;
        Ok(ReleaseReport { id: Some(record.id), tags, wrote: true })
    }

    fn record(&self, record: &mut ReleaseRecord, tags: &[TagOutcome], there: Vec<Option<TagLink>>) {
        let mut provenance = self.origin.clone();
        if let Provenance::Ingested { bundle, release } = &mut provenance {
            record.bundle.clone_from(bundle);
            *release = Some(record.id);
        }
        for (TagOutcome { repository, tag, digest, outcome }, before) in tags.iter().zip(there) {
            let changed = match outcome {
                Outcome::New | Outcome::Moved { .. } => true,
                Outcome::Kept { .. } => false,
                // The tag is this release's now: removing the one that brought it before must not take it away.
                Outcome::AlreadyThere => {
                    before.as_ref().is_some_and(|before| before.provenance.rank() <= self.origin.rank())
                }
            };
            if changed {
                let provenance = provenance.clone();
                let after = TagLink { digest: *digest, sequence: record.id, at: record.at, provenance };
                let (repository, tag) = (repository.clone(), tag.clone());
                record.changes.push(TagChange { repository, tag, before, after: Some(after) });
            }
        }
        record.media.clone_from(&self.media);
        record.signatures.clone_from(&self.signatures);
        record.images = brought::images(&self.images, tags, &self.manifests);
        record.bytes = brought::bytes(self.manifests.iter().map(|((_, digest), manifest)| (digest, &**manifest)));
        record.checksum = Some(brought::checksum(&self.tags, &self.manifests));
        let name = |(repository, digest): &(RepositoryName, Digest)| ManifestName {
            repository: repository.clone(),
            digest: *digest,
        };
        record.manifests = self.manifests.keys().map(name).collect();
    }

    fn check(&self, shared: &Shared) -> Result<(), Error> {
        for ((repository, digest), manifest) in &self.manifests {
            let found = digest.algorithm().digest(manifest.bytes());
            if found != *digest {
                return Err(Error::DigestMismatch { expected: *digest, found });
            }
            let mut missing = Vec::new();
            for reference in manifest.references() {
                let Reference::Blob(blob) = reference else { continue };
                match shared.store.blobs.size(&blob.digest)? {
                    Some(found) if found != blob.size => {
                        return Err(Error::SizeInvalid { digest: blob.digest, stated: blob.size, found });
                    }
                    Some(_) => {}
                    None => missing.push(blob.digest),
                }
            }
            if !missing.is_empty() {
                return Err(Error::ManifestBlobUnknown { repository: repository.clone(), missing });
            }
        }
        for ((repository, _), digest) in &self.tags {
            let added = self.manifests.contains_key(&(repository.clone(), *digest));
            if !added && shared.store.links.manifest(repository, digest)?.is_none() {
                let reference = digest.to_string();
                return Err(Error::ManifestUnknown { repository: repository.clone(), reference });
            }
        }
        Ok(())
    }

    /// Links the manifests that are not linked yet; says whether there were any.
    fn link_manifests(&self, shared: &Shared, metadata: &Metadata) -> Result<bool, Error> {
        let mut fresh = Vec::new();
        for ((repository, digest), manifest) in &self.manifests {
            let linked = shared.store.links.manifest(repository, digest)?;
            // One whose file the disk has lost is linked still, and brought anew.
            if linked.is_none() || shared.store.blobs.size(digest)? != Some(manifest.bytes().len() as u64) {
                fresh.push((repository, digest, manifest, linked));
            }
        }
        if fresh.is_empty() {
            return Ok(false);
        }
        // Blobs take their names in this process, in another request, or in one that was killed: whoever it was may not
        // have come to the sync of the folder.
        for algorithm in Algorithm::ALL {
            shared.store.blobs.sync(algorithm)?;
        }
        for (_, digest, manifest, _) in &fresh {
            shared.store.put_blob(digest, manifest.bytes())?;
        }
        let mut batch = shared.store.batch();
        let mut changes = Changes::default();
        for (repository, digest, manifest, linked) in &fresh {
            let link = linked.clone().unwrap_or_else(|| ManifestLink {
                media_type: manifest.media_type().clone(),
                size: manifest.bytes().len() as u64,
                ingested: true,
            });
            shared.store.links.link_manifest(&mut batch, repository, digest, &link)?;
            changes.add_manifest(repository, digest, manifest);
        }
        batch.commit()?;
        metadata.apply(changes)?;
        // That these manifests were not there may have been kept.
        shared.manifests.clear();
        Ok(true)
    }

    /// Whether a crash met an ingest of some of these manifests after they were linked and before it counted: then no
    /// entry of the log says that they came. The last entries are read first, and nearly always they say so.
    fn was_cut_off(&self, shared: &Shared) -> Result<bool, Error> {
        let mut unknown = HashSet::new();
        for (repository, digest) in self.manifests.keys() {
            // What somebody pushed is no release's.
            if shared.store.links.manifest(repository, digest)?.is_some_and(|link| link.ingested) {
                unknown.insert(ManifestName { repository: repository.clone(), digest: *digest });
            }
        }
        for id in shared.store.releases.ids()?.into_iter().rev() {
            if unknown.is_empty() {
                return Ok(false);
            }
            let entry = match shared.store.releases.read(id) {
                // The list of releases says that it is damaged.
                Err(StoreError::Damaged { .. }) => None,
                read => read?,
            };
            for known in entry.iter().flat_map(|entry| &entry.manifests) {
                unknown.remove(known);
            }
        }
        Ok(!unknown.is_empty())
    }

    /// What becomes of each tag, and where it points now.
    fn decide(&self, shared: &Shared) -> Result<(Vec<TagOutcome>, Vec<Option<TagLink>>), Error> {
        let mut outcomes = Vec::with_capacity(self.tags.len());
        let mut links = Vec::with_capacity(self.tags.len());
        for ((repository, tag), digest) in &self.tags {
            let there = shared.store.links.tag(repository, tag)?;
            let outcome = self.precedence.outcome(repository, there.as_ref(), digest, &self.origin);
            outcomes.push(TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome });
            links.push(there);
        }
        Ok((outcomes, links))
    }
}
