//! What readers find in archives, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use airdock_registry::oci::{Digest, Manifest, RepositoryName, Tag};
use bytes::Bytes;

/// The repository for content without a name. It can be pulled from there by digest.
pub(crate) const UNTAGGED: &str = "untagged";

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An archive or a chart, valid or not.
    Archive,
    /// Neither; what it is, for a sentence.
    Other(&'static str),
}

/// A name that content has in an archive, as a repository and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundName {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Option<Tag>,
    /// The name as the archive gives it.
    pub(crate) shown: String,
}

impl FoundName {
    /// The name of `root` in a repository, shown as it is stored.
    pub(crate) fn stored(repository: RepositoryName, tag: Option<Tag>, root: &Digest) -> Self {
        let shown = tag.as_ref().map_or_else(|| format!("{repository}@{root}"), |tag| format!("{repository}:{tag}"));
        Self { repository, tag, shown }
    }
}

/// An image, chart or other artifact whose blobs are all in the sink.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file it was in.
    pub(crate) file: String,
    pub(crate) names: Vec<FoundName>,
    /// All its manifests that are here, children before the index that lists them, the root last.
    pub(crate) manifests: Vec<(Digest, Arc<Manifest>)>,
    pub(crate) root: Digest,
    pub(crate) platforms: Vec<String>,
    pub(crate) size: u64,
    pub(crate) notes: Vec<String>,
    /// The manifest it belongs to, and its tag there: a signature goes where the signed image goes.
    pub(crate) beside: Option<(Digest, Option<Tag>)>,
    /// Its manifest is not the one the registry had: it was made here, or by the tool that saved the image.
    pub(crate) lost_digest: bool,
}

impl Found {
    /// What its manifests take in memory.
    pub(crate) fn manifest_bytes(&self) -> usize {
        self.manifests.iter().map(|(_, manifest)| manifest.bytes().len()).sum()
    }
}

/// A chart whose archive is in the sink. Its manifest is made at the end, because its provenance file may come later.
#[derive(Debug)]
pub(crate) struct Chart {
    /// The file it was in.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The config and the annotations of its manifest.
    pub(crate) config: Vec<u8>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Of the packed archive.
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// It came as a plain tar and was packed here.
    pub(crate) repacked: bool,
}

/// The inventories that were found, byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Inventories {
    /// By the path of the text, whether that is there or not.
    pub(crate) sheets: BTreeMap<String, Sheet>,
    /// Whether the root of an input could not be read, so that there may be more.
    pub(crate) incomplete: bool,
    /// An inventory inside an archive of a bundle, which does not count.
    pub(crate) nested: Option<String>,
    /// The size of all of them together.
    pub(crate) bytes: usize,
}

/// An inventory and its signature, as far as they are there.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) text: Option<Bytes>,
    pub(crate) signature: Option<Bytes>,
    /// Why one of them could not be read.
    pub(crate) problem: Option<String>,
}
