//! Everything about one reference.

use airdock_registry::Error;
use airdock_registry::names::RequestedName;
use airdock_registry::oci::TagOrDigest;
use serde::Deserialize;

use crate::admin::operation::Call;
use crate::admin::reference;
use crate::admin::wire::{Inspection, Origin, Referrer};
use crate::exit::Failure;

/// The most repositories listed for one manifest, and the most signatures by tag.
const PLACES: usize = 1000;
const SIGNATURES: usize = 100;

/// What is read of a referrers list.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    #[serde(default)]
    artifact_type: Option<String>,
}

/// Describes one reference.
pub(super) async fn inspect(text: String, call: Call) -> Result<Inspection, Failure> {
    let registry = call.registry();
    let failed = |error: Error| Failure::of(&format!("cannot inspect `{}`", text), &error);
    let asked = reference::parse(&text, registry.names())?;
    let (repository, digest) = registry.locate(&asked.name, &asked.what).await.map_err(failed)?;
    let description = registry.describe(&repository, &digest).await.map_err(failed)?;
    let name = RequestedName::bare(repository.clone());
    let page = registry.referrers(&name, &digest, &[], None).await.map_err(failed)?;
    let mut referrers: Vec<Referrer> = serde_json::from_slice(&page.json)
        .map(|index: Index| index.manifests)
        .unwrap_or_default()
        .into_iter()
        .map(|entry| Referrer { reference: entry.digest, artifact_type: entry.artifact_type })
        .collect();
    // cosign's older convention: a tag made of the digest and a suffix.
    let stem = format!("{}-{}", digest.algorithm(), digest.encoded());
    let signatures = registry.tagged(&repository, Some(&stem), SIGNATURES).await.map_err(failed)?;
    let by_tag = signatures.tags.into_iter().map(|tagged| tagged.tag.to_string());
    let by_tag = by_tag.filter(|tag| tag.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('.')));
    referrers.extend(by_tag.map(|reference| Referrer { reference, artifact_type: None }));
    let (places, more) = registry.holders(&digest, PLACES).await.map_err(failed)?;
    let tag = match &asked.what {
        TagOrDigest::Tag(tag) => registry.tag_origin(&repository, tag).await.map_err(failed)?.map(Origin::from),
        TagOrDigest::Digest(_) => None,
    };
    Ok(Inspection { referrers, places, more: more || page.next.is_some(), tag, ..description.into() })
}
