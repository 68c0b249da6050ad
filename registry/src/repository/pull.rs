//! Reading manifests and blobs (end-2, end-3). A hit in the cache touches neither disk nor metadata.

use bytes::Bytes;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::names::RequestedName;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, MediaType, RepositoryName, TagOrDigest};
use crate::registry::{Registry, Shared, blocking};
use crate::store::{Blob, StoreError};

/// A manifest as it is served: the bytes that were pushed, and what they were pushed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedManifest {
    /// The digest it was asked by, or the one its tag points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Registry {
    /// The manifest of a tag or digest, from the first repository the name may mean that has it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when none has it.
    pub async fn manifest(&self, name: &RequestedName, reference: &TagOrDigest) -> Result<ServedManifest, Error> {
        let shared = &self.0;
        for repository in name.candidates(&shared.settings.names) {
            if let Some(found) = shared.manifest(&repository, reference).await? {
                return Ok(found);
            }
        }
        Err(Error::ManifestUnknown { repository: name.path.clone(), reference: reference.to_string() })
    }

    /// A blob, opened, from the first repository the name may mean in which it may be seen.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] when it is in none of them, wherever else it may be.
    pub async fn blob(&self, name: &RequestedName, digest: &Digest) -> Result<Blob, Error> {
        let shared = &self.0;
        let candidates = || name.candidates(&shared.settings.names);
        // One blob has one content: any repository that may show it will do.
        for repository in candidates() {
            if let Some(blob) = shared.blobs.get(&(repository, *digest)) {
                return Ok(blob);
            }
        }
        let (digest, repositories) = (*digest, candidates().collect::<Vec<_>>());
        let opened = shared.read(move |shared, metadata| {
            for repository in &repositories {
                let key = (repository.clone(), digest);
                let ticket = shared.blobs.ticket(&key);
                if let Some(size) = shared.size_in(repository, &digest, metadata)?
                    && let Some(blob) = shared.store.blobs.open_sized(&digest, size)?
                {
                    shared.blobs.insert(ticket, key, blob.clone(), 1);
                    return Ok(Some(blob));
                }
            }
            Ok(None)
        });
        opened.await?.ok_or_else(|| Error::BlobUnknown { repository: name.path.clone(), digest })
    }
}

impl Shared {
    /// The size a blob of this repository must have: the one counted when it was pushed, else the one a manifest gives
    /// it. Nothing when it may not be seen here.
    pub(crate) fn size_in(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        metadata: &Metadata,
    ) -> Result<Option<u64>, Error> {
        if metadata.is_linked(repository, digest)?
            && let Some(size) = self.store.links.blob_size(repository, digest)?
        {
            return Ok(Some(size));
        }
        Ok(metadata.named_size(repository, digest)?)
    }

    /// The manifest of exactly this repository.
    pub(crate) async fn manifest(
        self: &std::sync::Arc<Self>,
        repository: &RepositoryName,
        reference: &TagOrDigest,
    ) -> Result<Option<ServedManifest>, Error> {
        let key = (repository.clone(), reference.clone());
        if let Some(cached) = self.manifests.get(&key) {
            return Ok(cached);
        }
        let shared = self.clone();
        blocking(move || shared.read_manifest(key)).await
    }

    /// As [`Shared::manifest`], on this thread.
    pub(crate) fn read_manifest(&self, key: (RepositoryName, TagOrDigest)) -> Result<Option<ServedManifest>, Error> {
        let ticket = self.manifests.ticket(&key);
        let (repository, reference) = &key;
        let digest = match reference {
            TagOrDigest::Digest(digest) => Some(*digest),
            TagOrDigest::Tag(tag) => {
                let settling = self.settling.read().get(&(repository.clone(), tag.clone())).cloned();
                match settling {
                    Some(link) => Some(link.digest),
                    None => self.store.links.tag(repository, tag)?.map(|link| link.digest),
                }
            }
        };
        let found = match digest {
            Some(digest) => self.load_manifest(repository, &digest)?,
            None => None,
        };
        // That there is none is kept too: a name without its upstream misses first in the internal repository.
        let weight = found.as_ref().map_or(0, |manifest| manifest.bytes.len()) + 512;
        self.manifests.insert(ticket, key, found.clone(), weight);
        Ok(found)
    }

    /// A linked manifest from the disk.
    pub(crate) fn load_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ServedManifest>, StoreError> {
        let Some(link) = self.store.links.manifest(repository, digest)? else { return Ok(None) };
        let bytes = self.store.blobs.read(digest, MAX_MANIFEST_SIZE)?;
        Ok(bytes.map(|bytes| ServedManifest { digest: *digest, media_type: link.media_type, bytes }))
    }
}
