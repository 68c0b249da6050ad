//! A release being made: what one ingest brings. Blobs are written as they are read, and no client sees them. At the end
//! manifests are linked, and then one entry of the log makes all tags appear together.

mod brought;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

pub use writer::{BlobWriter, Written};

use crate::blobs::{Lease, Place};
use crate::catalog::release::{
    ManifestName, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource, TagChange,
};
use crate::catalog::{Logging, OnConflict, Outcome, Precedence, Provenance, Right, TagLink, TagOutcome};
use crate::content::{BlobSink, Committed, Homes, Sink, check_blobs, check_child, check_digest, wait};
use crate::core::Core;
use crate::disk::threads::{blocking, composed};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use writer::{Syncer, WrittenBlobs};

/// What a committed release did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReport {
    /// Its number in the log; none when nothing visible changed.
    pub id: Option<u64>,
    /// Every tag, in the order of repository and tag.
    pub tags: Vec<TagOutcome>,
    /// Whether anything was written: blobs, links or tags.
    pub wrote: bool,
}

/// A release being filled. If it is dropped before it is committed, nothing becomes visible; blobs that are whole stay,
/// and the next attempt need not write them again.
#[derive(Debug)]
pub struct ReleaseDraft {
    core: Arc<Core>,
    origin: Provenance,
    precedence: Precedence,
    by: String,
    media: Vec<ReleaseSource>,
    signatures: Vec<ReleaseSignature>,
    images: Vec<ReleaseImage>,
    manifests: BTreeMap<ManifestName, Arc<Manifest>>,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
    syncer: Option<Syncer>,
    written: WrittenBlobs,
    /// Keep the blobs that this release was told are stored, and so does not write.
    told: Mutex<HashMap<Digest, Lease>>,
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
            told: Mutex::default(),
        }
    }

    /// The size of a blob that is stored, or that this release has written, in any repository. Garbage collection does not
    /// remove it as long as the release lives.
    #[must_use]
    pub fn has_blob(&self, digest: &Digest) -> Option<u64> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(digest).map(|(size, _)| *size);
        written.or_else(|| {
            // Before it is looked for.
            let lease = self.core.blobs.depot.leases.hold(*digest);
            // If the disk cannot say, it is asked again when the blob is written.
            let size = self.core.blobs.depot.size(digest).ok().flatten()?;
            self.told.lock().unwrap_or_else(PoisonError::into_inner).entry(*digest).or_insert(lease);
            Some(size)
        })
    }

    /// Begins a blob.
    pub fn writer(&mut self) -> Result<BlobWriter, Error> {
        self.writer_with(Algorithm::Sha256)
    }

    fn writer_with(&mut self, algorithm: Algorithm) -> Result<BlobWriter, Error> {
        let syncer = match &mut self.syncer {
            Some(syncer) => syncer,
            none => none.insert(Syncer::start(self.core.clone())?),
        };
        syncer.writer(&self.core, algorithm, &self.written)
    }

    /// Whether `needed` more bytes fit on the disk and leave `keep_free` of it free. Nothing is reserved.
    ///
    /// # Errors
    /// [`NoRoom`](crate::DiskError::NoRoom), with what is missing; when the disk cannot say.
    pub fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), Error> {
        Ok(self.core.blobs.depot.require_room(needed, keep_free)?)
    }

    /// What happens to tags that point elsewhere. By default, pushed tags stay.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.precedence = precedence;
    }

    /// For the record: the user who asked for it, and what was read.
    pub fn set_source(&mut self, by: String, media: Vec<ReleaseSource>) {
        self.by = by;
        self.media = media;
    }

    /// Adds a manifest to a repository. It is kept in memory until the release is committed.
    pub fn add_manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: impl Into<Arc<Manifest>>) {
        self.manifests.insert(ManifestName { repository: repository.clone(), digest }, manifest.into());
    }

    /// Adds a tag. If the same tag is added twice, the last one counts.
    pub fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.tags.insert((repository.clone(), tag), digest);
    }

    /// Links the manifests and makes all tags appear together, except those that stay (see
    /// [`ReleaseDraft::set_precedence`]). If that changes anything, it becomes the release in effect.
    ///
    /// Indexes may name manifests that are absent: they are served for the platforms that are there.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not match
    /// its digest or its blobs; [`Error::Conflicts`] when a tag would be kept and that is to fail; the failures of the
    /// disk. Then no tag changes.
    ///
    /// # Durability
    /// Everything is durable when it returns. A crash at any moment leaves all tags or none.
    ///
    /// # Cancel safety
    /// Runs to its end when dropped.
    pub async fn commit(mut self) -> Result<ReleaseReport, Error> {
        let syncer = self.syncer.take();
        let wrote_blobs = blocking(move || syncer.map_or(Ok(false), Syncer::finish)).await?;
        let logging = self.core.catalog.files.logging().await?;
        composed(async move || {
            let report = self.commit_in(logging, wrote_blobs).await?;
            Ok(ReleaseReport { wrote: report.wrote || wrote_blobs, ..report })
        })
        .await
    }

    async fn commit_in(&mut self, logging: Logging, wrote_blobs: bool) -> Result<ReleaseReport, Error> {
        let names: Vec<_> = self.manifests.keys().cloned().collect();
        let watch = logging.watch();
        self.check_contents().await?;
        self.check_targets(&logging, |_| true).await?;
        let mut there = logging.tags(self.tags.keys().cloned().collect()).await?;
        let tags = self.outcomes(&there)?;
        let manifests: Vec<_> = names.iter().cloned().zip(self.manifests.values().cloned()).collect();
        let linked = logging.link(manifests.clone()).await?;
        if wrote_blobs && !linked {
            // Blobs of manifests that are linked already: lost ones were restored.
            Algorithm::ALL.iter().try_for_each(|algorithm| self.core.blobs.depot.sync(*algorithm))?;
        }
        let changes_tags = tags.iter().any(|tag| matches!(tag.outcome, Outcome::New | Outcome::Moved { .. }));
        if !linked && !changes_tags && !was_cut_off(&logging, names).await? {
            return Ok(ReleaseReport { id: None, tags, wrote: false });
        }
        let all = logging.alone().await?;
        // What was looked at holds, except where clients have made changes since.
        let changed = watch.changed();
        all.link(manifests.into_iter().filter(|(name, _)| changed.contains(&name.repository)).collect()).await?;
        self.check_targets(&all, |repository| changed.contains(repository)).await?;
        let tags: Vec<_> = self.tags.keys().filter(|(repository, _)| changed.contains(repository)).cloned().collect();
        let mut links = all.tags(tags).await?.into_iter();
        for ((repository, _), there) in self.tags.keys().zip(&mut there) {
            if changed.contains(repository) {
                *there = links.next().flatten();
            }
        }
        let tags = self.outcomes(&there)?;
        let mut record = ReleaseRecord::new(all.next_number().await?, ReleaseKind::Ingest, self.by.clone());
        self.record(&mut record, &tags, there);
        record.kept = tags.iter().filter_map(TagOutcome::kept).collect();
        record.parent = all.in_effect().await?;
        record.in_effect = Some(record.id);
        let id = Some(record.id);
        all.commit(Arc::new(record)).await?;
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
                // The tag belongs to this release now: removing the one that brought it before must not remove it.
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
        record.bytes = brought::bytes(self.manifests.iter().map(|(name, manifest)| (&name.digest, manifest)));
        record.checksum = Some(brought::checksum(&self.tags, &self.manifests));
        record.manifests = self.manifests.keys().cloned().collect();
    }

    /// Whether every manifest has its digest and everything it names.
    async fn check_contents(&self) -> Result<(), Error> {
        // One manifest may have several names: each content is checked once.
        let mut contents = BTreeMap::new();
        for (name, manifest) in &self.manifests {
            contents.entry(name.digest).or_insert((&name.repository, manifest));
        }
        for (digest, (repository, manifest)) in contents {
            check_digest(digest, digest.algorithm().digest(manifest.bytes()))?;
            let digests: Vec<_> = manifest.blobs().map(|blob| blob.digest).collect();
            check_blobs(repository, manifest, self.core.blobs.depot.sizes(&digests).await?)?;
            for (child, _) in manifest.children() {
                let name = ManifestName { repository: repository.clone(), digest: child.digest };
                if let Some(there) = self.manifests.get(&name) {
                    check_child(child, there)?;
                }
            }
        }
        Ok(())
    }

    /// Whether every tag of these repositories has its manifest.
    async fn check_targets<L: Send + Sync + 'static>(
        &self,
        right: &Right<L>,
        of: impl Fn(&RepositoryName) -> bool,
    ) -> Result<(), Error> {
        let target = |((repository, _), digest): (&(RepositoryName, Tag), &Digest)| ManifestName {
            repository: repository.clone(),
            digest: *digest,
        };
        let targets = self.tags.iter().filter(|((repository, _), _)| of(repository)).map(target);
        let others: Vec<_> = targets.filter(|target| !self.manifests.contains_key(target)).collect();
        let links = right.manifests(others.clone()).await?;
        match others.into_iter().zip(links).find(|(_, link)| link.is_none()) {
            Some((ManifestName { repository, digest }, _)) => {
                Err(Error::ManifestUnknown { repository, reference: digest.to_string() })
            }
            None => Ok(()),
        }
    }

    /// What happens to each tag, by where it points now; fails when one would be kept and that is to fail.
    fn outcomes(&self, there: &[Option<TagLink>]) -> Result<Vec<TagOutcome>, Error> {
        let outcome = |(((repository, tag), digest), there): ((&(RepositoryName, Tag), &Digest), &Option<TagLink>)| {
            let outcome = self.precedence.outcome(repository, there.as_ref(), digest, self.origin.rank());
            TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome }
        };
        let tags: Vec<_> = self.tags.iter().zip(there).map(outcome).collect();
        let kept: Vec<_> = tags.iter().filter_map(TagOutcome::kept).collect();
        if self.precedence.on_conflict == OnConflict::Fail && !kept.is_empty() {
            return Err(Error::Conflicts(kept));
        }
        Ok(tags)
    }
}

impl Sink for ReleaseDraft {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.has_blob(digest)
    }

    fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Result<Homes, Error> {
        wait(self.core.catalog.repositories_of(manifests))
    }

    fn read(&self, digest: &Digest) -> Result<Option<Box<dyn Read>>, Error> {
        let depot = &self.core.blobs.depot;
        let Some(blob) = depot.open(digest, None)? else { return Ok(None) };
        let file = blob.file().try_clone().map_err(|error| depot.unreadable(digest, error))?;
        Ok(Some(Box::new(file)))
    }

    fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), Error> {
        Self::require_room(self, needed, keep_free)
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(self.writer_with(algorithm)?))
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>) {
        self.add_manifest(repository, digest, manifest);
    }

    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.add_tag(repository, tag, digest);
    }

    fn describe(&mut self, image: ReleaseImage) {
        self.images.push(image);
    }

    fn signed(&mut self, signatures: &[ReleaseSignature]) {
        self.signatures = signatures.to_vec();
    }

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        let report = wait(self.commit())?;
        Ok(Committed { release: report.id, tags: report.tags, wrote: report.wrote })
    }
}

/// Whether a crash cut off an ingest of some of these manifests after they were linked and before its commit: then no
/// entry of the log names them.
async fn was_cut_off(log: &Logging, names: Vec<ManifestName>) -> Result<bool, Error> {
    let links = log.manifests(names.clone()).await?;
    // Pushed manifests belong to no release.
    let ingested = names.into_iter().zip(links).filter(|(_, link)| link.as_ref().is_some_and(|link| link.ingested));
    Ok(!log.are_in_log(ingested.map(|(name, _)| name).collect()).await?)
}
