//! Why a request line is refused.

use crate::names::InvalidNamespace;
use crate::oci::{InvalidDigest, InvalidName, InvalidTag};

/// How much of a client's text an error repeats, in characters.
const EXCERPT: usize = 128;

/// Why a method, path or query is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// No endpoint has this path.
    #[error("there is nothing at `{0}`; the registry's endpoints begin with `/v2/`")]
    NoEndpoint(String),
    /// The endpoint does not support the method. Holds the methods it supports, as in `Allow`.
    #[error("this resource takes {0} only")]
    Method(&'static str),
    /// Not a repository name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// `ns` is not a registry host.
    #[error(transparent)]
    Namespace(#[from] InvalidNamespace),
    /// Not a digest, or not a supported algorithm.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// An upload is finished without a digest.
    #[error("an upload is closed with the digest of its content: add `?digest=<digest>` to the upload's `Location`")]
    NoDigest,
    /// A manifest is pushed with an invalid tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// A manifest is read or deleted by text that is neither a tag nor a digest.
    #[error("there is no manifest `{0}`: this is neither a tag nor a digest")]
    NoManifest(String),
    /// Not an upload id, so no upload has it.
    #[error("there is no such upload; begin one with `POST` to `blobs/uploads/`")]
    Upload,
    /// `n` is not a number.
    #[error("`n` is the largest number of entries wanted, digits only; found `{0}`")]
    Number(String),
    /// A parameter is given too many times.
    #[error("`{parameter}` is given more than {limit} times; split the request")]
    TooMany {
        /// The parameter.
        parameter: &'static str,
        /// The most times it may be given.
        limit: usize,
    },
}

pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}
