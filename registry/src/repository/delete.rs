//! Deleting tags and manifests (end-9) and blobs (end-10): from one repository; what others hold stays.

use std::sync::Arc;

use crate::catalog::{Changes, ServedManifest};
use crate::disk::threads::composed;
use crate::error::Error;
use crate::oci::{Digest, Tag, TagOrDigest};

use super::Repository;

impl Repository {
    /// Removes a tag, or a manifest with all tags that point at it. Gives the tags that are gone.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`]; [`Error::ManifestUnknown`]; [`Error::ReadOnly`] when only a mounted medium has it.
    ///
    /// # Durability
    /// Gone for good when it returns: tags first, then the manifest's link.
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
            // What is left of it is a medium's.
            let mounted = match &wanted {
                TagOrDigest::Tag(tag) => core.catalog.resolve(&repository, tag).await?.is_some(),
                TagOrDigest::Digest(digest) => core.catalog.names_manifest(&repository, digest).await?,
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
    /// names it: a manifest whose blobs are gone is of no use to any client.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        self.check_allowed()?;
        let write = self.core.catalog.write(&self.name).await?;
        let (core, name, digest) = (self.core.clone(), self.name.clone(), *digest);
        composed(async move || {
            if let Some(manifest) = core.catalog.user(&name, &digest).await? {
                return Err(Error::BlobInUse { digest, manifest });
            }
            if write.commit(Changes::of(name.clone()).unlink_blob(digest)).await? {
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
        let write = self.core.catalog.write(&self.name).await?;
        let unlinked = write.commit(Changes::of(self.name.clone()).unlink_tag(tag.clone())).await?;
        Ok(unlinked.then(|| vec![tag]))
    }

    async fn delete_digest(&self, digest: Digest) -> Result<Option<Vec<Tag>>, Error> {
        let write = self.core.catalog.write(&self.name).await?;
        let (core, name) = (self.core.clone(), self.name.clone());
        composed(async move || {
            let Some(found) = core.catalog.stored(&name, &digest).await? else { return Ok(None) };
            let manifest = ServedManifest::parse(found)?;
            let tags = core.catalog.stored_tags_of(&name, &digest).await?;
            let changes = Changes::of(name).unlink_manifest(digest, Arc::new(manifest));
            write.commit(tags.iter().cloned().fold(changes, Changes::unlink_tag)).await?;
            Ok(Some(tags))
        })
        .await
    }
}
