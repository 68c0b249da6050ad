//! One entry of the release log: a change of many tags at once, to what, by which user, and what they were before.
//!
//! Invariant: an entry says of each tag it changes where it pointed before. A rollback reads nothing else.

use serde::{Deserialize, Serialize};

use crate::catalog::binding::{Provenance, TagLink};
use crate::catalog::precedence::{Outcome, WhyKept};
use crate::oci::{Digest, RepositoryName, Tag};

/// One entry of the log. Entries are only added; only the pin ever changes, and the entry of a removal replaces that of
/// the removed release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Its number, from the same sequence as every tag change: a later entry has a larger one.
    pub id: u64,
    /// What made it.
    #[serde(default)]
    pub kind: ReleaseKind,
    /// The release in effect before it, if there was one.
    #[serde(default)]
    pub parent: Option<u64>,
    /// The release in effect since it, if there is one.
    #[serde(default)]
    pub in_effect: Option<u64>,
    /// Seconds since 1970 by this machine's clock, for people only.
    #[serde(default)]
    pub at: u64,
    /// The user who asked for it.
    #[serde(default)]
    pub by: String,
    /// The name of the bundle.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bundle: String,
    /// What was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<ReleaseSource>,
    /// The signatures that were verified, if that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<ReleaseSignature>,
    /// The images and charts it brought, under each of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ReleaseImage>,
    /// Bytes of the manifests, configs and layers it brought, each once, including those that were there already.
    #[serde(default)]
    pub bytes: u64,
    /// The sha256 digest of what it brought, whatever it was packed in: of the sorted lines `REPOSITORY:TAG DIGEST` and
    /// `REPOSITORY DIGEST` of all its tags and manifests, each with a newline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Digest>,
    /// Every manifest it brought, also those within its indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<ManifestName>,
    /// What it made of the tag table.
    #[serde(default)]
    pub changes: Vec<TagChange>,
    /// Tags it would have changed and did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptTag>,
    /// Manifests it took out of their repositories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlinked: Vec<ManifestName>,
    /// Whether it must not be removed.
    #[serde(default)]
    pub pinned: bool,
    /// What has to be kept of a removed release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed: Option<RemovedRelease>,
}

/// Seconds since 1970, for people to read.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What made an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    /// A bundle was ingested.
    #[default]
    Ingest,
    /// The tags were put back, or forward, to what they were at a release.
    Rollback {
        /// That release.
        to: u64,
    },
    /// A release was removed.
    Removal {
        /// That release.
        of: u64,
    },
}

/// What a bundle was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSource {
    /// Its absolute path, or `standard input`.
    pub path: String,
    /// What it is.
    pub kind: SourceKind,
    /// Its size in bytes, where that is known.
    #[serde(default)]
    pub size: Option<u64>,
}

/// A signature that was verified before the bundle was ingested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSignature {
    /// The inventory that was signed.
    pub inventory: String,
    /// The name of the file with the key.
    pub key: String,
    /// The SHA-256 of the public key in DER.
    pub fingerprint: Digest,
}

impl std::fmt::Display for ReleaseSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inventory, key, fingerprint } = self;
        write!(f, "{inventory} by {key} ({fingerprint})")
    }
}

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A block device.
    Device,
    /// A pipe, or standard input.
    Stream,
}

/// One image or chart of a release under one of its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseImage {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag; none for what has no tag.
    #[serde(default)]
    pub tag: Option<Tag>,
    /// The manifest's digest.
    pub digest: Digest,
    /// Bytes of its manifests, configs and layers, each once.
    #[serde(default)]
    pub size: u64,
    /// The platforms it can be pulled for.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// What became of its tag.
    #[serde(default)]
    pub state: ImageState,
}

/// What became of the tag of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// It was not there before.
    #[default]
    New,
    /// It pointed elsewhere.
    Moved,
    /// It pointed there already.
    AlreadyThere,
    /// It still points elsewhere: see [`ReleaseRecord::kept`].
    Kept,
    /// It has none.
    ByDigest,
}

/// A manifest of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ManifestName {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest's digest.
    pub digest: Digest,
}

/// What an entry made of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChange {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where it pointed before, if it was there.
    pub before: Option<TagLink>,
    /// Where it points since, if it is there.
    pub after: Option<TagLink>,
}

/// A tag that was to be changed and stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTag {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where it was to point; none if it was to go.
    pub wanted: Option<Digest>,
    /// Where it points; none if it is not there.
    pub current: Option<Digest>,
    /// Where that came from.
    pub by: Option<Provenance>,
    /// Why it stays.
    pub why: WhyKept,
}

/// What is kept of a release that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedRelease {
    /// The release that was in effect before it.
    pub(crate) parent: Option<u64>,
    /// What it had made of the tag table: a rollback never restores a tag to it, and skips to what it had replaced.
    pub(crate) changes: Vec<TagChange>,
}

impl ReleaseRecord {
    /// A new entry, without content.
    pub(crate) fn new(id: u64, kind: ReleaseKind, by: String) -> Self {
        Self { id, kind, at: now(), by, ..Self::default() }
    }
}

/// One tag of a release and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagOutcome {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where the release points it.
    pub digest: Digest,
    /// What became of it.
    pub outcome: Outcome,
}

impl TagOutcome {
    /// For the record: the tag, if it was kept.
    #[must_use]
    pub fn kept(&self) -> Option<KeptTag> {
        let Outcome::Kept { current, by, why } = &self.outcome else { return None };
        Some(KeptTag {
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            wanted: Some(self.digest),
            current: Some(*current),
            by: Some(by.clone()),
            why: *why,
        })
    }
}

impl std::fmt::Display for KeptTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repository, tag, current, by, why, .. } = self;
        match current {
            Some(current) => write!(f, "`{repository}:{tag}` stays `{current}`")?,
            None => write!(f, "`{repository}:{tag}` stays away")?,
        }
        if let Some(by) = by {
            write!(f, ", {by}")?;
        }
        f.write_str(match why {
            WhyKept::Precedence => "",
            WhyKept::Protected => "; its prefix is protected",
            WhyKept::ChangedSince => "; it was changed since",
            WhyKept::TargetGone => "; what it pointed at is no longer there",
        })
    }
}
