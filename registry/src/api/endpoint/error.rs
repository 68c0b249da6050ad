//! Why a request line is refused.

use crate::names::{InvalidNamespace, Namespace};
use crate::oci::{InvalidDigest, InvalidName, InvalidTag, RepositoryName};

/// How much of a client's text an error repeats, in characters.
const EXCERPT: usize = 128;

/// Why a method, path or query is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// No endpoint has this path.
    #[error("there is nothing at `{0}`; {cure}", cure = cure(.0))]
    NoEndpoint(String),
    /// The Helm repository has no such path.
    #[error(
        "there is nothing at `{0}`; the index of the Helm repository is at `/charts/index.yaml` (`helm repo add NAME \
         https://HOST/charts`), that of one of its folders at `/charts/FOLDER/index.yaml`"
    )]
    NoChart(String),
    /// A chart is pushed to the classic Helm repository, as ChartMuseum and its clients do it.
    #[error("charts are only read here; push them with `helm push CHART.tgz oci://HOST/charts`")]
    ChartMethod,
    /// The endpoint does not support the method. Holds the methods it supports, as in `Allow`.
    #[error("this resource takes only {0}")]
    Method(&'static str),
    /// Not a repository name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// `ns` is not a registry host.
    #[error(transparent)]
    Namespace(#[from] InvalidNamespace),
    /// `ns` names an upstream whose content may not be named.
    #[error(
        "`?ns={0}` names an upstream that this registry does not keep content of; its setting `names.upstreams` says of which it does"
    )]
    Upstream(Namespace),
    /// A name that is too long once its upstream is put before it.
    #[error("`{path}` of `{ns}` is too long a name: with its upstream before it, it has more than 255 characters")]
    NameTooLong {
        /// The name in the path.
        path: RepositoryName,
        /// The upstream.
        ns: Namespace,
    },
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

/// What to ask for instead of a path that is none.
fn cure(path: &str) -> &'static str {
    match path.strip_prefix("/v2/") {
        Some(_) => {
            "below `/v2/` there are `_catalog`, and of a repository `NAME/manifests/TAG`, `NAME/blobs/DIGEST`, \
             `NAME/tags/list` and `NAME/referrers/DIGEST`"
        }
        None => "the registry's endpoints begin with `/v2/`, the Helm repository's index is at `/charts/index.yaml`",
    }
}

pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}
