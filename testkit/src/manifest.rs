//! Manifests and indexes as text.
//!
//! `more` is further fields before the closing brace, such as `,"artifactType":"a/b"`.

use airdock_registry::oci::MediaType;

use crate::content::digest;

/// The media type of an image manifest.
pub const MANIFEST: &str = MediaType::IMAGE_MANIFEST;
/// The media type of an image index.
pub const INDEX: &str = MediaType::IMAGE_INDEX;

/// The descriptor of `content`.
pub fn descriptor(media_type: &str, content: impl AsRef<[u8]>, more: &str) -> String {
    let (digest, size) = (digest(&content), content.as_ref().len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// A manifest of the descriptors of a config and of layers.
pub fn manifest(config: &str, layers: &[String], more: &str) -> String {
    let layers = layers.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]{more}}}"#)
}

/// A manifest of compressed layers and the empty config `{}`.
pub fn image(layers: &[&[u8]], more: &str) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(MediaType::IMAGE_LAYER_GZIP, layer, "")).collect();
    manifest(&descriptor(MediaType::EMPTY, "{}", ""), &layers, more)
}

/// A manifest of one layer.
pub fn artifact(config: (&str, &[u8]), layer: (&str, &[u8])) -> String {
    manifest(&descriptor(config.0, config.1, ""), &[descriptor(layer.0, layer.1, "")], "")
}

/// An index of descriptors.
pub fn list(descriptors: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, descriptors.join(","))
}

/// An index of manifests.
pub fn index(manifests: &[&str]) -> String {
    list(&manifests.iter().map(|manifest| descriptor(MANIFEST, manifest, "")).collect::<Vec<_>>())
}

/// The field that makes a manifest a referrer of this one.
pub fn about(manifest: impl AsRef<[u8]>) -> String {
    format!(r#","subject":{}"#, descriptor(MANIFEST, manifest, ""))
}
