//! The manifests about a manifest (end-12): signatures, attestations, bills of materials.
//!
//! What clients without the API listed under the fallback tag is part of the answer (distribution-spec, "Enabling the
//! Referrers API"), each once. The index has the entries, so that a page reads no manifests.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::catalog::{Catalog, Referrer};
use crate::core::Core;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{Digest, MediaType, RepositoryName};

/// How many manifests are looked at for one page at most, so that a filter without matches ends, too.
const LOOKED_AT: usize = 2000;

/// A page of the manifests about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersPage {
    /// The image index that is the answer.
    pub json: Bytes,
    /// The digest to continue after, when there are more.
    pub next: Option<Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Box<RawValue>>,
}

/// See [`Registry::referrers`](crate::Registry::referrers).
pub(crate) async fn referrers(
    core: &Arc<Core>,
    name: &RequestedName,
    subject: &Digest,
    artifact_types: &[String],
    after: Option<&Digest>,
) -> Result<ReferrersPage, Error> {
    let (name, subject, after, artifact_types) = (name.clone(), *subject, after.copied(), artifact_types.to_vec());
    let page = core.run(async move |core| {
        for repository in name.candidates() {
            let found = core.catalog.referrers(repository, &subject, after.as_ref(), LOOKED_AT).await?;
            if !found.entries.is_empty() {
                return page(&core.catalog, repository, found.entries, found.more, &artifact_types).await;
            }
            // It may be that all of them come before `after`.
            if after.is_some() && !core.catalog.referrers(repository, &subject, None, 1).await?.entries.is_empty() {
                break;
            }
        }
        Ok(ReferrersPage { json: render(Vec::new()), next: None })
    });
    page.await
}

async fn page(
    catalog: &Catalog,
    repository: &RepositoryName,
    found: Vec<Referrer>,
    more: bool,
    artifact_types: &[String],
) -> Result<ReferrersPage, Error> {
    let (mut entries, mut size, mut last) = (Vec::new(), 0, None);
    for referrer in found {
        let digest = referrer.digest;
        let entry = entry(catalog, repository, referrer).await?;
        if let Some(entry) = entry.filter(|entry| Referrer::is_of(entry, artifact_types)) {
            if size > 0 && size + entry.get().len() > Referrer::PAGE {
                return Ok(ReferrersPage { json: render(entries), next: last });
            }
            size += entry.get().len();
            entries.push(entry);
        }
        last = Some(digest);
    }
    Ok(ReferrersPage { json: render(entries), next: last.filter(|_| more) })
}

/// What the list says of a manifest; `None` where its content is gone.
async fn entry(
    catalog: &Catalog,
    repository: &RepositoryName,
    referrer: Referrer,
) -> Result<Option<Box<RawValue>>, Error> {
    if referrer.entry.is_some() {
        return Ok(referrer.entry);
    }
    let Some(found) = catalog.by_digest(repository, &referrer.digest).await? else { return Ok(None) };
    let manifest = found.parse().ok();
    Ok(manifest.and_then(|manifest| Referrer::of(referrer.digest, &manifest).entry))
}

fn render(manifests: Vec<Box<RawValue>>) -> Bytes {
    let index = Index { schema_version: 2, media_type: MediaType::IMAGE_INDEX, manifests };
    serde_json::to_vec(&index).unwrap_or_default().into()
}
