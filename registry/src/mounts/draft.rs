//! A mount being described: filled by whoever can read what lies on the medium.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Mount, MountedRepository};
use crate::error::Error;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::store::{Medium, MediumBlob};

/// Of one blob so many places are kept: more copies are no safer, and a hostile index may name one a million times.
const PLACES: usize = 8;

/// What a medium holds, being found out. Dropped before it is mounted, nothing of it was seen.
#[derive(Debug)]
pub struct MountDraft {
    root: PathBuf,
    media: HashMap<PathBuf, Arc<Medium>>,
    blobs: HashMap<Digest, Arc<MediumBlob>>,
    /// The places behind the first, of the few blobs that lie at several.
    further: HashMap<Digest, Vec<Arc<MediumBlob>>>,
    held: u64,
    manifests: BTreeMap<(RepositoryName, Digest), Arc<Manifest>>,
    tags: BTreeMap<(RepositoryName, Tag), Digest>,
}

impl MountDraft {
    /// Begins with nothing. `root` is the folder or file that is mounted: errors name its files from there.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            media: HashMap::new(),
            blobs: HashMap::new(),
            further: HashMap::new(),
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

    /// Bytes held in memory because they lie nowhere on the medium as they are served.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// Says that the blob is `size` bytes of `file`, which lies at `path`, from `offset` on; `verified` if somebody has
    /// just hashed them. A blob may lie at several places: the first counts, the next ones are there for when it fails.
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
        let medium = match self.media.get(path) {
            Some(medium) => medium.clone(),
            None => {
                let medium = Arc::new(Medium::new(file, path, self.shown(path))?);
                self.media.insert(path.to_owned(), medium.clone());
                medium
            }
        };
        let Some(first) = self.blobs.get(&digest) else {
            self.blobs.insert(digest, Arc::new(MediumBlob::located(digest, medium, offset, size, verified)));
            return Ok(());
        };
        // Several images name the same place far more often than one blob lies at two.
        let known = self.further.get(&digest).map_or(&[][..], Vec::as_slice);
        let is_known = || std::iter::once(first).chain(known).any(|place| place.is_at(&medium, offset));
        if first.size() == size && known.len() + 1 < PLACES && !is_known() {
            let place = Arc::new(MediumBlob::located(digest, medium, offset, size, verified));
            self.further.entry(digest).or_default().push(place);
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

    /// The tags there will be.
    pub(crate) const fn tags(&self) -> &BTreeMap<(RepositoryName, Tag), Digest> {
        &self.tags
    }

    /// Checks all of it and makes it what is looked up. Blobs that no manifest names are left out.
    ///
    /// # Errors
    /// As for a release: when a manifest does not fit its digest or its blobs.
    pub(crate) fn finish(self) -> Result<Mount, Error> {
        let mut repositories: BTreeMap<RepositoryName, MountedRepository> = BTreeMap::new();
        let mut used: HashMap<Digest, Arc<MediumBlob>> = HashMap::new();
        // One manifest has several names.
        let mut shared: HashMap<Digest, Arc<Manifest>> = HashMap::new();
        for ((name, digest), manifest) in self.manifests {
            let manifest = match shared.get(&digest) {
                Some(known) => known.clone(),
                None => {
                    let found = digest.algorithm().digest(manifest.bytes());
                    if found != digest {
                        return Err(Error::DigestMismatch { expected: digest, found });
                    }
                    shared.entry(digest).or_insert(manifest).clone()
                }
            };
            let mut missing = Vec::new();
            let repository = repositories.entry(name.clone()).or_default();
            for reference in manifest.references() {
                let Reference::Blob(blob) = reference else { continue };
                match self.blobs.get(&blob.digest) {
                    Some(found) if found.size() != blob.size => {
                        let (digest, stated) = (blob.digest, blob.size);
                        return Err(Error::SizeInvalid { digest, stated, found: found.size() });
                    }
                    Some(found) => {
                        repository.blobs.insert(blob.digest, found.clone());
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
        let mut further = self.further;
        further.retain(|digest, _| used.contains_key(digest));
        let mut blobs: Vec<_> = used.into_values().collect();
        blobs.sort_by(|a, b| a.position().cmp(&b.position()));
        Ok(Mount { name: self.root.display().to_string(), repositories, blobs, further })
    }
}
