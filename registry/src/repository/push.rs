//! Pushing manifests (end-7) and mounting blobs (end-11).

use std::sync::Arc;

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::names::RequestedName;
use crate::oci::{Algorithm, Digest, Manifest, Reference, RepositoryName, Tag, TagOrDigest};
use crate::registry::{Shared, blocking};
use crate::settings::References;
use crate::store::{ManifestLink, MediumBlob, Provenance, TagLink};

use super::{Repository, now};

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
    /// The manifest it is about: says to the client that the referrers API knows it.
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
    /// when it names what only a mounted medium has, which is then copied, and the medium cannot give it.
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
        let carried = self.shared.carry(&self.name, &manifest).await?;
        let name = self.name.clone();
        let put = move |shared: &Shared, metadata: &Metadata| {
            carried.link(shared, &name, metadata)?;
            shared.check_references(&name, &manifest, metadata)?;
            shared.store_manifest(&name, &digest, &manifest)?;
            shared.point(&name, &tags, &digest, &by)?;
            let mut changes = Changes::default();
            changes.add_manifest(&name, &digest, &manifest);
            for tag in &tags {
                changes.add_tag(&name, tag, &digest);
            }
            // First what lists are made of, then what a read of this very manifest may have kept.
            let applied = metadata.apply(changes);
            shared.manifests.remove(&(name.clone(), TagOrDigest::Digest(digest)));
            for tag in &tags {
                shared.manifests.remove(&(name.clone(), TagOrDigest::Tag(tag.clone())));
            }
            applied?;
            Ok(PutManifest { digest, subject: manifest.subject().map(|subject| subject.digest), tags })
        };
        self.shared.change(&self.name, put).await
    }

    /// Makes a blob that may be seen elsewhere visible here; says whether it is. Without a source, any repository's
    /// will do.
    ///
    /// # Errors
    /// When the disk refuses. That there is no such blob, or no such source, is no error: the client uploads.
    ///
    /// # Durability
    /// Durable when it returned `true`.
    pub async fn mount(&self, digest: &Digest, from: Option<&RequestedName>) -> Result<bool, Error> {
        let sources = from.map(|from| from.candidates().cloned().collect::<Vec<_>>());
        let (name, digest) = (self.name.clone(), *digest);
        let on_medium = self.on_medium(&digest, sources.as_deref());
        let mut seen = on_medium.first().map(|blob| blob.size());
        if seen.is_some() {
            let shared = self.shared.clone();
            match blocking(move || shared.carry_blob(&on_medium)).await {
                // The client has it and uploads it.
                Err(Error::Medium(_)) => seen = None,
                carried => carried?,
            }
        }
        let mount = move |shared: &Shared, metadata: &Metadata| {
            let Some(size) = shared.store.blobs.size(&digest)? else { return Ok(false) };
            if let Some(there) = shared.size_in(&name, &digest, metadata)? {
                return Ok(there == size);
            }
            match sources {
                Some(sources) => {
                    for source in sources {
                        seen = seen.or(shared.size_in(&source, &digest, metadata)?);
                    }
                }
                None => {
                    if seen.is_none()
                        && let Some(source) = metadata.find_blob(&digest)?
                    {
                        seen = shared.size_in(&source, &digest, metadata)?;
                    }
                }
            }
            // A file of another size is damaged: the client is to bring the blob anew.
            let seen = seen == Some(size);
            if seen {
                let mut batch = shared.store.batch();
                shared.store.links.link_blob(&mut batch, &name, &digest, size)?;
                batch.commit()?;
                let mut changes = Changes::default();
                changes.add_blob(&name, &digest);
                metadata.apply(changes)?;
            }
            Ok(seen)
        };
        self.shared.change(&self.name, mount).await
    }

    /// Where mounted media have the blob, so that it may be seen here, in one of `sources`, or, without any, anywhere.
    fn on_medium(&self, digest: &Digest, sources: Option<&[RepositoryName]>) -> Vec<Arc<MediumBlob>> {
        let mounts = &self.shared.mounts;
        match sources {
            Some(sources) => {
                let repositories = std::iter::once(&self.name).chain(sources);
                repositories.flat_map(|repository| mounts.blobs(repository, digest)).collect()
            }
            None => mounts.blobs_anywhere(digest),
        }
    }
}

impl Shared {
    /// A node must never be given a manifest whose content cannot be produced.
    fn check_references(&self, name: &RepositoryName, manifest: &Manifest, metadata: &Metadata) -> Result<(), Error> {
        let mut missing = Vec::new();
        for reference in manifest.references() {
            match reference {
                Reference::Blob(blob) => {
                    // What a medium shows here was copied into the store before.
                    let visible =
                        metadata.has_blob(name, &blob.digest)? || !self.mounts.blobs(name, &blob.digest).is_empty();
                    let found = if visible { self.store.blobs.size(&blob.digest)? } else { None };
                    match found {
                        Some(found) if found != blob.size => {
                            return Err(Error::SizeInvalid { digest: blob.digest, stated: blob.size, found });
                        }
                        Some(_) => {}
                        None => missing.push(blob.digest),
                    }
                }
                Reference::Manifest(child, _) => {
                    if self.store.links.manifest(name, &child.digest)?.is_none() {
                        missing.push(child.digest);
                    }
                }
                Reference::ForeignBlob(_) => {}
            }
        }
        if missing.is_empty() || self.settings.references == References::Lax {
            Ok(())
        } else {
            Err(Error::ManifestBlobUnknown { repository: name.clone(), missing })
        }
    }

    /// Puts a manifest's bytes among the blobs and links it, each durable before the next.
    pub(crate) fn store_manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let link = ManifestLink {
            media_type: manifest.media_type().clone(),
            size: manifest.bytes().len() as u64,
            ingested: false,
        };
        let whole = self.store.blobs.size(digest)? == Some(link.size);
        if whole && self.store.links.manifest(name, digest)?.as_ref() == Some(&link) {
            return Ok(());
        }
        self.store.put_blob(digest, manifest.bytes())?;
        let mut batch = self.store.batch();
        self.store.links.link_manifest(&mut batch, name, digest, &link)?;
        Ok(batch.commit()?)
    }

    /// Points tags at a manifest, with one number for all.
    fn point(&self, name: &RepositoryName, tags: &[Tag], digest: &Digest, by: &Provenance) -> Result<(), Error> {
        let mut batch = self.store.batch();
        for tag in tags {
            // The same again, from a source of the same rank: nothing to write.
            let there = self.store.links.tag(name, tag);
            if matches!(&there, Ok(Some(link)) if link.digest == *digest && link.provenance == *by) {
                continue;
            }
            let sequence = self.store.sequence.next()?;
            let link = TagLink { digest: *digest, sequence, at: now(), provenance: by.clone() };
            self.store.links.link_tag(&mut batch, name, tag, &link)?;
        }
        Ok(batch.commit()?)
    }
}
