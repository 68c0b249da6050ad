//! What a layer of names can be asked. Free of files, paths, databases and HTTP: SQL is one more implementation.

use std::fmt::Debug;

use bytes::Bytes;

use super::binding::Binding;
use crate::blobs::Answer;
use crate::oci::{Digest, Manifest, MediaType, RepositoryName, Tag};

/// Some of a list, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Whether there are more after the last.
    pub(crate) more: bool,
}

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
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn parse(self) -> Result<Manifest, crate::oci::InvalidManifest> {
        Manifest::parse(self.bytes, Some(self.media_type))
    }
}

/// One source of names. Every question is about exactly one repository, whether or not it is there.
///
/// # Errors
/// Each fails when the layer cannot be read.
pub(crate) trait Layer: Debug + Send + Sync {
    /// Whether the repository has a manifest here.
    fn has_repository<'a>(&'a self, repository: &'a RepositoryName) -> Answer<'a, bool>;

    /// Where a tag points.
    fn tag<'a>(&'a self, repository: &'a RepositoryName, tag: &'a Tag) -> Answer<'a, Option<Binding>>;

    /// A manifest, re-hashed.
    fn manifest<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest)
    -> Answer<'a, Option<ServedManifest>>;

    /// Whether the repository has a manifest, by the names alone: its bytes may be damaged.
    fn names_manifest<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, bool>;

    /// The size, in bytes, of a blob that may be seen in the repository.
    fn visible<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<u64>>;

    /// A repository in which the blob may be seen, and its size in bytes.
    fn visible_anywhere<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<u64>>;

    /// Up to `limit` tags after `after`, which need not exist.
    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page<Tag>>;

    /// The tags that point at a manifest.
    fn tags_of<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Vec<Tag>>;

    /// Up to `limit` repositories with a manifest after `after`, which need not exist.
    fn repositories<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Answer<'a, Page<RepositoryName>>;

    /// The manifests about `subject`, in the order of their digests.
    fn referrers<'a>(&'a self, repository: &'a RepositoryName, subject: &'a Digest) -> Answer<'a, Vec<Digest>>;
}
