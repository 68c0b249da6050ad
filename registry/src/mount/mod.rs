//! Media that are served in place: a reader of one fills a draft, the draft is mounted, and its blobs are re-hashed in the
//! background.

mod check;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

pub use check::MediumCheck;

use crate::blobs::{Blobs, Medium, MediumBlob, MediumFile};
use crate::catalog::{MountedNames, MountedRepository, Origin, Precedence, Rank, TagLink, TagOutcome};
use crate::content::{
    BlobSink, Committed, FileRange, HashedBlob, Homes, Sink, check_blobs, check_child, check_digest, wait,
};
use crate::core::Core;
use crate::disk::own_threads::OwnThreads;
use crate::disk::threads::composed;
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

/// How many positions of one blob are kept: more copies are no safer, and a hostile index may name one a million times.
const POSITIONS: usize = 8;

/// The content of a medium as far as it is known. If it is dropped before it is mounted, nothing becomes visible.
#[derive(Debug)]
pub struct MountDraft {
    core: Arc<Core>,
    root: PathBuf,
    /// What reads the medium, so that it holds no other thread when it hangs.
    threads: OwnThreads,
    precedence: Precedence,
    files: HashMap<PathBuf, Arc<MediumFile>>,
    blobs: HashMap<Digest, Arc<MediumBlob>>,
    /// The positions after the first, of the few blobs that are at several.
    copies: HashMap<Digest, Vec<Arc<MediumBlob>>>,
    held: u64,
    manifests: BTreeMap<(RepositoryName, Digest), Arc<Manifest>>,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
}

impl MountDraft {
    pub(crate) fn new(core: Arc<Core>, root: &Path) -> Self {
        Self {
            core,
            root: root.to_owned(),
            threads: OwnThreads::default(),
            precedence: Precedence::default(),
            files: HashMap::new(),
            blobs: HashMap::new(),
            copies: HashMap::new(),
            held: 0,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Records that the blob is `size` bytes of `file`, whose path is `path`, from `offset` on; `verified` if they were
    /// just hashed. A blob may be at several positions: the first counts, the others are tried when it fails.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn locate(
        &mut self,
        digest: Digest,
        (file, path): (&File, &Path),
        (offset, size): (u64, u64),
        verified: bool,
    ) -> io::Result<()> {
        let on = match self.files.get(path) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(MediumFile::new(file, path, self.shown(path))?.on(self.threads.clone()));
                self.files.insert(path.to_owned(), new.clone());
                new
            }
        };
        let Some(first) = self.blobs.get(&digest) else {
            self.blobs.insert(digest, Arc::new(MediumBlob::located(digest, on, offset, size, verified)));
            return Ok(());
        };
        // Several images name the same position far more often than one blob is at two.
        let known = self.copies.get(&digest).map_or(&[][..], Vec::as_slice);
        let is_known = || std::iter::once(first).chain(known).any(|position| position.is_at(&on, offset));
        if first.size() == size && known.len() + 1 < POSITIONS && !is_known() {
            let position = Arc::new(MediumBlob::located(digest, on, offset, size, verified));
            self.copies.entry(digest).or_default().push(position);
        }
        Ok(())
    }

    /// Keeps bytes with this digest in memory. The caller bounds how many.
    pub fn hold(&mut self, digest: Digest, bytes: Bytes) {
        let size = bytes.len() as u64;
        if self.blobs.insert(digest, Arc::new(MediumBlob::held(digest, bytes))).is_none() {
            self.held += size;
        }
    }

    /// Adds a manifest to a repository.
    pub fn add_manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: impl Into<Arc<Manifest>>) {
        self.manifests.insert((repository.clone(), digest), manifest.into());
    }

    /// Adds a tag. If the same tag is added twice, the last one counts.
    pub fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.tags.insert((repository.clone(), tag), digest);
    }

    /// The path of a file as errors and reports show it: from the mounted folder's own name on.
    fn shown(&self, path: &Path) -> String {
        let above = self.root.parent().unwrap_or(&self.root);
        path.strip_prefix(above).unwrap_or(path).display().to_string()
    }

    /// Conflict rules of the medium's tags: below a protected prefix every stored tag counts before them.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.precedence = precedence;
    }

    /// What happens to each tag, given the stored tags.
    async fn outcomes(&self) -> Result<Vec<TagOutcome>, Error> {
        // Pushed tags always go before a medium's.
        let rules = Precedence { protect: self.precedence.protect.clone(), ..Precedence::default() };
        let mut outcomes = Vec::with_capacity(self.tags.len());
        for ((repository, tag), digest) in &self.tags {
            let stored = self.core.catalog.stored_tag(repository, tag).await?;
            let there = stored.and_then(|stored| match stored.origin {
                Origin::Stored { sequence, at, provenance } => {
                    Some(TagLink { digest: stored.digest, sequence, at, provenance })
                }
                Origin::Mounted { .. } => None,
            });
            let outcome = rules.outcome(repository, there.as_ref(), digest, Rank::Mounted);
            outcomes.push(TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome });
        }
        Ok(outcomes)
    }

    /// Checks that every manifest matches its digest and its blobs, and builds what lookups use. Blobs that no manifest
    /// names are left out.
    fn finish(self) -> Result<(MountedNames, Medium), Error> {
        let mut repositories: BTreeMap<RepositoryName, MountedRepository> = BTreeMap::new();
        let mut used: HashMap<Digest, Arc<MediumBlob>> = HashMap::new();
        // One manifest may have several names.
        let mut checked: HashMap<Digest, Arc<Manifest>> = HashMap::new();
        for ((name, digest), manifest) in self.manifests {
            if let Entry::Vacant(entry) = checked.entry(digest) {
                check_digest(digest, digest.algorithm().digest(manifest.bytes()))?;
                entry.insert(manifest);
            }
            let manifest = checked[&digest].clone();
            let sizes = manifest.blobs().map(|blob| Some(self.blobs.get(&blob.digest)?.size()));
            check_blobs(&name, &manifest, sizes)?;
            let yields = self.precedence.protects(&name);
            let repository = repositories
                .entry(name)
                .or_insert_with(|| MountedRepository { yields, ..MountedRepository::default() });
            // Foreign layers need not be here, and are served if they are.
            for blob in manifest.blobs().filter_map(|blob| self.blobs.get(&blob.digest)) {
                repository.blobs.insert(blob.digest(), blob.size());
                used.insert(blob.digest(), blob.clone());
            }
            if let Some(subject) = manifest.subject() {
                repository.referrers.entry(subject.digest).or_default().insert(digest);
            }
            repository.manifests.insert(digest, manifest);
        }
        for MountedRepository { manifests, .. } in repositories.values() {
            let listed = manifests.values().flat_map(|manifest| manifest.children());
            listed
                .filter_map(|(child, _)| Some((child, manifests.get(&child.digest)?)))
                .try_for_each(|(child, there)| check_child(child, there))?;
        }
        for ((name, tag), digest) in self.tags {
            match repositories.get_mut(&name).filter(|repository| repository.manifests.contains_key(&digest)) {
                Some(repository) => drop(repository.tags.insert(tag, digest)),
                None => return Err(Error::ManifestUnknown { repository: name, reference: digest.to_string() }),
            }
        }
        let medium = self.root.display().to_string();
        let blobs = Medium::new(medium.clone(), used.into_values().collect(), self.copies);
        Ok((MountedNames { medium, repositories }, blobs))
    }
}

impl Sink for MountDraft {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).map(|blob| blob.size())
    }

    fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Result<Homes, Error> {
        wait(self.core.catalog.repositories_of(manifests))
    }

    fn locates_only(&self) -> bool {
        true
    }

    fn held(&self) -> Option<u64> {
        Some(self.held)
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(HashedBlob::new(algorithm)))
    }

    fn put(&mut self, bytes: &[u8], digest: Digest) -> Result<(), Error> {
        self.hold(digest, Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn locate(&mut self, digest: Digest, at: &FileRange<'_>, verified: bool) -> io::Result<bool> {
        Self::locate(self, digest, (at.file, at.path), (at.offset, at.size), verified)?;
        Ok(true)
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>) {
        self.add_manifest(repository, digest, manifest);
    }

    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.add_tag(repository, tag, digest);
    }

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        let mounted = wait(mount(*self))?;
        Ok(Committed { tags: mounted.tags, ..Committed::default() })
    }
}

/// What was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Every tag: kept where a stored one goes before it, else served from the medium.
    pub tags: Vec<TagOutcome>,
    /// The number of its blobs.
    pub blobs: usize,
    /// The bytes of its blobs.
    pub bytes: u64,
}

/// See [`Registry::mount`](crate::Registry::mount).
pub(crate) async fn mount(draft: MountDraft) -> Result<Mounted, Error> {
    composed(async move || {
        let (tags, core) = (draft.outcomes().await?, draft.core.clone());
        let (names, medium) = draft.finish()?;
        let (blobs, bytes) = (medium.blobs.len(), medium.blobs.iter().map(|blob| blob.size()).sum());
        // Bytes first: what a name leads to must be there.
        core.blobs.mount(Arc::new(medium));
        core.catalog.mount(Arc::new(names));
        Ok(Mounted { tags, blobs, bytes })
    })
    .await
}

/// See [`Registry::check_media`](crate::Registry::check_media).
pub(crate) fn check_media(blobs: &Blobs, stop: &AtomicBool) -> Vec<(String, MediumCheck)> {
    let check = |medium: &Arc<_>| check::check(medium, &|| blobs.is_serving_from_medium(), stop);
    blobs.media().iter().map(|medium| (medium.name.clone(), check(medium))).collect()
}
