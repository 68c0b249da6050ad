//! Media types: stored and served as received, and the few that the registry interprets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize as _;

/// The longest media type accepted, in bytes.
const MAX_LEN: usize = 255;

/// A media type without parameters (RFC 6838, 4.2), or what a descriptor states as one. Cheap to clone.
#[derive(Clone, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// OCI image manifest.
    pub const IMAGE_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const IMAGE_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const IMAGE_CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// OCI image layer, a plain tar.
    pub const IMAGE_LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI image layer, gzip.
    pub const IMAGE_LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI image layer, zstd.
    pub const IMAGE_LAYER_ZSTD: &'static str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The empty descriptor's type.
    pub const EMPTY: &'static str = "application/vnd.oci.empty.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_MANIFEST_LIST: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Helm chart config.
    pub const HELM_CONFIG: &'static str = "application/vnd.cncf.helm.config.v1+json";
    /// Helm chart archive.
    pub const HELM_CHART: &'static str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    /// Helm provenance file.
    pub const HELM_PROVENANCE: &'static str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
    /// The type every blob is served as.
    pub const OCTET_STREAM: &'static str = "application/octet-stream";

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of manifest this type is.
    #[must_use]
    pub fn manifest_kind(&self) -> ManifestKind {
        match self.as_str() {
            Self::IMAGE_MANIFEST | Self::DOCKER_MANIFEST => ManifestKind::Image,
            Self::IMAGE_INDEX | Self::DOCKER_MANIFEST_LIST => ManifestKind::Index,
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => ManifestKind::Schema1,
            _ => ManifestKind::Other,
        }
    }

    /// Whether what is described as this type is a manifest: an index may list blobs, too.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        self.manifest_kind() != ManifestKind::Other || self.as_str() == "application/vnd.oci.artifact.manifest.v1+json"
    }

    /// Whether browsers show nothing of this type, and run nothing.
    #[must_use]
    pub fn is_application(&self) -> bool {
        self.0.starts_with("application/")
    }

    /// What JSON states as a type, word for word; `None` if it is too long or not printable.
    pub(super) fn stated(text: &str) -> Option<Self> {
        (text.len() <= MAX_LEN && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// As [`MediaType::stated`].
    pub(super) fn deserialize_stated<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::stated(&text).ok_or_else(|| serde::de::Error::custom(InvalidMediaType(text.chars().take(80).collect())))
    }

    /// Whether a layer of this type need not be in the registry (image-spec `layer.md`, "Non-Distributable Layers").
    #[must_use]
    pub fn is_non_distributable(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self.as_str() == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    }
}

/// How the registry interprets a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// A config and layers.
    Image,
    /// A list of manifests.
    Index,
    /// Docker's first schema. Refused, since current clients refuse to pull it.
    Schema1,
    /// Another JSON object: stored and served; references in known fields are checked.
    Other,
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    /// Parses a media type and drops its parameters: clients compare the stored type as a string, so
    /// `; charset=utf-8` would make it a different type.
    fn from_str(text: &str) -> Result<Self, InvalidMediaType> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(legal);
        match essence.split_once('/') {
            Some((kind, subtype)) if essence.len() <= MAX_LEN && is_token(kind) && is_token(subtype) => {
                Ok(Self(essence.into()))
            }
            _ => Err(InvalidMediaType(text.chars().take(MAX_LEN).collect())),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a media type. Holds its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a media type")]
pub struct InvalidMediaType(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_specifications_types() {
        use oci_spec::image::{MediaType as Spec, ToDockerV2S2};
        for (ours, spec) in [
            (MediaType::IMAGE_MANIFEST, Spec::ImageManifest),
            (MediaType::IMAGE_INDEX, Spec::ImageIndex),
            (MediaType::IMAGE_CONFIG, Spec::ImageConfig),
            (MediaType::IMAGE_LAYER, Spec::ImageLayer),
            (MediaType::IMAGE_LAYER_GZIP, Spec::ImageLayerGzip),
            (MediaType::IMAGE_LAYER_ZSTD, Spec::ImageLayerZstd),
            (MediaType::EMPTY, Spec::EmptyJSON),
        ] {
            assert_eq!(ours, spec.as_ref());
        }
        assert_eq!(MediaType::DOCKER_MANIFEST, Spec::ImageManifest.to_docker_v2s2().unwrap());
        assert_eq!(MediaType::DOCKER_MANIFEST_LIST, Spec::ImageIndex.to_docker_v2s2().unwrap());
        let foreign: MediaType = Spec::ImageLayerNonDistributableGzip.as_ref().parse().unwrap();
        assert!(foreign.is_non_distributable());
    }

    #[test]
    fn parameters_are_dropped() {
        let parsed: MediaType = "application/vnd.oci.image.index.v1+json; charset=utf-8".parse().unwrap();
        assert_eq!(parsed.as_str(), MediaType::IMAGE_INDEX);
        assert_eq!(parsed.manifest_kind(), ManifestKind::Index);
    }

    #[test]
    fn texts_that_would_break_a_header_are_refused() {
        for bad in ["", "json", "a/", "/b", "a/b\r\nX: y", "a/b c", "a/ü"] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad}");
        }
    }
}
