//! end-8, end-12, and Docker's `_catalog`: the lists of tags, referrers and repositories.

use std::collections::BTreeMap;

use http::{HeaderValue, Response};

use super::body::Body;
use super::endpoint::Page;
use super::error::Error;
use super::headers::{Next, OCI_FILTERS_APPLIED, content, json};
use crate::Registry;
use crate::names::RequestedName;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

#[derive(serde::Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: &'a [Tag],
}

pub(super) async fn tags(registry: &Registry, name: &RequestedName, page: &Page) -> Result<Response<Body>, Error> {
    let found = registry.tags(name, page.after.as_deref(), page.limit).await?;
    // The name as requested: a client of a mirror knows no other.
    let list = TagList { name: &name.path, tags: &found.tags };
    let mut response = json(serde_json::to_vec(&list).expect("names and tags are text").into());
    // Helm resolves versions from this list, so a truncated page always has a link. Except for `n=0`, which has no last.
    if let Some(last) = found.tags.last().filter(|_| found.more) {
        Next::of(name, "tags/list").after(page, last.as_str()).link(&mut response);
    }
    Ok(response)
}

pub(super) async fn repositories(registry: &Registry, page: &Page) -> Result<Response<Body>, Error> {
    let found = registry.repositories(page.after.as_deref(), page.limit).await?;
    let list = BTreeMap::from([("repositories", &found.names)]);
    let mut response = json(serde_json::to_vec(&list).expect("names are text").into());
    if let Some(last) = found.names.last().filter(|_| found.more) {
        Next::catalog().after(page, last.as_str()).link(&mut response);
    }
    Ok(response)
}

pub(super) async fn referrers(
    registry: &Registry,
    name: &RequestedName,
    subject: &Digest,
    artifact_types: &[String],
    after: Option<&Digest>,
) -> Result<Response<Body>, Error> {
    let page = registry.referrers(name, subject, artifact_types, after).await?;
    // Exactly this type: at any other, clients assume that the registry has no referrers API.
    let mut response = content(HeaderValue::from_static(MediaType::IMAGE_INDEX), page.json);
    if !artifact_types.is_empty() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = page.next {
        artifact_types
            .iter()
            .fold(Next::of(name, format_args!("referrers/{subject}")), |next, kind| next.with("artifactType", kind))
            .with("last", &last.to_string())
            .link(&mut response);
    }
    Ok(response)
}
