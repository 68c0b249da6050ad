//! The result of a verification.

use serde::{Deserialize, Serialize};

/// The progress of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to read in total.
    pub total: u64,
}

/// A position on a mounted medium.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MediumPosition {
    /// What was mounted.
    pub medium: String,
    /// The file, from the mounted folder's own name on.
    pub file: String,
    /// The offset in the file, in bytes.
    pub offset: u64,
}

/// How much of one medium was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumRead {
    /// What was mounted.
    pub name: String,
    /// Blobs read, once for each position.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A blob's digest, or the link or tag.
    pub subject: String,
    /// Its position, if it is not in the data folder.
    #[serde(rename = "place", default, skip_serializing_if = "Option::is_none")]
    pub position: Option<MediumPosition>,
    /// What is wrong with it.
    pub problem: String,
    /// Tags, and manifests without one, that cannot be pulled whole because of it.
    pub breaks: Vec<String>,
    /// How many more of them there are.
    pub more: u64,
    /// Whether its file was moved aside.
    pub removed: bool,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Blobs read, including manifests; those of media once for each position.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests checked, once for each repository.
    pub manifests: u64,
    /// How much of that was read from mounted media.
    pub media: Vec<MediumRead>,
    /// All problems.
    #[serde(rename = "damaged")]
    pub findings: Vec<Finding>,
    /// How many more problems there are.
    pub more: u64,
    /// Whether it was stopped before its end.
    #[serde(skip)]
    pub stopped: bool,
}
