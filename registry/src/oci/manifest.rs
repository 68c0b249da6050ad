//! A manifest: the bytes as received, and a checked view of what they refer to.
//!
//! The bytes are served exactly as received; parsing is only for checking, and nothing is ever re-serialised. An
//! ambiguous manifest is refused (GHSA-mc8v-mgrf-8f4m: one JSON document with both `layers` and `manifests`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Digest, ManifestKind, MediaType};

/// The largest manifest accepted, in bytes: the largest that every client can pull.
pub const MAX_MANIFEST_SIZE: usize = 4 * 1024 * 1024;

/// The deepest nesting of objects and arrays accepted: what the recursive parsers of clients can read.
const MAX_DEPTH: usize = 100;

/// A content descriptor: media type, digest and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its media type; empty where the manifest states none.
    #[serde(default, deserialize_with = "MediaType::deserialize_stated")]
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The platform that an index states for a manifest. Some indexes state a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Such as `amd64`; `unknown` for attestations; may be empty.
    pub architecture: String,
    /// Such as `linux`; may be empty.
    pub os: String,
    /// Such as `v8`.
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&*self.os, &*self.architecture, self.variant.as_deref().unwrap_or_default()];
        let mut stated = parts.into_iter().filter(|part| !part.is_empty());
        f.write_str(stated.next().unwrap_or_default())?;
        stated.try_for_each(|part| write!(f, "/{part}"))
    }
}

/// One thing a manifest refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// What must be in the repository: a config, a layer, or what an index lists whose type is not a manifest's. BuildKit's
    /// cache is an index of layers.
    Blob(Descriptor),
    /// A layer that may be absent: it is non-distributable, or has `urls`.
    ForeignBlob(Descriptor),
    /// A manifest that an index lists: its type says that it is one.
    Manifest(Descriptor, Option<Platform>),
}

/// A manifest: its bytes, and what was parsed from them.
#[derive(Clone, Debug)]
pub struct Manifest {
    bytes: Bytes,
    media_type: MediaType,
    references: Vec<Reference>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Parses and checks `bytes` as a manifest of type `content_type`, or, if that is `None`, of the type that it states
    /// or that its fields imply.
    ///
    /// # Errors
    /// [`InvalidManifest`] if it is too large or too deep, is not a JSON object, states another type, is ambiguous, or
    /// has a reference that is not a descriptor.
    pub fn parse(bytes: Bytes, content_type: Option<MediaType>) -> Result<Self, InvalidManifest> {
        if bytes.len() > MAX_MANIFEST_SIZE {
            return Err(InvalidManifest::TooLarge);
        }
        if nests_deeper_than(&bytes, MAX_DEPTH) {
            return Err(InvalidManifest::TooDeep);
        }
        let raw: Raw = serde_json::from_slice(&bytes).map_err(|error| InvalidManifest::Json(error.to_string()))?;
        let media_type = raw.settle_type(content_type)?;
        let kind = media_type.manifest_kind();
        raw.check_shape(kind)?;
        let config = raw.config.as_ref().map(RawDescriptor::descriptor).transpose()?;
        let mut references: Vec<_> = config.iter().cloned().map(Reference::Blob).collect();
        for layer in raw.layers.iter().chain(&raw.blobs).flatten() {
            references.push(layer.blob()?);
        }
        for child in raw.manifests.iter().flatten() {
            references.push(if child.media_type.is_manifest() {
                let platform = child.platform.as_ref().and_then(RawPlatform::platform);
                Reference::Manifest(child.descriptor()?, platform)
            } else {
                child.blob()?
            });
        }
        let annotations = raw.annotations.as_ref().map(|annotations| {
            annotations.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect()
        });
        Ok(Self {
            subject: raw.subject.as_ref().map(RawDescriptor::descriptor).transpose()?,
            artifact_type: raw.artifact_type.filter(|text| !text.is_empty()),
            annotations,
            bytes,
            media_type,
            references,
            config,
        })
    }

    /// The bytes as received.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The media type it is stored and served with.
    #[must_use]
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Everything it refers to except the subject: the config first, then layers or manifests in their order.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The blobs it refers to, including foreign layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.references.iter().filter_map(|reference| match reference {
            Reference::Blob(descriptor) | Reference::ForeignBlob(descriptor) => Some(descriptor),
            Reference::Manifest(..) => None,
        })
    }

    /// The blobs a registry must have for it: all but the foreign ones.
    pub fn required_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.references.iter().filter_map(|reference| match reference {
            Reference::Blob(descriptor) => Some(descriptor),
            _ => None,
        })
    }

    /// The manifests it lists, with their platforms.
    pub fn children(&self) -> impl Iterator<Item = (&Descriptor, Option<&Platform>)> {
        self.references.iter().filter_map(|reference| match reference {
            Reference::Manifest(descriptor, platform) => Some((descriptor, platform.as_ref())),
            _ => None,
        })
    }

    /// The config, if it has one.
    #[must_use]
    pub const fn config(&self) -> Option<&Descriptor> {
        self.config.as_ref()
    }

    /// The manifest that this one refers to as its subject (end-12).
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The artifact type for the referrers list: its `artifactType`, else the media type of its config.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        let config_type = || self.config.as_ref().map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or_else(config_type).filter(|text| !text.is_empty())
    }

    /// Its own annotations.
    #[must_use]
    pub const fn annotations(&self) -> Option<&BTreeMap<String, String>> {
        self.annotations.as_ref()
    }
}

/// Our JSON parser skips unknown fields at any depth without recursion; the parsers of clients may not.
fn nests_deeper_than(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "MediaType::deserialize_stated")]
    media_type: MediaType,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    blobs: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    subject: Option<RawDescriptor>,
    annotations: Option<BTreeMap<String, Option<String>>>,
    // Only schema 1 has this field.
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default, deserialize_with = "MediaType::deserialize_stated")]
    media_type: MediaType,
    digest: Digest,
    size: u64,
    urls: Option<Vec<String>>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
}

impl RawPlatform {
    /// The platform, if anything is stated.
    fn platform(&self) -> Option<Platform> {
        let (architecture, os) = (self.architecture.clone().unwrap_or_default(), self.os.clone().unwrap_or_default());
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        (!architecture.is_empty() || !os.is_empty()).then_some(Platform { architecture, os, variant })
    }
}

impl RawDescriptor {
    fn descriptor(&self) -> Result<Descriptor, InvalidManifest> {
        // Clients read it into Go's int64.
        if self.size > i64::MAX as u64 {
            return Err(InvalidManifest::Size(self.digest));
        }
        Ok(Descriptor { media_type: self.media_type.clone(), digest: self.digest, size: self.size })
    }

    fn blob(&self) -> Result<Reference, InvalidManifest> {
        let descriptor = self.descriptor()?;
        let foreign =
            descriptor.media_type.is_non_distributable() || self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        Ok(if foreign { Reference::ForeignBlob(descriptor) } else { Reference::Blob(descriptor) })
    }
}

impl Raw {
    fn settle_type(&self, content_type: Option<MediaType>) -> Result<MediaType, InvalidManifest> {
        let stated = Some(&self.media_type).filter(|stated| !stated.as_str().is_empty());
        let implied = match (content_type, stated) {
            (Some(pushed), Some(stated)) if pushed != *stated => {
                return Err(InvalidManifest::TypeMismatch { pushed, stated: stated.clone() });
            }
            (Some(pushed), _) => return Ok(pushed),
            // Checked as what is pushed is: it is served in a header.
            (None, Some(stated)) => stated.as_str(),
            // `mediaType` is optional: Helm leaves it out.
            (None, None) if self.manifests.is_some() => MediaType::IMAGE_INDEX,
            (None, None) if self.config.is_some() => MediaType::IMAGE_MANIFEST,
            (None, None) => return Err(InvalidManifest::NoType),
        };
        implied.parse().map_err(|_| InvalidManifest::NoType)
    }

    fn check_shape(&self, kind: ManifestKind) -> Result<(), InvalidManifest> {
        if kind == ManifestKind::Schema1 || self.fs_layers.is_some() || self.schema_version == Some(1) {
            return Err(InvalidManifest::Schema1);
        }
        let image = self.config.is_some() || self.layers.is_some();
        let index = self.manifests.is_some();
        match kind {
            _ if image && index => Err(InvalidManifest::Ambiguous),
            ManifestKind::Image | ManifestKind::Index if self.schema_version != Some(2) => {
                Err(InvalidManifest::SchemaVersion)
            }
            ManifestKind::Image if self.config.is_none() => Err(InvalidManifest::Missing("`config`")),
            // Go reads and writes an empty list as `null`, or leaves it out.
            ManifestKind::Index if image => Err(InvalidManifest::NoIndex),
            _ => Ok(()),
        }
    }
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Over [`MAX_MANIFEST_SIZE`].
    #[error("a manifest has at most {MAX_MANIFEST_SIZE} bytes")]
    TooLarge,
    /// Nested deeper than clients can parse.
    #[error("the manifest nests objects or arrays deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not the JSON of a manifest.
    #[error("the manifest is not the JSON object it must be: {0}")]
    Json(String),
    /// Pushed as one type, but states another.
    #[error("the manifest was pushed as `{pushed}` but says it is `{stated}`")]
    TypeMismatch {
        /// The request's `Content-Type`.
        pushed: MediaType,
        /// The body's `mediaType`.
        stated: MediaType,
    },
    /// Pushed without a type, states none, and its fields do not imply one.
    #[error("the manifest states no `mediaType` and was pushed without a `Content-Type`")]
    NoType,
    /// Both an image and an index.
    #[error("the manifest has `config` or `layers` and also `manifests`, so it could be read two ways")]
    Ambiguous,
    /// `schemaVersion` is not 2.
    #[error("`schemaVersion` must be 2")]
    SchemaVersion,
    /// Docker's first schema.
    #[error("Docker manifests of schema 1 are not supported; push the image with a current client")]
    Schema1,
    /// A required field is missing.
    #[error("a manifest of this type must have {0}")]
    Missing(&'static str),
    /// An image with the type of an index.
    #[error("the manifest is called an index and has the `config` or `layers` of an image")]
    NoIndex,
    /// A size larger than clients can represent.
    #[error("the size given for `{0}` is out of range")]
    Size(Digest),
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn parse(text: &str) -> Result<Manifest, InvalidManifest> {
        Manifest::parse(Bytes::copy_from_slice(text.as_bytes()), None)
    }

    fn image(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{EMPTY}","size":2}},"layers":[]{extra}}}"#,
            MediaType::IMAGE_MANIFEST
        )
    }

    #[test]
    fn an_image_without_layers_is_an_image() {
        let manifest = parse(&image("")).unwrap();
        assert_eq!(manifest.media_type().as_str(), MediaType::IMAGE_MANIFEST);
        assert_eq!(manifest.blobs().count(), 1);
        assert_eq!(manifest.artifact_type(), Some(MediaType::EMPTY));
    }

    #[test]
    fn what_the_specifications_types_write_is_read_with_the_same_descriptors() {
        use oci_spec::image as spec;
        let described = |media_type: spec::MediaType, content: &[u8]| {
            let digest: spec::Digest = super::super::Algorithm::Sha256.digest(content).to_string().parse().unwrap();
            spec::Descriptor::new(media_type, content.len() as u64, digest)
        };
        let (config, layer) =
            (described(spec::MediaType::ImageConfig, b"{}"), described(spec::MediaType::ImageLayer, b"x"));
        let image = spec::ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(spec::MediaType::ImageManifest)
            .config(config.clone())
            .layers(vec![layer.clone()])
            .subject(described(spec::MediaType::ImageManifest, b"subject"))
            .annotations([(spec::ANNOTATION_CREATED.to_owned(), "2026-11-01T00:00:00Z".to_owned())])
            .build()
            .unwrap()
            .to_string()
            .unwrap();
        let read = parse(&image).unwrap();
        let found: Vec<_> = read.blobs().map(|blob| (blob.digest.to_string(), blob.size)).collect();
        assert_eq!(found, [&config, &layer].map(|blob| (blob.digest().to_string(), blob.size())));
        assert_eq!(read.subject().unwrap().digest, super::super::Algorithm::Sha256.digest(b"subject"));
        assert!(read.annotations().unwrap().contains_key(crate::oci::annotation::CREATED));

        let platform =
            spec::PlatformBuilder::default().os(spec::Os::Linux).architecture(spec::Arch::ARM64).variant("v8");
        let mut child = described(spec::MediaType::ImageManifest, image.as_bytes());
        child.set_platform(Some(platform.build().unwrap()));
        let index = spec::ImageIndexBuilder::default().schema_version(2u32).media_type(spec::MediaType::ImageIndex);
        let index = parse(&index.manifests(vec![child]).build().unwrap().to_string().unwrap()).unwrap();
        let (child, platform) = index.children().next().unwrap();
        assert_eq!(child.digest, super::super::Algorithm::Sha256.digest(image.as_bytes()));
        assert_eq!(platform.unwrap().to_string(), "linux/arm64/v8");
    }

    #[test]
    fn an_unknown_field_and_an_unknown_layer_type_are_taken() {
        let manifest = parse(&image(r#","x-custom":{"a":[1]}"#)).unwrap();
        assert_eq!(manifest.references().len(), 1);
    }

    #[test]
    fn h14_a_manifest_that_reads_two_ways_is_refused() {
        assert_eq!(parse(&image(r#","manifests":[]"#)).unwrap_err(), InvalidManifest::Ambiguous);
        assert!(matches!(parse(&image(r#","layers":[]"#)).unwrap_err(), InvalidManifest::Json(_)), "duplicate key");
    }

    #[test]
    fn h14_malformed_manifests_are_refused() {
        let size = |size: &str| image("").replace("\"size\":2", &format!("\"size\":{size}"));
        for bad in [
            String::new(),
            "[]".into(),
            "null".into(),
            format!("\u{feff}{}", image("")),
            format!("{}x", image("")),
            size("-1"),
            size("1e400"),
            size("NaN"),
            size("9223372036854775808"),
            size("2.5"),
            image("").replace(EMPTY, "sha256:abc"),
            image("").replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
            image("").replace("\"schemaVersion\":2,", ""),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    /// The corpus of `registry/fuzz`.
    #[test]
    fn the_fuzz_corpus_is_read_or_refused_and_never_changed() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/manifest");
        let mut taken = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = Bytes::from(std::fs::read(entry.unwrap().path()).unwrap());
            if let Ok(manifest) = Manifest::parse(bytes.clone(), None) {
                assert_eq!(manifest.bytes(), &bytes);
                taken += 1;
            }
        }
        assert!(taken >= 2, "only {taken} of the corpus are manifests");
    }

    #[test]
    fn h17_deep_nesting_is_refused_without_overflow() {
        let deep = image(&format!(",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)));
        assert_eq!(parse(&deep).unwrap_err(), InvalidManifest::TooDeep);
        let quoted = image(&format!(",\"x\":\"{}\\\"[\"", "[".repeat(10_000)));
        assert!(parse(&quoted).is_ok(), "brackets in a string are no nesting");
    }

    #[test]
    fn h18_schema_1_is_refused() {
        let schema1 = r#"{"schemaVersion":1,"name":"x","fsLayers":[]}"#;
        let pushed = "application/vnd.docker.distribution.manifest.v1+prettyjws".parse().unwrap();
        let refused = Manifest::parse(Bytes::from_static(schema1.as_bytes()), Some(pushed));
        assert_eq!(refused.unwrap_err(), InvalidManifest::Schema1);
    }

    #[test]
    fn a_manifest_without_media_type_takes_the_pushed_one_or_its_shape() {
        let without = image("").replace(&format!("\"mediaType\":\"{}\",", MediaType::IMAGE_MANIFEST), "");
        assert_eq!(parse(&without).unwrap().media_type().as_str(), MediaType::IMAGE_MANIFEST);
        let docker = MediaType::DOCKER_MANIFEST.parse().unwrap();
        let manifest = Manifest::parse(Bytes::from(without), Some(docker)).unwrap();
        assert_eq!(manifest.media_type().as_str(), MediaType::DOCKER_MANIFEST);
    }

    #[test]
    fn a_type_other_than_the_pushed_one_is_refused() {
        let pushed = MediaType::DOCKER_MANIFEST.parse().unwrap();
        let refused = Manifest::parse(Bytes::from(image("")), Some(pushed));
        assert!(matches!(refused, Err(InvalidManifest::TypeMismatch { .. })));
    }

    #[test]
    fn foreign_layers_are_told_apart() {
        let layer = |kind: &str, urls: &str| {
            image("").replace(
                "\"layers\":[]",
                &format!(r#""layers":[{{"mediaType":"{kind}","digest":"{EMPTY}","size":2{urls}}}]"#),
            )
        };
        let foreign = |text: &str| matches!(parse(text).unwrap().references()[1], Reference::ForeignBlob(_));
        assert!(foreign(&layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "")));
        assert!(foreign(&layer(MediaType::IMAGE_LAYER, r#","urls":["https://example.com/x"]"#)));
        assert!(!foreign(&layer(MediaType::IMAGE_LAYER, "")));
    }
}
