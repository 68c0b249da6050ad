//! What a layer of names can be asked. Free of files, paths, databases and HTTP: SQL is one more implementation.

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::Bytes;

use super::binding::Binding;
use super::homes::Homes;
use super::page::Page;
use super::referrer::Referrer;
use crate::blobs::Answer;
use crate::oci::{Digest, InvalidManifest, Manifest, MediaType, RepositoryName, Tag};

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

impl ServedManifest {
    /// Its content, checked.
    pub(crate) fn parse(self) -> Result<Manifest, InvalidManifest> {
        Manifest::parse(self.bytes, Some(self.media_type))
    }
}

/// One source of names. Most questions are about exactly one repository, whether or not it exists. All fail when the
/// layer cannot be read.
pub(crate) trait Layer: Debug + Send + Sync {
    /// Whether the repository has a manifest here.
    fn has_repository(&self, repository: &RepositoryName) -> Answer<'_, bool>;

    /// Where a tag points.
    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Answer<'_, Option<Binding>>;

    /// A manifest, re-hashed.
    fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<ServedManifest>>;

    /// Whether the repository has a manifest, by the names alone: its bytes may be damaged.
    fn names_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, bool>;

    /// The size, in bytes, of a blob that is visible in the repository.
    fn visible(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<u64>>;

    /// The size, in bytes, of a blob that is visible in any repository.
    fn visible_anywhere(&self, digest: &Digest) -> Answer<'_, Option<u64>>;

    /// Up to `limit` tags after `after`, which need not exist.
    fn tags(&self, repository: &RepositoryName, after: Option<&str>, limit: usize) -> Answer<'_, Page<Tag>>;

    /// The tags that point at a manifest.
    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Vec<Tag>>;

    /// Up to `limit` repositories with a manifest after `after`, which need not exist.
    fn repositories(&self, after: Option<&str>, limit: usize) -> Answer<'_, Page<RepositoryName>>;

    /// The repositories that have these manifests, by the names alone, the first [`MAX`](super::homes::MAX) of each. Looks at every name
    /// once, however many are asked for.
    fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Answer<'_, Homes>;

    /// Up to `limit` manifests about `subject` after `after`, in the order of their digests.
    fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Answer<'_, Page<Referrer>>;
}
