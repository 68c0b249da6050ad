//! A manifest: the bytes as received, and a checked view of what they refer to.
//!
//! The bytes are served exactly as received; parsing is only for checking, and nothing is ever re-serialised. An
//! ambiguous manifest is refused (GHSA-mc8v-mgrf-8f4m: one JSON document with both `layers` and `manifests`).

mod read;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use read::FieldProblem;
use read::{Entry, Stated};

use super::{Digest, ManifestKind, MediaType};

/// The largest manifest accepted, in bytes: the largest that every client can pull.
pub const MAX_MANIFEST_SIZE: usize = 4 * 1024 * 1024;

/// The deepest nesting of objects and arrays accepted: what the recursive parsers of clients can read.
const MAX_DEPTH: usize = 100;

/// The most entries in one list of a manifest. Each costs a row of the index and memory when that is rebuilt; images have
/// at most hundreds of layers, BuildKit's largest caches and models of many files a few thousand.
pub const MAX_REFERENCES: usize = 5000;

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

impl Reference {
    fn blob(stated: Entry) -> Self {
        let foreign = stated.has_urls || stated.descriptor.media_type.is_non_distributable();
        if foreign { Self::ForeignBlob(stated.descriptor) } else { Self::Blob(stated.descriptor) }
    }

    /// What the manifest says of it.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Blob(descriptor) | Self::ForeignBlob(descriptor) | Self::Manifest(descriptor, _) => descriptor,
        }
    }
}

impl Manifest {
    /// Parses and checks `bytes` as a manifest of type `content_type`, or, if that is `None`, of the type that it states
    /// or that its fields imply.
    ///
    /// # Errors
    /// [`InvalidManifest`] if it is too large or too deep, is not a JSON object, states another type, could be read in two
    /// ways, or has a reference that is not a descriptor.
    pub fn parse(bytes: Bytes, content_type: Option<MediaType>) -> Result<Self, InvalidManifest> {
        if bytes.len() > MAX_MANIFEST_SIZE {
            return Err(InvalidManifest::TooLarge);
        }
        if nests_deeper_than(&bytes, MAX_DEPTH) {
            return Err(InvalidManifest::TooDeep);
        }
        let stated = Stated::read(&bytes)?;
        let media_type = settle_type(&stated, content_type)?;
        check_shape(&stated, media_type.manifest_kind())?;
        let config = stated.config.map(|config| config.descriptor);
        let mut references: Vec<_> = config.iter().cloned().map(Reference::Blob).collect();
        references.extend(stated.layers.into_iter().flatten().chain(stated.blobs).map(Reference::blob));
        references.extend(stated.manifests.into_iter().flatten().map(|child| {
            if child.descriptor.media_type.is_manifest() {
                Reference::Manifest(child.descriptor, child.platform)
            } else {
                Reference::blob(child)
            }
        }));
        check_agreement(&references)?;
        Ok(Self {
            subject: stated.subject,
            artifact_type: stated.artifact_type.filter(|text| !text.is_empty()),
            annotations: stated.annotations,
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

fn settle_type(stated: &Stated, content_type: Option<MediaType>) -> Result<MediaType, InvalidManifest> {
    let own = Some(&stated.media_type).filter(|own| !own.as_str().is_empty());
    let implied = match (content_type, own) {
        (Some(pushed), Some(own)) if pushed != *own => {
            return Err(InvalidManifest::TypeMismatch { pushed, stated: own.clone() });
        }
        (Some(pushed), _) => return served(pushed),
        // Parsed as a pushed one is: it is served in a header.
        (None, Some(own)) => own.as_str(),
        // `mediaType` is optional: Helm leaves it out.
        (None, None) if stated.manifests.is_some() => MediaType::IMAGE_INDEX,
        (None, None) if stated.has_config => MediaType::IMAGE_MANIFEST,
        (None, None) => return Err(InvalidManifest::NoType),
    };
    served(implied.parse().map_err(|_| InvalidManifest::NoType)?)
}

/// A browser must not take a manifest for a page.
fn served(media_type: MediaType) -> Result<MediaType, InvalidManifest> {
    if media_type.is_application() { Ok(media_type) } else { Err(InvalidManifest::Type(media_type)) }
}

fn check_shape(stated: &Stated, kind: ManifestKind) -> Result<(), InvalidManifest> {
    if kind == ManifestKind::Schema1 || stated.is_schema_1 || stated.schema_version == Some(1) {
        return Err(InvalidManifest::Schema1);
    }
    // Also where they are `null`: clients look at whether the fields are there.
    let image = stated.has_config || stated.layers.is_some();
    let index = stated.manifests.is_some();
    match kind {
        _ if image && index => Err(InvalidManifest::Ambiguous),
        ManifestKind::Image | ManifestKind::Index if stated.schema_version != Some(2) => {
            Err(InvalidManifest::SchemaVersion)
        }
        ManifestKind::Image if stated.config.is_none() => Err(InvalidManifest::NoConfig),
        ManifestKind::Index if image => Err(InvalidManifest::NoIndex),
        _ => Ok(()),
    }
}

/// What is described several times has one size, and is one type of manifest.
fn check_agreement(references: &[Reference]) -> Result<(), InvalidManifest> {
    let mut seen: HashMap<Digest, &Reference> = HashMap::with_capacity(references.len());
    for reference in references {
        let descriptor = reference.descriptor();
        let Some(other) = seen.insert(descriptor.digest, reference) else { continue };
        let both = matches!((reference, other), (Reference::Manifest(..), Reference::Manifest(..)));
        let there = other.descriptor();
        if there.size != descriptor.size || both && there.media_type != descriptor.media_type {
            return Err(InvalidManifest::Disagreement(descriptor.digest));
        }
    }
    Ok(())
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
    /// Not UTF-8.
    #[error("the manifest is not a text in UTF-8")]
    NotText,
    /// Not JSON, from this position on.
    #[error("the manifest is not valid JSON at line {line}, column {column}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The byte in the line.
        column: usize,
    },
    /// Another JSON value.
    #[error("the manifest is not a JSON object")]
    NoObject,
    /// A field that clients could not read, or would read differently.
    #[error("the manifest's `{field}` {problem}")]
    Field {
        /// Its path, such as `layers[3].digest`.
        field: String,
        /// What is wrong with it.
        problem: FieldProblem,
    },
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
    /// An image without a config.
    #[error("the manifest of an image must have a `config`")]
    NoConfig,
    /// An image with the type of an index.
    #[error("the manifest is called an index and has the `config` or `layers` of an image")]
    NoIndex,
    /// A browser could take it for something else.
    #[error("a manifest's media type begins with `application/`, and `{0}` does not")]
    Type(MediaType),
    /// Two descriptors of one digest do not agree.
    #[error("the manifest describes `{0}` twice, with different sizes or as different types of manifest")]
    Disagreement(Digest),
}

#[cfg(test)]
mod tests;
