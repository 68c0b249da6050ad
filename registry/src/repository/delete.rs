//! Deleting tags and manifests (end-9) and blobs (end-10): from one repository; what others hold stays.

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Digest, Manifest, Tag, TagOrDigest};
use crate::registry::Shared;

use super::Repository;

impl Repository {
    /// Removes a tag, or a manifest with all tags that point at it. Gives the tags that are gone.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`]; [`Error::ManifestUnknown`]; [`Error::ReadOnly`] when only a mounted medium has it.
    ///
    /// # Durability
    /// Gone for good when it returns: tags first, then the manifest's link.
    pub async fn delete_manifest(&self, reference: &TagOrDigest) -> Result<Vec<Tag>, Error> {
        self.check_allowed()?;
        let unknown = Error::ManifestUnknown { repository: self.name.clone(), reference: reference.to_string() };
        let deleted = match reference {
            TagOrDigest::Tag(tag) => self.delete_tag(tag.clone()).await?,
            TagOrDigest::Digest(digest) => self.delete_digest(*digest).await?,
        };
        if let Some(tags) = deleted {
            return Ok(tags);
        }
        let mounts = &self.shared.mounts;
        let mounted = match reference {
            TagOrDigest::Tag(tag) => mounts.tag(&self.name, tag).is_some(),
            TagOrDigest::Digest(digest) => mounts.manifest(&self.name, digest).is_some(),
        };
        Err(if mounted { self.read_only(reference) } else { unknown })
    }

    fn read_only(&self, reference: &impl ToString) -> Error {
        Error::ReadOnly { repository: self.name.clone(), reference: reference.to_string() }
    }

    /// Makes a blob invisible in this repository.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`]; [`Error::BlobUnknown`]; [`Error::ReadOnly`]; [`Error::BlobInUse`] while a manifest here names it, for a
    /// manifest whose blobs are gone is of no use to anyone.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        self.check_allowed()?;
        let (name, digest) = (self.name.clone(), *digest);
        let delete = move |shared: &Shared, metadata: &Metadata| {
            if let Some(manifest) = metadata.user(&name, &digest)? {
                return Err(Error::BlobInUse { digest, manifest });
            }
            let mut batch = shared.store.batch();
            let linked = shared.store.links.unlink_blob(&mut batch, &name, &digest)?;
            batch.commit()?;
            let mut changes = Changes::default();
            changes.remove_blob(&name, &digest);
            let applied = metadata.apply(changes);
            shared.blobs.remove(&(name.clone(), digest));
            applied?;
            if linked { Ok(()) } else { Err(Error::BlobUnknown { repository: name, digest }) }
        };
        match self.shared.change(&self.name, delete).await {
            Err(Error::BlobUnknown { .. }) if !self.shared.mounts.blobs(&self.name, &digest).is_empty() => {
                Err(self.read_only(&digest))
            }
            done => done,
        }
    }

    fn check_allowed(&self) -> Result<(), Error> {
        if self.shared.settings.delete { Ok(()) } else { Err(Error::DeleteDisabled) }
    }

    async fn delete_tag(&self, tag: Tag) -> Result<Option<Vec<Tag>>, Error> {
        let name = self.name.clone();
        let delete = move |shared: &Shared, metadata: &Metadata| {
            let mut batch = shared.store.batch();
            let linked = shared.store.links.unlink_tag(&mut batch, &name, &tag)?;
            batch.commit()?;
            let mut changes = Changes::default();
            changes.remove_tag(&name, &tag);
            let applied = metadata.apply(changes);
            shared.manifests.remove(&(name, TagOrDigest::Tag(tag.clone())));
            applied?;
            Ok(linked.then(|| vec![tag]))
        };
        self.shared.change(&self.name, delete).await
    }

    async fn delete_digest(&self, digest: Digest) -> Result<Option<Vec<Tag>>, Error> {
        let name = self.name.clone();
        let delete = move |shared: &Shared, metadata: &Metadata| {
            let Some(found) = shared.load_manifest(&name, &digest)? else { return Ok(None) };
            let manifest = Manifest::parse(found.bytes, Some(found.media_type))?;
            let tags = metadata.tags_of(&name, &digest)?;
            let mut batch = shared.store.batch();
            for tag in &tags {
                shared.store.links.unlink_tag(&mut batch, &name, tag)?;
            }
            batch.commit()?;
            let mut batch = shared.store.batch();
            shared.store.links.unlink_manifest(&mut batch, &name, &digest)?;
            batch.commit()?;
            let mut changes = Changes::default();
            changes.remove_manifest(&name, &digest, &manifest);
            for tag in &tags {
                changes.remove_tag(&name, tag);
            }
            let applied = metadata.apply(changes);
            shared.manifests.remove(&(name.clone(), TagOrDigest::Digest(digest)));
            for tag in &tags {
                shared.manifests.remove(&(name.clone(), TagOrDigest::Tag(tag.clone())));
            }
            // Blobs that only this manifest made visible here are so no more.
            for blob in manifest.blobs() {
                shared.blobs.remove(&(name.clone(), blob.digest));
            }
            applied?;
            Ok(Some(tags))
        };
        self.shared.change(&self.name, delete).await
    }
}
