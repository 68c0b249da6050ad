//! The classic Helm repository: its index, and the archives and provenance files it lists. They are the same blobs that
//! `/v2/` serves.

use http::{HeaderMap, HeaderValue, Response, header};

use super::Arrival;
use super::blobs;
use super::body::Body;
use super::conditions::not_modified;
use super::error::Error;
use super::headers::{content, identify};
use crate::Registry;
use crate::names::RequestedName;
use crate::oci::RepositoryName;

pub(super) async fn index(
    registry: &Registry,
    fields: &HeaderMap,
    folder: Option<&RepositoryName>,
) -> Result<Response<Body>, Error> {
    let folder = folder.map_or("", RepositoryName::as_str);
    let index = registry.chart_index(folder).await?;
    if let Some(response) = not_modified(fields, &index.digest)? {
        return Ok(response);
    }
    let mut response = content(HeaderValue::from_static("application/yaml"), index.yaml);
    identify(&mut response, &index.digest);
    Ok(response)
}

pub(super) async fn pull(
    registry: &Registry,
    fields: &HeaderMap,
    arrival: &Arrival,
    archive: &str,
    provenance: bool,
) -> Result<Response<Body>, Error> {
    let found = registry.chart_file(archive).await?.and_then(|file| {
        let digest = if provenance { file.provenance? } else { file.archive };
        Some((RequestedName::bare(file.repository), digest))
    });
    let Some((name, digest)) = found else {
        let shown = if provenance { format!("{archive}.prov") } else { archive.to_owned() };
        return Err(crate::Error::ChartUnknown(shown).into());
    };
    let mut response = blobs::pull(registry, fields, arrival, &name, &digest).await?;
    if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream") {
        let kind = if provenance { "text/plain; charset=utf-8" } else { "application/gzip" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(response)
}
