//! end-12: the manifests that refer to another one as their subject.

use http::{HeaderValue, Response};

use super::body::Body;
use super::error::Error;
use super::headers::{Next, OCI_FILTERS_APPLIED, content};
use crate::Registry;
use crate::names::RequestedName;
use crate::oci::{Digest, MediaType};

pub(super) async fn list(
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
