//! A release: what one ingest brings. Blobs go in as they are read and are seen by nobody; at the end manifests are
//! linked, and then one rename makes all tags appear together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Algorithm, Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::Shared;
use crate::store::{Adopted, Provenance, Release, ReleaseTag, Sealed, StoreError, TagLink, WriteBehind, Writer};

use super::now;

/// Blobs whose content is written and that wait to be synced. More would keep more files open.
const SYNC_QUEUE: usize = 16;

/// A release being filled. Dropped before it is committed, nothing of it is seen; blobs that are whole stay and spare the
/// next attempt their bytes.
#[derive(Debug)]
pub struct ReleaseDraft {
    shared: Arc<Shared>,
    origin: Provenance,
    manifests: BTreeMap<(RepositoryName, Digest), Manifest>,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
    syncer: Option<Syncer>,
    written: Arc<Mutex<HashMap<Digest, u64>>>,
}

/// Writes, syncs and names blobs beside the reading of the next ones.
#[derive(Debug)]
struct Syncer {
    writing: WriteBehind,
    queue: SyncSender<Sealed>,
    thread: JoinHandle<Result<bool, StoreError>>,
}

/// One blob of a release being written. Dropped before it is committed, it is gone.
#[derive(Debug)]
pub struct BlobWriter {
    writer: Writer,
    shared: Arc<Shared>,
    queue: SyncSender<Sealed>,
    written: Arc<Mutex<HashMap<Digest, u64>>>,
}

/// A blob that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the store did not have it.
    pub new: bool,
}

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tag was not there.
    New,
    /// It pointed there already.
    AlreadyThere,
    /// It pointed somewhere else, with a lower or the same precedence.
    Moved {
        /// Where it pointed.
        from: Digest,
    },
    /// It points somewhere else, and who put it there goes before a bundle.
    Kept {
        /// Where it points.
        current: Digest,
        /// From whom.
        by: Provenance,
    },
}

/// One tag of a release and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagOutcome {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where the release points it.
    pub digest: Digest,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a committed release did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReport {
    /// Every tag, in the order of repository and tag.
    pub tags: Vec<TagOutcome>,
    /// Whether anything was written: blobs, links or tags.
    pub wrote: bool,
}

impl ReleaseDraft {
    pub(crate) fn new(shared: Arc<Shared>, origin: Provenance) -> Self {
        Self {
            shared,
            origin,
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
        let queue = syncer.queue.clone();
        let writer = Writer::create(&self.shared.store.blobs, algorithm, syncer.writing.clone())?;
        Ok(BlobWriter { writer, shared: self.shared.clone(), queue, written: self.written.clone() })
    }

    /// Adds a manifest to a repository. Kept in memory until the release is committed.
    pub fn add_manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Manifest) {
        self.manifests.insert((repository.clone(), digest), manifest);
    }

    /// Adds a tag. The same tag again is pointed elsewhere: the last one counts.
    pub fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.tags.insert((repository.clone(), tag), digest);
    }

    /// Links the manifests and makes all tags appear together. Tags that a person or a job pushed stay as they are.
    ///
    /// Indexes may name manifests that are not there: they are served for the platforms that are.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not fit
    /// its digest or its blobs; the failures of the disk. Then no tag changes.
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
        let linked = self.link_manifests(shared, metadata)?;
        let (tags, release) = self.decide(shared)?;
        let Some(release) = release else { return Ok(ReleaseReport { tags, wrote: linked }) };
        shared.store.releases.commit(&release)?;
        shared.settle(&release, metadata)?;
        Ok(ReleaseReport { tags, wrote: true })
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
            if shared.store.links.manifest(repository, digest)?.is_none() {
                fresh.push((repository, digest, manifest));
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
        for (_, digest, manifest) in &fresh {
            shared.store.put_blob(digest, manifest.bytes())?;
        }
        let mut batch = shared.store.batch();
        let mut changes = Changes::default();
        for (repository, digest, manifest) in &fresh {
            let link = crate::store::ManifestLink {
                media_type: manifest.media_type().clone(),
                size: manifest.bytes().len() as u64,
            };
            shared.store.links.link_manifest(&mut batch, repository, digest, &link)?;
            changes.add_manifest(repository, digest, manifest);
        }
        batch.commit()?;
        metadata.apply(changes)?;
        // That these manifests were not there may have been kept.
        shared.manifests.clear();
        Ok(true)
    }

    /// What becomes of each tag, and the change that is to be committed, if there is one.
    fn decide(&self, shared: &Shared) -> Result<(Vec<TagOutcome>, Option<Release>), Error> {
        let mut outcomes = Vec::new();
        let mut changed = Vec::new();
        for ((repository, tag), digest) in &self.tags {
            let outcome = shared.outcome(repository, tag, digest, &self.origin)?;
            if matches!(outcome, Outcome::New | Outcome::Moved { .. }) {
                changed.push((repository.clone(), tag.clone(), *digest));
            }
            outcomes.push(TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome });
        }
        if changed.is_empty() {
            return Ok((outcomes, None));
        }
        let sequence = shared.store.sequence.next()?;
        let at = now();
        let tags = changed
            .into_iter()
            .map(|(repository, tag, digest)| {
                let link = TagLink { digest, sequence, at, provenance: self.origin.clone() };
                ReleaseTag { repository, tag, link }
            })
            .collect();
        Ok((outcomes, Some(Release { sequence, tags })))
    }
}

impl Shared {
    /// What becomes of a tag that a bundle brings.
    pub(super) fn outcome(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        origin: &Provenance,
    ) -> Result<Outcome, StoreError> {
        Ok(match self.store.links.tag(repository, tag)? {
            None => Outcome::New,
            Some(there) if there.digest == *digest => Outcome::AlreadyThere,
            Some(there) if there.provenance.rank() > origin.rank() => {
                Outcome::Kept { current: there.digest, by: there.provenance }
            }
            Some(there) => Outcome::Moved { from: there.digest },
        })
    }

    /// Makes a committed release what everybody sees, then writes it to its tags' links.
    fn settle(&self, release: &Release, metadata: &Metadata) -> Result<(), Error> {
        let mut changes = Changes::default();
        let mut settling = HashMap::with_capacity(release.tags.len());
        for ReleaseTag { repository, tag, link } in &release.tags {
            changes.add_tag(repository, tag, &link.digest);
            settling.insert((repository.clone(), tag.clone()), link.clone());
        }
        // From here every read finds all of it: first by name, then in the lists.
        *self.settling.write() = settling;
        self.manifests.clear();
        *self.unsettled.lock() = Some(release.clone());
        let listed = metadata.apply(changes);
        self.settle_again()?;
        Ok(listed?)
    }

    /// Writes a committed release to its tags' links. When the disk refuses, it stays what everybody sees; the next
    /// change, or the next start, tries again, for nothing may change a tag before.
    pub(crate) fn settle_again(&self) -> Result<(), Error> {
        let mut unsettled = self.unsettled.lock();
        if let Some(release) = &*unsettled {
            self.store.apply(release)?;
            *self.settling.write() = HashMap::new();
            *unsettled = None;
        }
        Ok(())
    }
}

impl Syncer {
    fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let (queue, blobs) = sync_channel::<Sealed>(SYNC_QUEUE);
        let work = move || {
            let mut wrote = false;
            for sealed in blobs {
                let adopted = sealed.adopt(&shared.store.blobs)?;
                wrote |= adopted != Adopted::There;
                if adopted == Adopted::Mended {
                    // Somebody may hold the damaged file open.
                    shared.blobs.clear();
                }
            }
            Ok(wrote)
        };
        let failed =
            |source| Error::Store(StoreError::Io { operation: "start a thread in", path: "incoming".into(), source });
        let writing = WriteBehind::start().map_err(failed)?;
        let thread = std::thread::Builder::new().name("blob sync".into()).spawn(work).map_err(failed)?;
        Ok(Self { writing, queue, thread })
    }

    /// Waits until everything queued has its name; says whether any blob is new.
    fn finish(self) -> Result<bool, Error> {
        drop(self.queue);
        match self.thread.join() {
            Ok(result) => Ok(result?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl BlobWriter {
    /// Takes in the next piece, hashing it while it is in the processor's cache: 64 KiB to 1 MiB are best.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.writer.write(bytes)?)
    }

    /// Writes on the calling thread also when the blob is large: for whoever writes several blobs at once, and so has
    /// nothing to win by a thread beside each.
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.writer.write_inline();
        self
    }

    /// Bytes taken in so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.writer.size()
    }

    /// Ends the blob, which must have the `expected` digest if there is one. It has its name, and is durable, once the
    /// release is committed.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is kept. When the disk refuses.
    pub fn commit(self, expected: Option<Digest>) -> Result<Written, Error> {
        let sealed = self.writer.seal()?;
        let (digest, size) = (sealed.digest, sealed.size);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::DigestMismatch { expected, found: digest });
        }
        let there = self.shared.store.blobs.size(&digest)? == Some(size);
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = !there && written.insert(digest, size).is_none();
        drop(written);
        // The queue is closed only when the syncing thread met an error, which the commit of the release reports.
        if new && self.queue.send(sealed).is_err() {
            tracing::debug!(%digest, "the blob cannot be synced");
        }
        Ok(Written { digest, size, new })
    }
}
