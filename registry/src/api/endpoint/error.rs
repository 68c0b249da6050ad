//! Why a request line is not one that is answered.

use crate::names::InvalidNamespace;
use crate::oci::{InvalidDigest, InvalidName, InvalidTag};

/// What a stranger sent may be long; an error repeats only its start.
const EXCERPT: usize = 128;

/// Why a method, path or query cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The path is of no endpoint.
    #[error("there is nothing at `{0}`; the registry's endpoints begin with `/v2/`")]
    NoEndpoint(String),
    /// The path is, the method is not; holds those that are.
    #[error("this resource takes {0} only")]
    Method(&'static str),
    /// Not a repository's name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// `ns` is not an upstream's host.
    #[error(transparent)]
    Namespace(#[from] InvalidNamespace),
    /// A digest, an algorithm, or a parameter that must be one.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// An upload is closed without saying what it is.
    #[error("an upload is closed with the digest of its content: add `?digest=<digest>` to the upload's `Location`")]
    NoDigest,
    /// A manifest is pushed with what is no tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// What is read or deleted is called what nothing can be called.
    #[error("there is no manifest `{0}`: this is neither a tag nor a digest")]
    NoManifest(String),
    /// The upload is called what no upload is called.
    #[error("there is no such upload; begin one with `POST` to `blobs/uploads/`")]
    Upload,
    /// `n` is no number.
    #[error("`n` is the largest number of entries wanted, digits only; found `{0}`")]
    Number(String),
    /// A parameter is repeated too often.
    #[error("`{parameter}` is given more than {limit} times; split the request")]
    TooMany {
        /// Which one.
        parameter: &'static str,
        /// How often it may be.
        limit: usize,
    },
}

impl InvalidRequest {
    pub(super) fn no_endpoint(path: &str) -> Self {
        Self::NoEndpoint(excerpt(path))
    }

    pub(super) fn no_manifest(reference: &str) -> Self {
        Self::NoManifest(excerpt(reference))
    }

    pub(super) fn number(text: &str) -> Self {
        Self::Number(excerpt(text))
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}
