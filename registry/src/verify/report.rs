//! What a verification says.

use serde::{Deserialize, Serialize};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are to read.
    pub total: u64,
}

/// Where on a mounted medium something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MediumPlace {
    /// What was mounted.
    pub medium: String,
    /// The file, from the mounted folder's own name on.
    pub file: String,
    /// The byte of the file it begins at.
    pub offset: u64,
}

/// What was read of one medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumRead {
    /// What was mounted.
    pub name: String,
    /// Blobs, once for each place.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A blob's digest, or what link it is.
    pub subject: String,
    /// Where it is, when it is not in the data folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<MediumPlace>,
    /// What is wrong with it.
    pub problem: String,
    /// Tags, and manifests without one, that cannot be pulled whole because of it.
    pub breaks: Vec<String>,
    /// More of them than are named.
    pub more: u64,
    /// Whether its file was moved aside.
    pub removed: bool,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Blobs read, manifests' own included; those of media once for each place.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests looked at, once for each repository.
    pub manifests: u64,
    /// What of that was read from mounted media.
    pub media: Vec<MediumRead>,
    /// Everything that is wrong.
    #[serde(rename = "damaged")]
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
    /// Whether it was told to stop before it was done.
    #[serde(skip)]
    pub stopped: bool,
}
