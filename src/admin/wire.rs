//! What crosses the administration API. Reports of the registry and of an ingest cross as they are; an own type is
//! defined here only where the registry's is not a public shape: [`Release`] because a record is also the format on disk,
//! [`TagRow`] and [`Inspection`] because they join what several calls return. `--json` prints the same values.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use airdock_registry::oci::{Descriptor, Digest, MediaType, RepositoryName, Tag};
use airdock_registry::{
    ContentKind, Description, Holder, KeptTag, ManifestName, Part, Provenance, ReleaseImage, ReleaseKind,
    ReleaseRecord, ReleaseSignature, ReleaseSource, Summary, TagChange, Tagged, UploadSummary,
};
use http::HeaderValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::options::IngestOptions;
use crate::exit::Failure;

/// The media type of an answer that is one document.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The longest line or body of an answer that is read, in bytes: a report of ten thousand images fits.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// The longest request, in bytes, without the stream of an ingest: as many paths as a command line can hold.
pub(super) const MAX_REQUEST: usize = 4 << 20;

/// One line of a streamed answer, or the whole of any other. The last line is the outcome or an error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Part(Box<RawValue>),
    Outcome(Box<RawValue>),
    Error(Failure),
}

/// The body of `POST ingest`; on one line when a stream follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ingest {
    /// Absolute paths as the server sees them; `-` is the stream that follows in the body.
    pub(crate) inputs: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) options: IngestOptions,
}

impl Ingest {
    pub(super) fn has_stream(&self) -> bool {
        self.inputs.iter().any(|path| path.as_os_str() == "-")
    }
}

/// The body of `POST remove`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remove {
    /// What to remove. Nothing is removed unless all of them are references.
    pub(crate) references: Vec<String>,
}

/// The body of `POST verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Verify {
    /// What to verify; everything if there are none.
    pub(crate) references: Vec<String>,
    /// Whether files that do not match their digest are moved away.
    pub(crate) remove_damaged: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagRow {
    pub(crate) repository: RepositoryName,
    /// Absent for a manifest that nothing leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Digest,
    /// Absent when the manifest cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<ContentKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<MediaType>,
    pub(crate) platforms: Vec<String>,
    /// Bytes of everything it needs that is present.
    pub(crate) size: u64,
    /// Absent without a tag.
    #[serde(flatten)]
    pub(crate) origin: Option<Origin>,
    /// Why the manifest cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl TagRow {
    pub(super) fn new(repository: &RepositoryName, tagged: Tagged) -> Self {
        let Tagged { tag, digest, origin, content } = tagged;
        Self { tag: Some(tag), origin: Some(origin.into()), ..Self::untagged(repository, digest, content) }
    }

    /// A manifest that nothing leads to.
    pub(super) fn untagged(repository: &RepositoryName, digest: Digest, content: Result<Summary, String>) -> Self {
        let (content, problem) = match content {
            Ok(content) => (Some(content), None),
            Err(problem) => (None, Some(problem)),
        };
        Self {
            repository: repository.clone(),
            tag: None,
            digest,
            kind: content.as_ref().map(|content| content.kind),
            media_type: content.as_ref().map(|content| content.media_type.clone()),
            size: content.as_ref().map_or(0, |content| content.size),
            platforms: content.map(|content| content.platforms).unwrap_or_default(),
            origin: None,
            problem,
        }
    }
}

/// Where a tag came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) provenance: Source,
    /// When, by the server's clock; absent for mounted content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Timestamp>,
}

/// Who brought a tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// It is served from a medium.
    Mounted { medium: String },
    /// It is stored, and its link records who brought it.
    #[serde(untagged)]
    Stored(Provenance),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mounted { medium } => write!(f, "mounted from {medium}"),
            Self::Stored(provenance) => provenance.fmt(f),
        }
    }
}

impl From<airdock_registry::Origin> for Origin {
    fn from(origin: airdock_registry::Origin) -> Self {
        match origin {
            airdock_registry::Origin::Mounted { medium, .. } => {
                Self { provenance: Source::Mounted { medium }, at: None }
            }
            airdock_registry::Origin::Stored { at, provenance, .. } => Self {
                at: i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok()),
                provenance: Source::Stored(provenance),
            },
        }
    }
}

/// What a list of tags came to.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) repositories: u64,
    pub(crate) tags: u64,
    /// Manifests that nothing leads to, if they were asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) untagged: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Everything about one reference.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inspection {
    /// The repository it was found in: the one a pull would get it from.
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) media_type: MediaType,
    pub(crate) kind: ContentKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// Bytes of the manifest.
    pub(crate) manifest_size: u64,
    /// Bytes of everything it needs that is present.
    pub(crate) size: u64,
    pub(crate) platforms: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Piece>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<Piece>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// The manifest it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Digest>,
    /// The manifests about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) referrers: Vec<Referrer>,
    /// Every repository that has it.
    pub(crate) places: Vec<Holder>,
    /// Whether there are more repositories or referrers than are listed.
    pub(crate) more: bool,
    /// Where the tag came from; absent for a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<Origin>,
}

impl From<Description> for Inspection {
    /// Everything but `referrers`, `places`, `more` and `tag`.
    fn from(described: Description) -> Self {
        let child = |listed: airdock_registry::Listed| Piece {
            platform: listed.platform,
            descriptor: listed.descriptor,
            state: if listed.present { State::Present } else { State::Absent },
        };
        Self {
            repository: described.repository,
            digest: described.digest,
            media_type: described.summary.media_type,
            kind: described.summary.kind,
            artifact_type: described.artifact_type,
            manifest_size: described.manifest_size,
            size: described.summary.size,
            platforms: described.summary.platforms,
            config: described.config.map(Piece::from),
            layers: described.layers.into_iter().map(Piece::from).collect(),
            manifests: described.manifests.into_iter().map(child).collect(),
            annotations: described.annotations,
            subject: described.subject,
            referrers: Vec::new(),
            places: Vec::new(),
            more: false,
            tag: None,
        }
    }
}

/// A config, layer or manifest that a manifest names.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// The platform an index gives for a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<String>,
    #[serde(flatten)]
    pub(crate) descriptor: Descriptor,
    pub(crate) state: State,
}

/// Whether the registry has it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Present,
    Absent,
    /// The file has another size.
    Damaged,
    /// Absent, and a non-distributable layer that need not be present.
    Foreign,
}

impl From<Part> for Piece {
    fn from(part: Part) -> Self {
        let state = match part.found {
            Some(found) if found == part.descriptor.size => State::Present,
            Some(_) => State::Damaged,
            None if part.foreign => State::Foreign,
            None => State::Absent,
        };
        Self { platform: None, descriptor: part.descriptor, state }
    }
}

/// A manifest about another: a signature, an attestation, a bill of materials.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    /// Its digest, or its tag by cosign's convention (`sha256-….sig`).
    pub(crate) reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
}

/// The result for one reference that was to be removed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub(crate) reference: String,
    /// The manifest, when it was removed and not only a tag of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<String>,
    /// The tags that were removed, as `repository:tag`.
    pub(crate) tags: Vec<String>,
    /// Why nothing was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The result for all of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removals {
    /// How many references could not be removed.
    pub(crate) failed: u64,
}

/// An upload that is open.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UploadRow {
    pub(crate) id: String,
    /// Absent when its record was lost in a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<RepositoryName>,
    /// Bytes that have arrived.
    pub(crate) size: u64,
    /// When the last of them came, or when it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<Timestamp>,
    /// The address it was begun from, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<IpAddr>,
    /// Whether a request is adding to it.
    pub(crate) held: bool,
}

impl From<UploadSummary> for UploadRow {
    fn from(upload: UploadSummary) -> Self {
        Self {
            id: upload.id.to_string(),
            repository: upload.repository,
            size: upload.size,
            changed: upload.changed.try_into().ok(),
            client: upload.client,
            held: upload.is_held,
        }
    }
}

/// What a list of uploads came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Uploads {
    pub(crate) uploads: u64,
    pub(crate) bytes: u64,
}

/// What removing uploads came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct UploadsRemoved {
    pub(crate) removed: u64,
    /// Those that were named and were not there, or are just becoming a blob.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub(crate) id: u64,
    pub(crate) pinned: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RolledBack {
    /// The release in effect now.
    pub(crate) in_effect: u64,
    /// The new entry of the log; none if the release was in effect already.
    pub(crate) record: Option<Release>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) removed: u64,
    /// The entry of the log that takes its place.
    pub(crate) record: Release,
}

/// One entry of the log of releases. What only recovery and rollback need of a record is not part of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) id: u64,
    pub(crate) kind: ReleaseKind,
    pub(crate) parent: Option<u64>,
    pub(crate) in_effect: Option<u64>,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) bundle: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) media: Vec<ReleaseSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signatures: Vec<ReleaseSignature>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<ReleaseImage>,
    pub(crate) bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<ManifestName>,
    pub(crate) changes: Vec<TagChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<KeptTag>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unlinked: Vec<ManifestName>,
    pub(crate) pinned: bool,
}

impl From<ReleaseRecord> for Release {
    fn from(record: ReleaseRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind,
            parent: record.parent,
            in_effect: record.in_effect,
            at: record.at,
            by: record.by,
            bundle: record.bundle,
            media: record.media,
            signatures: record.signatures,
            images: record.images,
            bytes: record.bytes,
            checksum: record.checksum,
            manifests: record.manifests,
            changes: record.changes,
            kept: record.kept,
            unlinked: record.unlinked,
            pinned: record.pinned,
        }
    }
}
