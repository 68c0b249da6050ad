//! Every request the registry answers, as one parsed value.
//!
//! `Endpoint::parse` is the only reader of a request's method, path and query; whoever holds an [`Endpoint`] holds
//! valid names, digests and tags. Paths are read from the right, because a repository may be called
//! `a/blobs/uploads` or `x/manifests/y`: the last keyword decides. Who may do what follows from [`Endpoint::access`],
//! never from the text of a path. Knows neither headers nor bodies.

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

/// Most tags one manifest push may set; more is 414, which the specification allows (end-7b).
const MAX_TAGS: usize = 100;

/// Longest path of a chart: a repository's name, a version, and what is around it.
const MAX_CHART: usize = 255 + 128 + 8;

/// Most artifact types one referrers list may be filtered by.
const MAX_ARTIFACT_TYPES: usize = 100;

/// One request, by what it asks for. `end-N` is the specification's table of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// end-1: whether this is a registry.
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
        /// Whether its provenance file is meant.
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
    /// end-4a, end-4c: begin an upload.
    StartUpload {
        /// Where it goes.
        name: RequestedName,
        /// What it will be closed with, if the client said so (end-4c).
        algorithm: Option<Algorithm>,
    },
    /// end-4b: a whole blob in one request.
    PushBlob {
        /// Where it goes.
        name: RequestedName,
        /// What it must hash to.
        digest: Digest,
    },
    /// end-5: the next piece of an upload.
    AppendToUpload {
        /// Where it goes.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
    /// end-6: close an upload, perhaps with a last piece.
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
        /// What it will be called.
        reference: PutReference,
    },
    /// end-8a, end-8b: the tags of a repository.
    ListTags {
        /// Which repository.
        name: RequestedName,
        /// Which part of the list.
        page: Page,
    },
    /// end-9: remove a tag, or a manifest with all its tags.
    DeleteManifest {
        /// Where it is.
        name: RequestedName,
        /// Which manifest or tag.
        reference: TagOrDigest,
    },
    /// end-10: remove a blob from a repository.
    DeleteBlob {
        /// Where it is.
        name: RequestedName,
        /// Which blob.
        digest: Digest,
    },
    /// end-11: take a blob over from another repository.
    MountBlob {
        /// Where it goes.
        name: RequestedName,
        /// Which blob.
        digest: Digest,
        /// Where it may be taken from.
        from: MountSource,
    },
    /// end-12a, end-12b: the manifests that are about another one.
    ListReferrers {
        /// Which repository.
        name: RequestedName,
        /// What they are about.
        subject: Digest,
        /// Only of these types; all when empty.
        artifact_types: Vec<String>,
        /// Where the page before ended.
        after: Option<Digest>,
    },
    /// end-13: how much of an upload is here.
    UploadStatus {
        /// Where it goes.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
    /// end-14: give an upload up.
    CancelUpload {
        /// Where it would have gone.
        name: RequestedName,
        /// Which upload.
        id: UploadId,
    },
}

/// Where a mounted blob may come from (end-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// No `from`: any repository.
    Anywhere,
    /// The repository `from` names.
    Repository(RequestedName),
    /// `from` is no name, so nothing can be there; answered like a repository that is absent (H20).
    Nowhere,
}

/// What a request does to what, for whoever decides whether it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// Learns that a registry is here.
    Check,
    /// Learns the names of all repositories.
    Catalog,
    /// Reads whatever charts are below `charts/`.
    Charts,
    /// Reads content by a name that may have several spellings.
    Read(&'a RequestedName),
    /// Adds content to a repository, or gives its own upload up.
    Write(&'a RepositoryName),
    /// Removes content from a repository.
    Delete(&'a RepositoryName),
}

impl Endpoint {
    /// Reads a request's method, path and query. Unknown query keys are ignored.
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
            // Whoever may push may also change their mind; kaniko's permission check does.
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

/// A file of the Helm repository, if a chart's could be called so.
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
        // A text that is no tag names nothing that could be here: 404, as the first conformance suite asks with
        // `.INVALID_MANIFEST_NAME`. A malformed digest is worth saying so.
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
        // What cannot be here is not here: 400 would tell the conformance suite that deleting is not supported.
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
                // A mirror's clients name the source in the same upstream as the target.
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

/// The name in a path, and the upstream `?ns=` puts it in.
fn requested(path: &str, query: Query<'_>, names: &names::Settings) -> Result<RequestedName, InvalidRequest> {
    let path = if path.contains('%') { decoded_name(path)?.parse()? } else { path.parse()? };
    let ns = query.first("ns").filter(|ns| !ns.is_empty()).map(|ns| ns.parse()).transpose()?;
    Ok(names::resolve(names, path, ns))
}

/// Decodes each component on its own: an encoded slash is a character of a component, and no component has one (H10).
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

/// Percent-decodes. Bytes that are no text become a character that no name, tag or digest has.
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
