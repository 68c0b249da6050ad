//! A medium being described: filled by a reader of what is on it, then mounted.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::blobs::{Medium, MediumBlob, MediumFile};
use crate::catalog::{Binding, MountedNames, MountedRepository, Origin, Precedence, Rank, TagLink, TagOutcome};
use crate::core::Core;
use crate::error::Error;
use crate::oci::{Digest, Manifest, RepositoryName, Tag};

/// Positions kept of one blob: more copies are no safer, and a hostile index may name one a million times.
const POSITIONS: usize = 8;

/// What a medium holds, being found out. Dropped before it is mounted, nothing of it was seen.
#[derive(Debug)]
pub struct MountDraft {
    pub(super) core: Arc<Core>,
    root: PathBuf,
    precedence: Precedence,
    files: HashMap<PathBuf, Arc<MediumFile>>,
    blobs: HashMap<Digest, Arc<MediumBlob>>,
    /// The positions behind the first, of the few blobs that are at several.
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
            precedence: Precedence::default(),
            files: HashMap::new(),
            blobs: HashMap::new(),
            copies: HashMap::new(),
            held: 0,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    /// The size in bytes of a blob that was found already.
    #[must_use]
    pub fn has_blob(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).map(|blob| blob.size())
    }

    /// Bytes held in memory because they are nowhere on the medium as they are served.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// Says that the blob is `size` bytes of `file`, whose path is `path`, from `offset` on; `verified` if they were just
    /// hashed. A blob may be at several positions: the first counts, the next ones are there for when it fails.
    ///
    /// # Errors
    /// When the file cannot be looked at.
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
                let new = Arc::new(MediumFile::new(file, path, self.shown(path))?);
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

    /// Keeps bytes that have `digest`. How many there may be is the caller's to bound.
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

    /// Adds a tag. The same tag again is pointed elsewhere: the last one counts.
    pub fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.tags.insert((repository.clone(), tag), digest);
    }

    /// How the medium calls a file: from the mounted folder's own name on.
    fn shown(&self, path: &Path) -> String {
        let above = self.root.parent().unwrap_or(&self.root);
        path.strip_prefix(above).unwrap_or(path).display().to_string()
    }

    /// Conflict rules of the medium's tags: below a protected prefix every stored tag counts before them.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.precedence = precedence;
    }

    /// What becomes of each tag beside those that are stored.
    pub(super) async fn outcomes(&self) -> Result<Vec<TagOutcome>, Error> {
        // Pushed tags always go before a medium's.
        let rules = Precedence { protect: self.precedence.protect.clone(), ..Precedence::default() };
        let mut outcomes = Vec::with_capacity(self.tags.len());
        for ((repository, tag), digest) in &self.tags {
            let there =
                self.core.catalog.stored_tag(repository, tag).await?.and_then(
                    |Binding { digest, origin }| match origin {
                        Origin::Stored { sequence, at, provenance } => {
                            Some(TagLink { digest, sequence, at, provenance })
                        }
                        Origin::Mounted { .. } => None,
                    },
                );
            let outcome = rules.outcome(repository, there.as_ref(), digest, Rank::Mounted);
            outcomes.push(TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome });
        }
        Ok(outcomes)
    }

    /// Checks all of it and makes it what is looked up. Blobs that no manifest names are left out.
    ///
    /// # Errors
    /// As for a release: when a manifest does not fit its digest or its blobs.
    pub(super) fn finish(self) -> Result<(MountedNames, Medium), Error> {
        let mut repositories: BTreeMap<RepositoryName, MountedRepository> = BTreeMap::new();
        let mut used: HashMap<Digest, Arc<MediumBlob>> = HashMap::new();
        // One manifest has several names.
        let mut checked: HashMap<Digest, Arc<Manifest>> = HashMap::new();
        for ((name, digest), manifest) in self.manifests {
            if let std::collections::hash_map::Entry::Vacant(entry) = checked.entry(digest) {
                let found = digest.algorithm().digest(manifest.bytes());
                if found != digest {
                    return Err(Error::DigestMismatch { expected: digest, found });
                }
                entry.insert(manifest);
            }
            let manifest = checked[&digest].clone();
            let yields = self.precedence.protects(&name);
            let repository = repositories
                .entry(name.clone())
                .or_insert_with(|| MountedRepository { yields, ..MountedRepository::default() });
            let mut missing = Vec::new();
            for blob in manifest.required_blobs() {
                match self.blobs.get(&blob.digest) {
                    Some(found) if found.size() != blob.size => {
                        let (digest, stated) = (blob.digest, blob.size);
                        return Err(Error::SizeInvalid { digest, stated, found: found.size() });
                    }
                    Some(found) => {
                        repository.blobs.insert(blob.digest, found.size());
                        used.insert(blob.digest, found.clone());
                    }
                    None => missing.push(blob.digest),
                }
            }
            if !missing.is_empty() {
                return Err(Error::ManifestBlobUnknown { repository: name, missing });
            }
            if let Some(subject) = manifest.subject() {
                repository.referrers.entry(subject.digest).or_default().insert(digest);
            }
            repository.manifests.insert(digest, manifest);
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
