//! Deleting tags and manifests (end-9) and blobs (end-10) from one repository; other repositories keep theirs.

use std::sync::Arc;

use crate::catalog::{Changes, Layer, ServedManifest};
use crate::disk::threads::composed;
use crate::error::Error;
use crate::oci::{Digest, Tag, TagOrDigest};

use super::Repository;

impl Repository {
    /// Removes a tag, or a manifest with all tags that point at it. Returns the removed tags.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`]; [`Error::ManifestUnknown`]; [`Error::ReadOnly`] when only a mounted medium has it;
    /// [`Error::ManifestInUse`] while an index here lists it: without it no client could use that index.
    /// [`Error::PreconditionFailed`].
    ///
    /// # Durability
    /// Durable when it returns: tags are removed first, then the manifest's link.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn delete_manifest(&self, reference: &TagOrDigest) -> Result<Vec<Tag>, Error> {
        self.check_allowed()?;
        let deleted = match reference {
            TagOrDigest::Tag(tag) => self.delete_tag(tag.clone()).await?,
            TagOrDigest::Digest(digest) => self.delete_digest(*digest).await?,
        };
        if let Some(tags) = deleted {
            return Ok(tags);
        }
        let (core, repository, wanted) = (self.core.clone(), self.name.clone(), reference.clone());
        composed(async move || {
            // What is still there is on a medium.
            let mounted = match &wanted {
                TagOrDigest::Tag(tag) => core.catalog.resolve(&repository, tag).await?.is_some(),
                TagOrDigest::Digest(digest) => core.catalog.mounted_manifest(&repository, digest).is_some(),
            };
            let reference = wanted.to_string();
            Err(if mounted {
                Error::ReadOnly { repository, reference }
            } else {
                Error::ManifestUnknown { repository, reference }
            })
        })
        .await
    }

    /// Makes a blob invisible in this repository.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`]; [`Error::BlobUnknown`]; [`Error::ReadOnly`]; [`Error::BlobInUse`] while a manifest here
    /// names it: without its blobs no client could use that manifest.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        self.check_allowed()?;
        let write = self.core.catalog.files.write(&self.name).await?;
        let (core, name, digest) = (self.core.clone(), self.name.clone(), *digest);
        let precondition = self.precondition.clone();
        composed(async move || {
            if !precondition.is_empty() {
                let found = core.catalog.visible(&name, &digest).await?.map(|_| digest);
                precondition.check_found(&name, &digest.to_string(), found)?;
            }
            if let Some(manifest) = core.catalog.files.user(&name, &digest).await? {
                return Err(Error::BlobInUse { digest, manifest });
            }
            if write.commit(Changes { unlinked_blobs: vec![digest], ..Changes::of(name.clone()) }).await? {
                Ok(())
            } else if core.catalog.visible(&name, &digest).await?.is_some() {
                Err(Error::ReadOnly { repository: name, reference: digest.to_string() })
            } else {
                Err(Error::BlobUnknown { repository: name, digest })
            }
        })
        .await
    }

    fn check_allowed(&self) -> Result<(), Error> {
        if self.core.settings.delete { Ok(()) } else { Err(Error::DeleteDisabled) }
    }

    async fn delete_tag(&self, tag: Tag) -> Result<Option<Vec<Tag>>, Error> {
        let write = self.core.catalog.files.write(&self.name).await?;
        let (core, name, precondition) = (self.core.clone(), self.name.clone(), self.precondition.clone());
        composed(async move || {
            precondition.check(&core.catalog, &name, &TagOrDigest::Tag(tag.clone())).await?;
            let changes = Changes { unlinked_tags: vec![tag.clone()], ..Changes::of(name) };
            Ok(write.commit(changes).await?.then(|| vec![tag]))
        })
        .await
    }

    async fn delete_digest(&self, digest: Digest) -> Result<Option<Vec<Tag>>, Error> {
        let write = self.core.catalog.files.write(&self.name).await?;
        let (core, name, precondition) = (self.core.clone(), self.name.clone(), self.precondition.clone());
        composed(async move || {
            precondition.check(&core.catalog, &name, &TagOrDigest::Digest(digest)).await?;
            let Some(found) = core.catalog.files.manifest(&name, &digest).await? else { return Ok(None) };
            // An index may list it as something else than a manifest.
            if let Some(index) = core.catalog.files.parent(&name, &digest).await? {
                return Err(Error::ManifestInUse { digest, index });
            }
            if let Some(index) = core.catalog.files.user(&name, &digest).await? {
                return Err(Error::ManifestInUse { digest, index });
            }
            let unlinked_manifests = vec![(digest, Arc::new(ServedManifest::parse(found)?))];
            let unlinked_tags = core.catalog.files.tags_of(&name, &digest).await?;
            let tags = unlinked_tags.clone();
            write.commit(Changes { unlinked_manifests, unlinked_tags, ..Changes::of(name) }).await?;
            Ok(Some(tags))
        })
        .await
    }
}
