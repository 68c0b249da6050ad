//! Reading manifests and blobs (end-2, end-3). A hit in the cache touches neither disk nor metadata.

use bytes::Bytes;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::names::RequestedName;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, MediaType, RepositoryName, Tag, TagOrDigest};
use crate::registry::{Registry, Shared, blocking};
use crate::store::{Blob, Provenance, StoreError, TagLink};

/// A manifest as it is served: the bytes that were pushed, and what they were pushed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedManifest {
    /// The digest it was asked by, or the one its tag points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Bytes,
    /// Where the tag it was asked by came from, in visible ASCII; none when it was asked by digest.
    pub provenance: Option<Bytes>,
}

impl Registry {
    /// The manifest of a tag or digest, from the first repository the name may mean that has it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when none has it.
    pub async fn manifest(&self, name: &RequestedName, reference: &TagOrDigest) -> Result<ServedManifest, Error> {
        let shared = &self.0;
        for repository in name.candidates() {
            if let Some(found) = shared.manifest(repository, reference).await? {
                return Ok(found);
            }
        }
        Err(Error::ManifestUnknown { repository: name.path.clone(), reference: reference.to_string() })
    }

    /// A blob, opened, from the first repository the name may mean in which it may be seen.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] when it is in none of them, wherever else it may be; [`Error::Medium`] when only a mounted
    /// medium has it and can no longer give it.
    pub async fn blob(&self, name: &RequestedName, digest: &Digest) -> Result<Blob, Error> {
        let shared = &self.0;
        // One blob has one content: any repository that may show it will do.
        for repository in name.candidates() {
            let key = (repository.clone(), *digest);
            if let Some(blob) = shared.blobs.get(&key) {
                // One of a medium is looked at again: it may have been pulled out.
                match blob.check() {
                    Ok(()) => return Ok(blob),
                    Err(_) => shared.blobs.remove(&key),
                }
            }
        }
        let (digest, repositories) = (*digest, name.candidates().cloned().collect::<Vec<_>>());
        let mut gone = None;
        if !shared.mounts.is_empty() {
            match shared.mounted_blob(repositories.clone(), digest).await {
                Ok(Some(blob)) => return Ok(blob),
                Ok(None) => {}
                // The store may have it under another of the names.
                Err(error @ Error::Medium(_)) => gone = Some(error),
                Err(error) => return Err(error),
            }
        }
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
        let unknown = || Error::BlobUnknown { repository: name.path.clone(), digest };
        opened.await?.ok_or_else(|| gone.unwrap_or_else(unknown))
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
        let found = match reference {
            TagOrDigest::Digest(digest) => self.find_manifest(repository, digest)?,
            TagOrDigest::Tag(tag) => match self.tagged(repository, tag)? {
                Some((digest, provenance)) => self
                    .find_manifest(repository, &digest)?
                    .map(|manifest| ServedManifest { provenance: Some(provenance), ..manifest }),
                None => None,
            },
        };
        // That there is none is kept too: a name without its upstream misses first in the internal repository.
        let weight = found.as_ref().map_or(0, |manifest| manifest.bytes.len()) + 512;
        self.manifests.insert(ticket, key, found.clone(), weight);
        Ok(found)
    }

    /// A manifest of the repository, from the disk or from what is mounted.
    pub(crate) fn find_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ServedManifest>, StoreError> {
        let mounted = || {
            let manifest = self.mounts.manifest(repository, digest)?;
            let (media_type, bytes) = (manifest.media_type().clone(), manifest.bytes().clone());
            Some(ServedManifest { digest: *digest, media_type, bytes, provenance: None })
        };
        Ok(self.load_manifest(repository, digest)?.or_else(mounted))
    }

    /// Where a tag points, and where it came from: what was pushed goes before what is mounted.
    fn tagged(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<(Digest, Bytes)>, StoreError> {
        let link = self.tag_link(repository, tag)?;
        if !link.as_ref().is_some_and(|link| matches!(link.provenance, Provenance::Pushed { .. }))
            && let Some((digest, medium)) = self.mounts.tag_and_medium(repository, tag)
        {
            // Whoever pulls need not know where it lies.
            let medium = medium.rsplit('/').next().unwrap_or_default();
            return Ok(Some((digest, visible(&format!("mounted from {medium}")))));
        }
        Ok(link.map(|link| (link.digest, visible(&link.provenance.with_release()))))
    }

    /// Where a tag points: by the release that is being settled, else by its own link.
    pub(crate) fn tag_link(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagLink>, StoreError> {
        let settling = self.settling.read().tags.get(&(repository.clone(), tag.clone())).cloned();
        settling.map_or_else(|| self.store.links.tag(repository, tag), Ok)
    }

    /// A linked manifest from the disk.
    pub(crate) fn load_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ServedManifest>, StoreError> {
        if self.settling.read().is_unlinked(repository, digest) {
            return Ok(None);
        }
        let Some(link) = self.store.links.manifest(repository, digest)? else { return Ok(None) };
        let bytes = self.store.blobs.read(digest, MAX_MANIFEST_SIZE)?;
        let served = |bytes| ServedManifest { digest: *digest, media_type: link.media_type, bytes, provenance: None };
        Ok(bytes.map(served))
    }
}

/// Where a tag came from, as a header may say it: written once for all answers.
fn visible(text: &str) -> Bytes {
    // A bundle is called what its file was, in whatever letters.
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_tag_came_from_breaks_no_header() {
        let bundle = "b\u{fc}ndel\r\nSet-Cookie: a=b".to_owned();
        let text = visible(&Provenance::Ingested { bundle, release: Some(7) }.with_release());
        assert_eq!(text, "ingested from b?ndel??Set-Cookie: a=b; release=7");
        let pushed = Provenance::Pushed { by: "anonymous".into() };
        assert_eq!(visible(&pushed.with_release()), "pushed by anonymous");
    }
}
