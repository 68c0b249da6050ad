//! The draft of a release: filled while a bundle is read, committed once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::brought::{self, Manifests};
use super::writer::{BlobWriter, Syncer, WrittenBlobs};
use crate::blobs::Place;
use crate::catalog::release::{
    ManifestName, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource, TagChange,
};
use crate::catalog::{Exclusive, OnConflict, Outcome, Precedence, Provenance, TagLink, TagOutcome};
use crate::core::Core;
use crate::disk::threads::{blocking, composed};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

/// What a committed release did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReport {
    /// Its number in the log; none when nothing that can be seen changed.
    pub id: Option<u64>,
    /// Every tag, in the order of repository and tag.
    pub tags: Vec<TagOutcome>,
    /// Whether anything was written: blobs, links or tags.
    pub wrote: bool,
}

/// A release being filled. Dropped before it is committed, nothing of it is seen; blobs that are whole stay and spare the
/// next attempt their bytes.
#[derive(Debug)]
pub struct ReleaseDraft {
    core: Arc<Core>,
    origin: Provenance,
    precedence: Precedence,
    by: String,
    media: Vec<ReleaseSource>,
    signatures: Vec<ReleaseSignature>,
    images: Vec<ReleaseImage>,
    manifests: Manifests,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
    syncer: Option<Syncer>,
    written: WrittenBlobs,
}

impl ReleaseDraft {
    pub(crate) fn new(core: Arc<Core>, origin: Provenance) -> Self {
        Self {
            core,
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
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(digest).map(|(size, _)| *size);
        // A disk that cannot say is asked again when the blob is written.
        written.or_else(|| self.core.blobs.depot.size(digest).ok().flatten())
    }

    /// A blob the store has, to be read again; none while it is still on its way there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<std::fs::File>, Error> {
        let blob = self.core.blobs.depot.open(digest, None)?;
        Ok(blob
            .map(|blob| blob.file().try_clone())
            .transpose()
            .map_err(|error| self.core.blobs.depot.unreadable(digest, error))?)
    }

    /// Whether `needed` more bytes fit on the disk and leave `keep_free` of it free. Nothing is reserved.
    ///
    /// # Errors
    /// [`NoRoom`](crate::DiskError::NoRoom), with what is missing; when the disk cannot say.
    pub fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), Error> {
        Ok(self.core.blobs.depot.require_room(needed, keep_free)?)
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
            none => none.insert(Syncer::start(self.core.clone())?),
        };
        syncer.writer(&self.core, algorithm, &self.written)
    }

    /// What becomes of tags that point elsewhere; those that were pushed stay if nothing is said.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.precedence = precedence;
    }

    /// For the record: the user who asked for it, and what was read.
    pub fn set_source(&mut self, by: String, media: Vec<ReleaseSource>) {
        self.by = by;
        self.media = media;
    }

    /// For the record: the signatures that were verified.
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

    /// Links the manifests and makes all tags appear together, but those that stay (see
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
        let syncer = self.syncer.take();
        let wrote_blobs = blocking(move || syncer.map_or(Ok(false), Syncer::finish)).await?;
        let all = self.core.catalog.files.exclusive().await?;
        composed(async move || {
            let report = self.commit_in(&all).await?;
            Ok(ReleaseReport { wrote: report.wrote || wrote_blobs, ..report })
        })
        .await
    }

    async fn commit_in(&mut self, all: &Exclusive) -> Result<ReleaseReport, Error> {
        let names: Vec<_> = self.manifests.keys().map(name).collect();
        self.check(all).await?;
        let (tags, there) = self.decide(all).await?;
        let kept: Vec<_> = tags.iter().filter_map(TagOutcome::kept).collect();
        if self.precedence.on_conflict == OnConflict::Fail && !kept.is_empty() {
            return Err(Error::Conflicts(kept));
        }
        let manifests = names.iter().cloned().zip(self.manifests.values().cloned()).collect();
        let linked = all.link(manifests).await?;
        let changes_tags = tags.iter().any(|tag| matches!(tag.outcome, Outcome::New | Outcome::Moved { .. }));
        if !linked && !changes_tags && !was_cut_off(all, names).await? {
            return Ok(ReleaseReport { id: None, tags, wrote: false });
        }
        let mut record = ReleaseRecord::new(all.next_number().await?, ReleaseKind::Ingest, self.by.clone());
        self.record(&mut record, &tags, there);
        record.kept = kept;
        record.parent = all.in_effect().await?;
        record.in_effect = Some(record.id);
        let id = Some(record.id);
        all.commit(record).await?;
        Ok(ReleaseReport { id, tags, wrote: true })
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
                // The tag is this release's now: removing the one that brought it before must not remove it.
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
        record.bytes = brought::bytes(self.manifests.iter().map(|((_, digest), manifest)| (digest, manifest)));
        record.checksum = Some(brought::checksum(&self.tags, &self.manifests));
        record.manifests = self.manifests.keys().map(name).collect();
    }

    /// Whether every manifest has its digest and everything it names, and every tag its manifest.
    async fn check(&self, all: &Exclusive) -> Result<(), Error> {
        // One manifest has several names: each content is looked at once.
        let mut contents = BTreeMap::new();
        for ((repository, digest), manifest) in &self.manifests {
            contents.entry(digest).or_insert((repository, manifest));
        }
        for (digest, (repository, manifest)) in contents {
            let found = digest.algorithm().digest(manifest.bytes());
            if found != *digest {
                return Err(Error::DigestMismatch { expected: *digest, found });
            }
            let blobs: Vec<_> = manifest.required_blobs().collect();
            let digests: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
            let mut missing = Vec::new();
            for (blob, found) in blobs.iter().zip(self.core.blobs.depot.sizes(&digests).await?) {
                match found {
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
        let targets = self.tags.iter().map(|((repository, _), digest)| (repository.clone(), *digest));
        let others: Vec<_> = targets.filter(|target| !self.manifests.contains_key(target)).map(|t| name(&t)).collect();
        for (target, link) in others.iter().zip(all.manifests(others.clone()).await?) {
            if link.is_none() {
                let (repository, reference) = (target.repository.clone(), target.digest.to_string());
                return Err(Error::ManifestUnknown { repository, reference });
            }
        }
        Ok(())
    }

    /// What becomes of each tag, and where it points now.
    async fn decide(&self, all: &Exclusive) -> Result<(Vec<TagOutcome>, Vec<Option<TagLink>>), Error> {
        let links = all.tags(self.tags.keys().cloned().collect()).await?;
        let outcome = |(((repository, tag), digest), there): ((&(RepositoryName, Tag), &Digest), &Option<TagLink>)| {
            let outcome = self.precedence.outcome(repository, there.as_ref(), digest, self.origin.rank());
            TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome }
        };
        Ok((self.tags.iter().zip(&links).map(outcome).collect(), links))
    }
}

fn name((repository, digest): &(RepositoryName, Digest)) -> ManifestName {
    ManifestName { repository: repository.clone(), digest: *digest }
}

/// Whether a crash met an ingest of some of these manifests after they were linked and before it counted: then no entry
/// of the log says that they came.
async fn was_cut_off(all: &Exclusive, names: Vec<ManifestName>) -> Result<bool, Error> {
    let links = all.manifests(names.clone()).await?;
    // What was pushed is no release's.
    let ingested = names.into_iter().zip(links).filter(|(_, link)| link.as_ref().is_some_and(|link| link.ingested));
    Ok(!all.are_in_log(ingested.map(|(name, _)| name).collect()).await?)
}
