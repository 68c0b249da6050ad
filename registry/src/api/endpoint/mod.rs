//! Every request the registry answers, as one parsed value.
//!
//! `Endpoint::parse` is the only reader of a request's method, path and query; every [`Endpoint`] holds valid names,
//! digests and tags. Paths are parsed from the right, because a repository may be called `a/blobs/uploads` or
//! `x/manifests/y`: the last keyword decides. Authorisation uses [`Endpoint::access`], never the text of a path. Knows
//! neither headers nor bodies.

mod error;
mod query;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::{Method, Uri};

pub use error::InvalidRequest;
pub use query::Page;

use crate::PutReference;
use crate::names::{self, RequestedName};
use crate::oci::{Algorithm, Digest, InvalidName, RepositoryName, Tag, TagOrDigest, UploadId};
use query::Query;

/// The most tags one manifest push may set. More are refused with 414, as the specification allows (end-7b).
const MAX_TAGS: usize = 100;

/// The longest chart path, in bytes: a repository name, a version, the separators and the extension.
const MAX_CHART: usize = 255 + 128 + 8;

/// The most artifact types one referrers list may be filtered by.
const MAX_ARTIFACT_TYPES: usize = 100;

/// One request, by what it asks for. `end-N` refers to the endpoint table of the OCI distribution specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// end-1: whether this server is a registry.
    Check,
    /// Docker's `_catalog`: the names of all repositories.
    ListRepositories {
        /// Which part of the list.
        page: Page,
    },
    /// The classic Helm repository's `index.yaml`.
    ChartIndex,
    /// A file of the classic Helm repository: `/charts/zenml-0.93.2.tgz`, or the same with `.prov`.
    PullChart {
        /// The archive's path below `/charts/`.
        archive: String,
        /// Whether the request is for the archive's provenance file.
        provenance: bool,
    },
    /// end-2: a blob, or ranges of it.
    PullBlob {
        /// Where it is looked for.
        name: RequestedName,
        /// Which blob.
        digest: Digest,
    },
    /// end-3: a manifest.
    PullManifest {
        /// Where it is looked for.
        name: RequestedName,
        /// Which manifest.
        reference: TagOrDigest,
    },
    /// end-4a, end-4c: start an upload.
    StartUpload {
        /// Where it goes.
        name: RequestedName,
        /// The algorithm of the digest the client will finish it with, if it said so (end-4c).
        algorithm: Option<Algorithm>,
    },
    /// end-4b: a whole blob in one request.
    PushBlob {
        /// Where it goes.
        name: RequestedName,
        /// What it must hash to.
        digest: Digest,
    },
    /// end-5: append a chunk to an upload.
    AppendToUpload {
        /// Where it goes.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
    /// end-6: finish an upload, optionally with a last chunk.
    FinishUpload {
        /// Where it goes.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
        /// What it must hash to.
        digest: Digest,
    },
    /// end-7a by tag or digest, end-7b by digest with tags.
    PushManifest {
        /// Where it goes.
        name: RequestedName,
        /// The tag, or the digest and its tags.
        reference: PutReference,
    },
    /// end-8a, end-8b: the tags of a repository.
    ListTags {
        /// Which repository.
        name: RequestedName,
        /// Which part of the list.
        page: Page,
    },
    /// end-9: delete a tag, or a manifest with all its tags.
    DeleteManifest {
        /// Where it is.
        name: RequestedName,
        /// Which manifest or tag.
        reference: TagOrDigest,
    },
    /// end-10: delete a blob from a repository.
    DeleteBlob {
        /// Where it is.
        name: RequestedName,
        /// Which blob.
        digest: Digest,
    },
    /// end-11: mount a blob from another repository.
    MountBlob {
        /// Where it goes.
        name: RequestedName,
        /// Which blob.
        digest: Digest,
        /// Where it may be mounted from.
        from: MountSource,
    },
    /// end-12a, end-12b: the manifests that have `subject` as their subject.
    ListReferrers {
        /// Which repository.
        name: RequestedName,
        /// The digest they refer to.
        subject: Digest,
        /// Only those of these types; all when empty.
        artifact_types: Vec<String>,
        /// The last digest of the previous page.
        after: Option<Digest>,
    },
    /// end-13: how many bytes of an upload have arrived.
    UploadStatus {
        /// Where it goes.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
    /// end-14: cancel an upload.
    CancelUpload {
        /// The repository it was for.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
}

/// The repositories a blob may be mounted from (end-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// Any repository: the request has no `from`.
    Anywhere,
    /// The repository `from` names.
    Repository(RequestedName),
    /// None: `from` is not a valid name. Answered like an absent repository (H20).
    Nowhere,
}

/// What a request does, and to which repository: the input of authorisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// Checks that this server is a registry.
    Check,
    /// Lists all repositories.
    Catalog,
    /// Reads the charts below `charts/`.
    Charts,
    /// Reads content by a name that may mean one of several repositories.
    Read(&'a RequestedName),
    /// Adds content to a repository, or cancels an upload to it.
    Write(&'a RepositoryName),
    /// Removes content from a repository.
    Delete(&'a RepositoryName),
}

impl Endpoint {
    /// Parses a request's method, path and query, and resolves its repository name. Unknown query keys are ignored.
    ///
    /// # Errors
    /// [`InvalidRequest`] when there is no such endpoint, or its names or parameters are not valid.
    pub fn parse(method: &Method, uri: &Uri, names: &names::Settings) -> Result<Self, InvalidRequest> {
        let no_endpoint = || InvalidRequest::no_endpoint(uri.path());
        let query = Query::of(uri);
        let path = match uri.path() {
            "/v2" | "/v2/" => return reading(method).map(|()| Self::Check),
            "/v2/_catalog" => {
                reading(method)?;
                return Ok(Self::ListRepositories { page: query.page()? });
            }
            path => match path.strip_prefix("/charts/") {
                Some(file) => return chart(method, file).ok_or_else(no_endpoint)?,
                None => path.strip_prefix("/v2/").ok_or_else(no_endpoint)?,
            },
        };
        let (path, last) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
        let (path, keyword) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
        let last = decoded(last);
        match keyword {
            "manifests" => manifest(method, requested(path, query, names)?, &last, query),
            "blobs" if last == "uploads" => start(method, path, query, names),
            "blobs" => blob(method, requested(path, query, names)?, &last),
            "uploads" => {
                let (path, keyword) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
                match keyword {
                    "blobs" if last.is_empty() => start(method, path, query, names),
                    "blobs" => upload(method, requested(path, query, names)?, &last, query),
                    _ => Err(no_endpoint()),
                }
            }
            "tags" if last == "list" => {
                reading(method)?;
                Ok(Self::ListTags { name: requested(path, query, names)?, page: query.page()? })
            }
            "referrers" => {
                reading(method)?;
                Ok(Self::ListReferrers {
                    name: requested(path, query, names)?,
                    subject: last.parse()?,
                    artifact_types: artifact_types(query)?,
                    after: query.last().map(|digest| digest.parse()).transpose()?,
                })
            }
            _ => Err(no_endpoint()),
        }
    }

    /// What the request does, and to which repository.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        match self {
            Self::Check => Access::Check,
            Self::ListRepositories { .. } => Access::Catalog,
            Self::ChartIndex | Self::PullChart { .. } => Access::Charts,
            Self::PullBlob { name, .. }
            | Self::PullManifest { name, .. }
            | Self::ListTags { name, .. }
            | Self::ListReferrers { name, .. } => Access::Read(name),
            Self::StartUpload { name, .. }
            | Self::PushBlob { name, .. }
            | Self::AppendToUpload { name, .. }
            | Self::FinishUpload { name, .. }
            | Self::PushManifest { name, .. }
            | Self::MountBlob { name, .. }
            | Self::UploadStatus { name, .. }
            // A client that may push may also cancel: kaniko's permission check does both.
            | Self::CancelUpload { name, .. } => Access::Write(name.write_target()),
            Self::DeleteManifest { name, .. } | Self::DeleteBlob { name, .. } => Access::Delete(name.write_target()),
        }
    }

    /// The repository the request names, as it named it.
    #[must_use]
    pub const fn name(&self) -> Option<&RequestedName> {
        match self {
            Self::Check | Self::ListRepositories { .. } | Self::ChartIndex | Self::PullChart { .. } => None,
            Self::PullBlob { name, .. }
            | Self::PullManifest { name, .. }
            | Self::ListTags { name, .. }
            | Self::ListReferrers { name, .. }
            | Self::StartUpload { name, .. }
            | Self::PushBlob { name, .. }
            | Self::AppendToUpload { name, .. }
            | Self::FinishUpload { name, .. }
            | Self::PushManifest { name, .. }
            | Self::MountBlob { name, .. }
            | Self::UploadStatus { name, .. }
            | Self::CancelUpload { name, .. }
            | Self::DeleteManifest { name, .. }
            | Self::DeleteBlob { name, .. } => Some(name),
        }
    }
}

/// A file of the Helm repository; `None` when no chart could have this path.
fn chart(method: &Method, file: &str) -> Option<Result<Endpoint, InvalidRequest>> {
    if file == "index.yaml" {
        return Some(reading(method).map(|()| Endpoint::ChartIndex));
    }
    let file = decoded(file);
    let (archive, provenance) = match file.strip_suffix(".prov") {
        Some(archive) => (archive, true),
        None => (&*file, false),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'/');
    if archive.len() > MAX_CHART || !archive.ends_with(".tgz") || !archive.bytes().all(legal) {
        return None;
    }
    Some(reading(method).map(|()| Endpoint::PullChart { archive: archive.to_owned(), provenance }))
}

fn manifest(method: &Method, name: RequestedName, text: &str, query: Query<'_>) -> Result<Endpoint, InvalidRequest> {
    let absent = |_| InvalidRequest::no_manifest(text);
    match *method {
        // Nothing can be stored under an invalid tag: 404, which the conformance suite expects for
        // `.INVALID_MANIFEST_NAME`. A malformed digest is a client error and gets 400.
        Method::GET | Method::HEAD if text.contains(':') => {
            Ok(Endpoint::PullManifest { name, reference: TagOrDigest::Digest(text.parse()?) })
        }
        Method::GET | Method::HEAD => {
            Ok(Endpoint::PullManifest { name, reference: TagOrDigest::Tag(text.parse().map_err(absent)?) })
        }
        Method::PUT if text.contains(':') => {
            Ok(Endpoint::PushManifest { name, reference: PutReference::Digest(text.parse()?, tags(query)?) })
        }
        Method::PUT => Ok(Endpoint::PushManifest { name, reference: PutReference::Tag(text.parse()?) }),
        // 404 for an invalid reference: at 400 the conformance suite concludes that deleting is not supported.
        Method::DELETE => TagOrDigest::parse(text)
            .map(|reference| Endpoint::DeleteManifest { name, reference })
            .map_err(|_| InvalidRequest::no_manifest(text)),
        _ => Err(InvalidRequest::Method("GET, HEAD, PUT, DELETE")),
    }
}

fn blob(method: &Method, name: RequestedName, text: &str) -> Result<Endpoint, InvalidRequest> {
    match *method {
        Method::GET | Method::HEAD => Ok(Endpoint::PullBlob { name, digest: text.parse()? }),
        Method::DELETE => Ok(Endpoint::DeleteBlob { name, digest: text.parse()? }),
        _ => Err(InvalidRequest::Method("GET, HEAD, DELETE")),
    }
}

fn start(method: &Method, path: &str, query: Query<'_>, names: &names::Settings) -> Result<Endpoint, InvalidRequest> {
    if method != Method::POST {
        return Err(InvalidRequest::Method("POST"));
    }
    let name = requested(path, query, names)?;
    if let Some(digest) = query.first("mount") {
        let from = match query.first("from") {
            None => MountSource::Anywhere,
            Some(from) => match from.parse() {
                // Clients of a mirror name the source in the same upstream as the target.
                Ok(path) => MountSource::Repository(names::resolve(names, path, name.ns.clone())),
                Err(_) => MountSource::Nowhere,
            },
        };
        return Ok(Endpoint::MountBlob { name, digest: digest.parse()?, from });
    }
    if let Some(digest) = query.first("digest") {
        return Ok(Endpoint::PushBlob { name, digest: digest.parse()? });
    }
    let algorithm = query.first("digest-algorithm").map(|text| text.parse()).transpose()?;
    Ok(Endpoint::StartUpload { name, algorithm })
}

fn upload(method: &Method, name: RequestedName, id: &str, query: Query<'_>) -> Result<Endpoint, InvalidRequest> {
    let id = || id.parse().map_err(|_| InvalidRequest::Upload);
    match *method {
        Method::GET | Method::HEAD => Ok(Endpoint::UploadStatus { name, id: id()? }),
        Method::PATCH => Ok(Endpoint::AppendToUpload { name, id: id()? }),
        Method::PUT => {
            let id = id()?;
            let digest = query.first("digest").ok_or(InvalidRequest::NoDigest)?.parse()?;
            Ok(Endpoint::FinishUpload { name, id, digest })
        }
        Method::DELETE => Ok(Endpoint::CancelUpload { name, id: id()? }),
        _ => Err(InvalidRequest::Method("GET, HEAD, PATCH, PUT, DELETE")),
    }
}

fn reading(method: &Method) -> Result<(), InvalidRequest> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(InvalidRequest::Method("GET, HEAD")) }
}

/// The name in the path, with the upstream in `?ns=`, resolved to the repositories it may mean.
fn requested(path: &str, query: Query<'_>, names: &names::Settings) -> Result<RequestedName, InvalidRequest> {
    let path = if path.contains('%') { decoded_name(path)?.parse()? } else { path.parse()? };
    let ns = query.first("ns").filter(|ns| !ns.is_empty()).map(|ns| ns.parse()).transpose()?;
    Ok(names::resolve(names, path, ns))
}

/// Decodes each component separately: an encoded slash would be part of a component, which no component may have (H10).
fn decoded_name(path: &str) -> Result<String, InvalidName> {
    let mut name = String::with_capacity(path.len());
    for component in path.split('/') {
        let component = decoded(component);
        if component.contains('/') {
            return Err(InvalidName::Grammar(component.into_owned()));
        }
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&component);
    }
    Ok(name)
}

/// Percent-decodes. Bytes that are not UTF-8 become U+FFFD, which no name, tag or digest contains.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

fn tags(query: Query<'_>) -> Result<Vec<Tag>, InvalidRequest> {
    let mut tags = Vec::new();
    for tag in query.all("tag") {
        if tags.len() == MAX_TAGS {
            return Err(InvalidRequest::TooMany { parameter: "tag", limit: MAX_TAGS });
        }
        tags.push(tag.parse()?);
    }
    Ok(tags)
}

fn artifact_types(query: Query<'_>) -> Result<Vec<String>, InvalidRequest> {
    let mut types = Vec::new();
    for kind in query.all("artifactType").filter(|kind| !kind.is_empty()) {
        if types.len() == MAX_ARTIFACT_TYPES {
            return Err(InvalidRequest::TooMany { parameter: "artifactType", limit: MAX_ARTIFACT_TYPES });
        }
        types.push(kind.into_owned());
    }
    Ok(types)
}
