//! Everything about one reference.

use std::collections::BTreeMap;

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Descriptor, TagOrDigest};
use airdock_registry::{Description, Part, Registry};
use serde::{Deserialize, Serialize};

use super::list::{Origin, kind};
use super::{Failure, reference};

/// Repositories with the same manifest that are named, and signatures by tag.
const PLACES: usize = 1000;
const SIGNATURES: usize = 100;

/// One reference, looked at from all sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inspection {
    /// The repository it was found in: the one a pull would be given it from.
    pub(crate) repository: String,
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// Bytes of the manifest.
    pub(crate) manifest_size: u64,
    /// Bytes of everything it needs that is here.
    pub(crate) size: u64,
    pub(crate) platforms: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Piece>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<Piece>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// What is about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) referrers: Vec<Referrer>,
    /// Every repository that has it.
    pub(crate) places: Vec<Place>,
    /// More repositories and referrers than are named here.
    pub(crate) more: bool,
    /// Where the tag asked for came from; nothing for a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<Origin>,
}

/// Something a manifest names: a config, a layer, or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Piece {
    /// Of a manifest that an index lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<String>,
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    /// `present`, `absent`, `damaged`, or `foreign` when it is absent and need not be here.
    pub(crate) state: String,
}

impl Piece {
    fn new(descriptor: &Descriptor, state: &str) -> Self {
        Self {
            platform: None,
            media_type: descriptor.media_type.to_string(),
            digest: descriptor.digest.to_string(),
            size: descriptor.size,
            state: state.to_owned(),
        }
    }
}

/// A manifest about this one: a signature, an attestation, a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    /// Its digest, or the tag it has by convention (`sha256-….sig`).
    pub(crate) reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
}

/// A repository and its tags on this manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) repository: String,
    pub(crate) tags: Vec<String>,
}

/// The part of a referrers list that is shown.
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

pub(super) async fn inspect(registry: &Registry, text: &str) -> Result<Inspection, Failure> {
    let failed = |error: airdock_registry::Error| Failure::because(&format!("cannot inspect `{text}`"), &error);
    let asked = reference::parse(text, registry.names())?;
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
    // cosign's older way: a tag made of the digest, with an ending.
    let stem = format!("{}-{}", digest.algorithm(), digest.encoded());
    let signatures = registry.tagged(&repository, Some(&stem), SIGNATURES).await.map_err(failed)?;
    let by_tag = signatures.tags.into_iter().map(|tagged| tagged.tag.to_string());
    let by_tag = by_tag.filter(|tag| tag.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('.')));
    referrers.extend(by_tag.map(|reference| Referrer { reference, artifact_type: None }));
    let (places, more) = registry.places(&digest, PLACES).await.map_err(failed)?;
    let tag = match &asked.what {
        TagOrDigest::Tag(tag) => registry.tag_origin(&repository, tag).await.map_err(failed)?,
        TagOrDigest::Digest(_) => None,
    };
    let places = places
        .into_iter()
        .map(|place| Place {
            repository: place.repository.to_string(),
            tags: place.tags.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let tag = tag.map(Origin::from);
    Ok(Inspection { referrers, places, more: more || page.next.is_some(), tag, ..described(description) })
}

fn described(description: Description) -> Inspection {
    Inspection {
        repository: description.repository.to_string(),
        digest: description.digest.to_string(),
        media_type: description.summary.media_type.to_string(),
        kind: kind(description.summary.kind).to_owned(),
        artifact_type: description.artifact_type,
        manifest_size: description.manifest_size,
        size: description.summary.size,
        platforms: description.summary.platforms,
        config: description.config.as_ref().map(blob),
        layers: description.layers.iter().map(blob).collect(),
        manifests: description
            .manifests
            .into_iter()
            .map(|listed| Piece {
                platform: listed.platform,
                ..Piece::new(&listed.descriptor, if listed.present { "present" } else { "absent" })
            })
            .collect(),
        annotations: description.annotations,
        subject: description.subject.map(|subject| subject.to_string()),
        referrers: Vec::new(),
        places: Vec::new(),
        more: false,
        tag: None,
    }
}

fn blob(part: &Part) -> Piece {
    let state = match part.found {
        Some(found) if found == part.descriptor.size => "present",
        Some(_) => "damaged",
        None if part.foreign => "foreign",
        None => "absent",
    };
    Piece::new(&part.descriptor, state)
}
