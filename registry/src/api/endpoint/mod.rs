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
use crate::names::{self, Namespace, RequestedName};
use crate::oci::{Algorithm, Digest, InvalidName, InvalidTagOrDigest, RepositoryName, TagOrDigest, UploadId};
use error::excerpt;
use query::Query;

/// The most tags one manifest push may set, and the most artifact types one referrers list may be filtered by. More are
/// refused with 414, as the specification allows (end-7b).
const MAX_REPEATED: usize = 100;

/// The longest chart path, in bytes: a repository name, a version, the separators and the extension.
const MAX_CHART: usize = 255 + 128 + 8;

/// One request, by what it asks for. `end-N` refers to the endpoint table of the OCI distribution specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// end-1: whether this server is a registry.
    Check,
    /// Docker's `_catalog`: the names of all repositories.
    ListRepositories(Page),
    /// `/`: whether this server answers, as load balancers ask by default.
    Root,
    /// The `index.yaml` of the classic Helm repository, or that of one of its folders alone.
    ChartIndex(Option<RepositoryName>),
    /// A file of the classic Helm repository: `/charts/zenml-0.93.2.tgz`, or the same with `.prov`.
    PullChart {
        /// The archive's path below `/charts/`.
        archive: String,
        /// Whether the request is for the archive's provenance file.
        provenance: bool,
    },
    /// A request about one repository, as the client names it.
    In(RequestedName, Action),
}

/// What is asked of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// end-2: a blob, or ranges of it.
    PullBlob(Digest),
    /// end-3: a manifest.
    PullManifest(TagOrDigest),
    /// end-4a, end-4c: start an upload. With the algorithm of its digest, if the client said so (end-4c).
    StartUpload(Option<Algorithm>),
    /// end-4b: a whole blob in one request, and what it must hash to.
    PushBlob(Digest),
    /// end-5: append a chunk to an upload.
    AppendToUpload(UploadId),
    /// end-6: finish an upload, optionally with a last chunk. The whole must hash to the digest.
    FinishUpload(UploadId, Digest),
    /// end-7a by tag or digest, end-7b by digest with tags.
    PushManifest(PutReference),
    /// end-8a, end-8b: the tags of the repository.
    ListTags(Page),
    /// end-9: delete a tag, or a manifest with all its tags.
    DeleteManifest(TagOrDigest),
    /// end-10: delete a blob from the repository.
    DeleteBlob(Digest),
    /// end-11: mount a blob from another repository.
    MountBlob(Digest, MountSource),
    /// end-12a, end-12b: the manifests that have `subject` as their subject.
    ListReferrers {
        /// The digest they refer to.
        subject: Digest,
        /// Only those of these types; all when empty.
        artifact_types: Vec<String>,
        /// The last digest of the previous page.
        after: Option<Digest>,
    },
    /// end-13: how many bytes of an upload have arrived.
    UploadStatus(UploadId),
    /// end-14: cancel an upload.
    CancelUpload(UploadId),
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
        let no_endpoint = || InvalidRequest::NoEndpoint(excerpt(uri.path()));
        let query = Query::of(uri);
        let path = match without_slash(uri.path()) {
            "/" => return reading(method).map(|()| Self::Root),
            "/v2" | "/v2/" => return reading(method).map(|()| Self::Check),
            "/v2/_catalog" => {
                reading(method)?;
                return query.page().map(Self::ListRepositories);
            }
            "/api/charts" if reading(method).is_err() => return Err(InvalidRequest::ChartMethod),
            path if path == "/charts" || path.starts_with("/charts/") => return chart(method, path),
            path => path.strip_prefix("/v2/").ok_or_else(no_endpoint)?,
        };
        let (path, last) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
        let (path, keyword) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
        let last = decoded(last);
        let name = || requested(path, query, names);
        Ok(match keyword {
            "manifests" => Self::In(name()?, manifest(method, &last, query)?),
            "blobs" if last == "uploads" => start(method, path, query, names)?,
            "blobs" => Self::In(name()?, blob(method, &last)?),
            "uploads" => {
                let (path, keyword) = path.rsplit_once('/').ok_or_else(no_endpoint)?;
                match keyword {
                    "blobs" if last.is_empty() => start(method, path, query, names)?,
                    "blobs" => Self::In(requested(path, query, names)?, upload(method, &last, query)?),
                    _ => return Err(no_endpoint()),
                }
            }
            "tags" if last == "list" => {
                reading(method)?;
                Self::In(name()?, Action::ListTags(query.page()?))
            }
            "referrers" => {
                reading(method)?;
                let (name, subject) = (name()?, last.parse()?);
                let types = query.all("artifactType").filter(|kind| !kind.is_empty());
                let artifact_types = bounded("artifactType", types).map(|kind| Ok(kind?.into_owned()));
                let artifact_types = artifact_types.collect::<Result<_, InvalidRequest>>()?;
                let after = query.last().map(|digest| digest.parse()).transpose()?;
                Self::In(name, Action::ListReferrers { subject, artifact_types, after })
            }
            _ => return Err(no_endpoint()),
        })
    }

    /// What the request does, and to which repository.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        match self {
            Self::Check | Self::Root => Access::Check,
            Self::ListRepositories(_) => Access::Catalog,
            Self::ChartIndex(_) | Self::PullChart { .. } => Access::Charts,
            Self::In(name, action) => match action {
                Action::PullBlob(_)
                | Action::PullManifest(_)
                | Action::ListTags(_)
                | Action::ListReferrers { .. } => Access::Read(name),
                Action::DeleteManifest(_) | Action::DeleteBlob(_) => Access::Delete(name.write_target()),
                Action::StartUpload(_)
                | Action::PushBlob(_)
                | Action::AppendToUpload(_)
                | Action::FinishUpload(..)
                | Action::PushManifest(_)
                | Action::MountBlob(..)
                | Action::UploadStatus(_)
                // A client that may push may also cancel: kaniko's permission check does both.
                | Action::CancelUpload(_) => Access::Write(name.write_target()),
            },
        }
    }

    /// The repository the request names, as it named it.
    #[must_use]
    pub const fn name(&self) -> Option<&RequestedName> {
        if let Self::In(name, _) = self { Some(name) } else { None }
    }
}

/// A path as it is without a slash at its end, which people and proxies add. After a keyword it separates an empty name.
fn without_slash(path: &str) -> &str {
    const SEPARATED: [&str; 6] = ["/", "/manifests", "/blobs", "/uploads", "/referrers", "/tags"];
    let shorter = path.strip_suffix('/').filter(|path| !path.is_empty());
    shorter.filter(|path| !SEPARATED.iter().any(|keyword| path.ends_with(keyword))).unwrap_or(path)
}

/// A request to the Helm repository.
fn chart(method: &Method, path: &str) -> Result<Endpoint, InvalidRequest> {
    if reading(method).is_err() {
        return Err(InvalidRequest::ChartMethod);
    }
    let file = decoded(path.strip_prefix("/charts/").unwrap_or_default());
    chart_file(&file).ok_or_else(|| InvalidRequest::NoChart(excerpt(path)))
}

/// A file of the Helm repository; `None` when no index or chart could have this path.
fn chart_file(file: &str) -> Option<Endpoint> {
    if file == "index.yaml" {
        return Some(Endpoint::ChartIndex(None));
    }
    if let Some(folder) = file.strip_suffix("/index.yaml") {
        return folder.parse().ok().map(|folder| Endpoint::ChartIndex(Some(folder)));
    }
    let (archive, provenance) = match file.strip_suffix(".prov") {
        Some(archive) => (archive, true),
        None => (file, false),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'/');
    let is_archive = archive.len() <= MAX_CHART && archive.ends_with(".tgz") && archive.bytes().all(legal);
    is_archive.then(|| Endpoint::PullChart { archive: archive.to_owned(), provenance })
}

fn manifest(method: &Method, text: &str, query: Query<'_>) -> Result<Action, InvalidRequest> {
    let absent = || InvalidRequest::NoManifest(excerpt(text));
    match *method {
        // Nothing can be stored under an invalid tag: 404, which the conformance suite expects for
        // `.INVALID_MANIFEST_NAME`. A malformed digest is a client error and gets 400.
        Method::GET | Method::HEAD => match TagOrDigest::parse(text) {
            Ok(reference) => Ok(Action::PullManifest(reference)),
            Err(InvalidTagOrDigest::Digest(error)) => Err(error.into()),
            Err(InvalidTagOrDigest::Tag(_)) => Err(absent()),
        },
        Method::PUT if text.contains(':') => {
            let digest = text.parse()?;
            let tags = bounded("tag", query.all("tag")).map(|tag| Ok(tag?.parse()?));
            Ok(Action::PushManifest(PutReference::Digest(digest, tags.collect::<Result<_, InvalidRequest>>()?)))
        }
        Method::PUT => Ok(Action::PushManifest(PutReference::Tag(text.parse()?))),
        // 404 for an invalid reference: at 400 the conformance suite concludes that deleting is not supported.
        Method::DELETE => TagOrDigest::parse(text).map(Action::DeleteManifest).map_err(|_| absent()),
        _ => Err(InvalidRequest::Method("GET, HEAD, PUT, DELETE")),
    }
}

fn blob(method: &Method, text: &str) -> Result<Action, InvalidRequest> {
    match *method {
        Method::GET | Method::HEAD => Ok(Action::PullBlob(text.parse()?)),
        Method::DELETE => Ok(Action::DeleteBlob(text.parse()?)),
        _ => Err(InvalidRequest::Method("GET, HEAD, DELETE")),
    }
}

fn start(method: &Method, path: &str, query: Query<'_>, names: &names::Settings) -> Result<Endpoint, InvalidRequest> {
    if method != Method::POST {
        return Err(InvalidRequest::Method("POST"));
    }
    let name = requested(path, query, names)?;
    let action = if let Some(digest) = query.first("mount") {
        let from = match query.first("from").map(|from| from.parse()) {
            None => MountSource::Anywhere,
            // Clients of a mirror name the source in the same upstream as the target.
            Some(Ok(path)) => MountSource::Repository(names::resolve(names, path, name.ns.clone())),
            Some(Err(_)) => MountSource::Nowhere,
        };
        Action::MountBlob(digest.parse()?, from)
    } else if let Some(digest) = query.first("digest") {
        Action::PushBlob(digest.parse()?)
    } else {
        Action::StartUpload(query.first("digest-algorithm").map(|text| text.parse()).transpose()?)
    };
    Ok(Endpoint::In(name, action))
}

fn upload(method: &Method, id: &str, query: Query<'_>) -> Result<Action, InvalidRequest> {
    let id = || id.parse().map_err(|_| InvalidRequest::Upload);
    match *method {
        Method::GET | Method::HEAD => Ok(Action::UploadStatus(id()?)),
        Method::PATCH => Ok(Action::AppendToUpload(id()?)),
        Method::PUT => {
            let id = id()?;
            Ok(Action::FinishUpload(id, query.first("digest").ok_or(InvalidRequest::NoDigest)?.parse()?))
        }
        Method::DELETE => Ok(Action::CancelUpload(id()?)),
        _ => Err(InvalidRequest::Method("GET, HEAD, PATCH, PUT, DELETE")),
    }
}

fn reading(method: &Method) -> Result<(), InvalidRequest> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(InvalidRequest::Method("GET, HEAD")) }
}

/// The name in the path, with the upstream in `?ns=`, resolved to the repositories it may mean.
fn requested(path: &str, query: Query<'_>, names: &names::Settings) -> Result<RequestedName, InvalidRequest> {
    let path = if path.contains('%') { decoded_name(path)?.parse()? } else { path.parse()? };
    let ns: Option<Namespace> = query.first("ns").filter(|ns| !ns.is_empty()).map(|ns| ns.parse()).transpose()?;
    // Checked for reads and writes alike: a push must not go where no pull looks.
    if let Some(ns) = ns.as_ref().filter(|ns| !names.allows(ns)) {
        return Err(InvalidRequest::Upstream(ns.clone()));
    }
    let name = names::resolve(names, path, ns);
    match &name.ns {
        Some(ns) if name.candidates().next().is_none() => {
            Err(InvalidRequest::NameTooLong { path: name.path.clone(), ns: ns.clone() })
        }
        _ => Ok(name),
    }
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

/// The values of a parameter that may be repeated, and an error in place of the first beyond the limit.
fn bounded<'a>(
    parameter: &'static str,
    values: impl Iterator<Item = Cow<'a, str>>,
) -> impl Iterator<Item = Result<Cow<'a, str>, InvalidRequest>> {
    let too_many = InvalidRequest::TooMany { parameter, limit: MAX_REPEATED };
    values.enumerate().map(move |(index, value)| if index < MAX_REPEATED { Ok(value) } else { Err(too_many.clone()) })
}
