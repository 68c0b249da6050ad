//! Manifests that are made here, byte for byte as Go writes those of Docker and Helm.

use std::collections::BTreeMap;

use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Result};

/// A descriptor as Go's `ocispec.Descriptor` has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Result<Self> {
        let media_type = media_type.parse().map_err(|error| Problem::Unusable(format!("{error}")))?;
        Ok(Self { media_type, digest, size, urls: Vec::new() })
    }
}

/// The fields of Go's `ocispec.Manifest` that Docker and Helm write. Helm leaves out the media type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Made {
    pub(crate) schema_version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<&'static str>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Made {
    /// The manifest and its digest.
    pub(crate) fn manifest(&self) -> Result<(Digest, Manifest)> {
        let bytes = go_json(self).map_err(|error| Problem::document("manifest.json", error))?;
        let digest = Algorithm::Sha256.digest(&bytes);
        let manifest = Manifest::parse(bytes.into(), MediaType::IMAGE_MANIFEST.parse().ok());
        Ok((digest, manifest.map_err(|source| Problem::Manifest { digest, source })?))
    }
}

/// JSON as Go writes it. These characters occur only in strings, where Go escapes them.
pub(crate) fn go_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    Ok(escaped.into_bytes())
}
