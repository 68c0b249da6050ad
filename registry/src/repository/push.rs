//! Pushing manifests (end-7) and mounting blobs (end-11).

use std::sync::Arc;

use crate::blobs::Place;
use crate::catalog::{Changes, Layer, Provenance};
use crate::content::check_type;
use crate::core::Core;
use crate::disk::threads::composed;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{Algorithm, Digest, Manifest, Reference, RepositoryName, Tag, TagOrDigest};
use crate::settings::References;

use super::{Repository, carry};

/// What a manifest is pushed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutReference {
    /// Under a tag; its digest is sha256 (end-7a).
    Tag(Tag),
    /// By digest, which it must have, with tags to be set to it (end-7b).
    Digest(Digest, Vec<Tag>),
}

/// A manifest that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutManifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifest it is about: tells the client that the referrers API knows it.
    pub subject: Option<Digest>,
    /// The tags that point at it now because of this push.
    pub tags: Vec<Tag>,
}

impl Repository {
    /// Stores a manifest, links it, and points the tags at it.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] when it does not have the digest it was pushed by; [`Error::ManifestBlobUnknown`] when
    /// it names what the repository does not have (unless references are lax); [`Error::SizeInvalid`]; [`Error::Medium`]
    /// when it names what only a mounted medium has, which is then copied, and the medium cannot give it;
    /// [`Error::PreconditionFailed`].
    ///
    /// # Durability
    /// Manifest, link and tags are durable when it returns.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn put_manifest(
        &self,
        reference: PutReference,
        manifest: Manifest,
        by: Provenance,
    ) -> Result<PutManifest, Error> {
        let named = match &reference {
            PutReference::Tag(tag) => TagOrDigest::Tag(tag.clone()),
            PutReference::Digest(digest, _) => TagOrDigest::Digest(*digest),
        };
        let (digest, tags) = match reference {
            PutReference::Tag(tag) => (Algorithm::Sha256.digest(manifest.bytes()), vec![tag]),
            PutReference::Digest(expected, tags) => {
                let found = expected.algorithm().digest(manifest.bytes());
                if found != expected {
                    return Err(Error::DigestMismatch { expected, found });
                }
                (expected, tags)
            }
        };
        let carried = carry::copy_named(&self.core, &self.name, &manifest).await?;
        let write = self.core.catalog.files.write(&self.name).await?;
        let (core, name, precondition) = (self.core.clone(), self.name.clone(), self.precondition.clone());
        composed(async move || {
            precondition.check(&core.catalog, &name, &named).await?;
            // Until the manifest is linked.
            let _leases = carried.leases;
            for (digest, manifest) in carried.manifests {
                // Children first, each durable before what names it.
                if !core.catalog.is_stored(&name, &digest).await? {
                    write.commit(Changes { manifests: vec![(digest, manifest)], ..Changes::of(name.clone()) }).await?;
                }
            }
            check_references(&core, &name, &manifest).await?;
            let subject = manifest.subject().map(|subject| subject.digest);
            let manifests = vec![(digest, Arc::new(manifest))];
            let pointed = tags.iter().map(|tag| (tag.clone(), digest, by.clone())).collect();
            write.commit(Changes { manifests, tags: pointed, ..Changes::of(name) }).await?;
            Ok(PutManifest { digest, subject, tags })
        })
        .await
    }

    /// Makes a blob that is visible elsewhere visible here; says whether it is. Without a source, any repository may be the
    /// source.
    ///
    /// # Errors
    /// When the disk refuses. A blob or a source that does not exist is no error: the client uploads.
    ///
    /// # Durability
    /// Durable when it returned `true`.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn mount_blob(&self, digest: &Digest, from: Option<&RequestedName>) -> Result<bool, Error> {
        // From before it is looked for or copied, until it is linked.
        let lease = self.core.blobs.depot.leases.hold(*digest);
        let mut seen = None;
        if let Some(medium) = self.on_medium(digest, from) {
            let (core, digest) = (self.core.clone(), *digest);
            match composed(async move || carry::copy_blob(&core, &digest).await).await {
                Ok(()) => seen = Some(medium),
                // The client uploads it instead.
                Err(Error::Medium(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let write = self.core.catalog.files.write(&self.name).await?;
        let (core, name, from, digest) = (self.core.clone(), self.name.clone(), from.cloned(), *digest);
        composed(async move || {
            let _lease = lease;
            let [Some(size)] = core.blobs.depot.sizes(&[digest]).await?[..] else { return Ok(false) };
            if let Some(there) = core.catalog.files.visible(&name, &digest).await? {
                return Ok(there == size);
            }
            match &from {
                Some(from) => {
                    for source in from.candidates() {
                        seen = match seen {
                            None => core.catalog.visible(source, &digest).await?,
                            seen => seen,
                        };
                    }
                }
                None if seen.is_none() => seen = core.catalog.visible_anywhere(&digest).await?,
                None => {}
            }
            // A file of another size is damaged: the client must upload the blob again.
            let seen = seen == Some(size);
            if seen {
                write.commit(Changes { blobs: vec![(digest, size)], ..Changes::of(name) }).await?;
            }
            Ok(seen)
        })
        .await
    }

    /// The size of the blob on a medium, if it is visible there in this repository or a source; without a source, anywhere.
    fn on_medium(&self, digest: &Digest, from: Option<&RequestedName>) -> Option<u64> {
        let size = self.core.blobs.media().iter().find_map(|medium| medium.size(digest))?;
        let catalog = &self.core.catalog;
        let shown = |from| catalog.shows_mounted(&self.name, digest) || catalog.is_shown_by_medium(from, digest);
        from.is_none_or(shown).then_some(size)
    }
}

/// A client must never get a manifest whose content cannot be served, or is not what the manifest says of it.
async fn check_references(core: &Core, name: &RepositoryName, manifest: &Manifest) -> Result<(), Error> {
    let mut missing = Vec::new();
    let is_index = manifest.config().is_none();
    let digests: Vec<_> = manifest.references().iter().map(|reference| reference.descriptor().digest).collect();
    // Blobs of a medium were copied before.
    let sizes = core.blobs.depot.sizes(&digests).await?;
    for (reference, found) in manifest.references().iter().zip(sizes) {
        let descriptor = reference.descriptor();
        let digest = descriptor.digest;
        let is_here = match reference {
            // It may be anywhere else. If it is here, a wrong size would make it unreadable where an ingest brought it.
            Reference::ForeignBlob(_) => found.is_some(),
            // What an index lists as another type may be a manifest all the same.
            Reference::Blob(_) => {
                found.is_some()
                    && (core.catalog.visible(name, &digest).await?.is_some()
                        || is_index && core.catalog.is_stored(name, &digest).await?)
            }
            Reference::Manifest(..) => match core.catalog.files.manifest_type(name, &digest).await? {
                Some(there) => {
                    check_type(descriptor, &there)?;
                    true
                }
                None => false,
            },
        };
        match found {
            Some(found) if is_here && found != descriptor.size => {
                return Err(Error::SizeInvalid { digest, stated: descriptor.size, found });
            }
            _ if is_here || matches!(reference, Reference::ForeignBlob(_)) => {}
            _ => missing.push(digest),
        }
    }
    if missing.is_empty() || core.settings.references == References::Lax {
        Ok(())
    } else {
        Err(Error::ManifestBlobUnknown { repository: name.clone(), missing })
    }
}
