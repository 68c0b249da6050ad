//! The manifests about a manifest (end-12): signatures, attestations, bills of materials.
//!
//! What clients without the API listed under the fallback tag is part of the answer (distribution-spec, "Enabling the
//! Referrers API"), each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::catalog::{Catalog, ServedManifest};
use crate::core::Core;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{Descriptor, Digest, MediaType, RepositoryName};

/// The largest page, in bytes: clients read at most 4 MiB.
const PAGE: usize = 3 * 1024 * 1024;

/// How many manifests are read for one page at most, so that a filter without matches ends, too.
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
struct Entry {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Box<serde_json::value::RawValue>>,
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
            let referrers = core.catalog.referrers(repository, &subject).await?;
            if !referrers.is_empty() {
                return page(&core.catalog, repository, &referrers, &artifact_types, after).await;
            }
        }
        Ok(ReferrersPage { json: render(Vec::new()), next: None })
    });
    page.await
}

async fn page(
    catalog: &Catalog,
    repository: &RepositoryName,
    referrers: &BTreeSet<Digest>,
    artifact_types: &[String],
    after: Option<Digest>,
) -> Result<ReferrersPage, Error> {
    let mut entries = Vec::new();
    let (mut size, mut next, mut last) = (0, None, None);
    let rest = referrers.iter().filter(|digest| after.is_none_or(|after| **digest > after));
    for (looked_at, digest) in rest.enumerate() {
        if looked_at == LOOKED_AT {
            next = last;
            break;
        }
        if let Some(entry) = entry(catalog, repository, digest, artifact_types).await? {
            if size > 0 && size + entry.get().len() > PAGE {
                next = last;
                break;
            }
            size += entry.get().len();
            entries.push(entry);
        }
        last = Some(*digest);
    }
    Ok(ReferrersPage { json: render(entries), next })
}

async fn entry(
    catalog: &Catalog,
    repository: &RepositoryName,
    digest: &Digest,
    artifact_types: &[String],
) -> Result<Option<Box<serde_json::value::RawValue>>, Error> {
    let Some(found) = catalog.by_digest(repository, digest).await? else { return Ok(None) };
    let (size, media_type) = (found.bytes.len() as u64, found.media_type.clone());
    let Ok(manifest) = ServedManifest::parse(found) else { return Ok(None) };
    let artifact_type = manifest.artifact_type().map(str::to_owned);
    if !artifact_types.is_empty() && !artifact_type.as_ref().is_some_and(|found| artifact_types.contains(found)) {
        return Ok(None);
    }
    let descriptor = Descriptor { media_type, digest: *digest, size };
    let entry = Entry { descriptor, artifact_type, annotations: manifest.annotations().cloned() };
    Ok(serde_json::value::to_raw_value(&entry).ok())
}

fn render(manifests: Vec<Box<serde_json::value::RawValue>>) -> Bytes {
    let index = Index { schema_version: 2, media_type: MediaType::IMAGE_INDEX, manifests };
    serde_json::to_vec(&index).unwrap_or_default().into()
}
