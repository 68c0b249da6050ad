//! Reads the JSON of a manifest so that it means the same here and to Go's `encoding/json`, with which docker, containerd,
//! Helm and most other clients read it.
//!
//! Go takes a field by any spelling of its name that differs in case, and of several fields of one name the last, merged
//! with those before. So that nobody can push a manifest that reads two ways, a field is taken here only by its exact
//! name and once, and everything else that Go would take for it is refused. What Go refuses is refused, too: a value of
//! another type, a number that is not whole. `null` is an absent field, as in Go.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Descriptor, InvalidManifest, MAX_REFERENCES, Platform};
use crate::oci::{Digest, MediaType};

/// All fields of manifests that the specifications' types have.
const MANIFEST: [&str; 10] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "blobs",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
];

/// All fields of descriptors.
const DESCRIPTOR: [&str; 8] =
    ["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"];

/// All fields of platforms; Docker's lists have `features`.
const PLATFORM: [&str; 6] = ["architecture", "os", "os.version", "os.features", "variant", "features"];

/// What the JSON of a manifest states. A list is `None` where there is no such field; `null` is an empty one.
pub(super) struct Stated {
    pub(super) schema_version: Option<i64>,
    /// Empty where none is stated.
    pub(super) media_type: MediaType,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Entry>,
    pub(super) layers: Option<Vec<Entry>>,
    pub(super) blobs: Vec<Entry>,
    pub(super) manifests: Option<Vec<Entry>>,
    pub(super) subject: Option<Descriptor>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
    /// Only schema 1 has `fsLayers`.
    pub(super) is_schema_1: bool,
    /// Whether there is a `config`, also where it is `null`.
    pub(super) has_config: bool,
}

/// A descriptor, and what a manifest states beside it.
pub(super) struct Entry {
    pub(super) descriptor: Descriptor,
    /// Whether it states where else the content can be had.
    pub(super) has_urls: bool,
    pub(super) platform: Option<Platform>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// Another type of value.
    #[error("must be {0}")]
    NotA(&'static str),
    /// It must be there.
    #[error("is missing")]
    Missing,
    /// More than once: readers choose differently.
    #[error("is there twice")]
    Twice,
    /// Only some readers take it for the field of this name.
    #[error("is taken for `{0}` by some clients and not by others; spell it exactly so, or leave it out")]
    Respelled(&'static str),
    /// Not a digest.
    #[error("is not one that can be checked: {0}")]
    Digest(#[from] crate::oci::InvalidDigest),
    /// It is not what digest and size say.
    #[error("is not the content of its descriptor's digest and size")]
    Data,
    /// Over [`MAX_REFERENCES`].
    #[error("has more than {MAX_REFERENCES} entries, the most of one manifest")]
    TooMany,
}

/// A field, named from the manifest on, and what is wrong with it.
struct InvalidField {
    path: String,
    problem: FieldProblem,
}

type Read<T> = Result<T, InvalidField>;

impl From<FieldProblem> for InvalidField {
    fn from(problem: FieldProblem) -> Self {
        Self { path: String::new(), problem }
    }
}

impl InvalidField {
    /// The same, named from what holds it on.
    fn within(mut self, parent: impl fmt::Display) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{parent}{dot}{}", self.path);
        self
    }
}

impl From<InvalidField> for InvalidManifest {
    fn from(InvalidField { path, problem }: InvalidField) -> Self {
        if path.is_empty() { Self::NoObject } else { Self::Field { field: path, problem } }
    }
}

impl Stated {
    /// Reads a manifest.
    pub(super) fn read(json: &[u8]) -> Result<Self, InvalidManifest> {
        let json = std::str::from_utf8(json).map_err(|_| InvalidManifest::NotText)?;
        // Everything below this is a part of valid JSON.
        let json: &RawValue = serde_json::from_str(json)
            .map_err(|error| InvalidManifest::Json { line: error.line(), column: error.column() })?;
        Ok(Self::of(json)?)
    }

    fn of(json: &RawValue) -> Read<Self> {
        let [version, media_type, artifact_type, config, layers, blobs, manifests, subject, annotations, fs_layers] =
            object(json, &MANIFEST)?;
        let entries = |field: Option<&RawValue>, name| {
            let read = |field| list(field).map_err(|invalid| invalid.within(name));
            field.map(read).transpose()
        };
        Ok(Self {
            schema_version: value(version, "schemaVersion", "a whole number")?,
            media_type: media_type_of(media_type)?,
            artifact_type: value(artifact_type, "artifactType", TEXT)?,
            config: optional(config, "config")?,
            layers: entries(layers, "layers")?,
            blobs: entries(blobs, "blobs")?.unwrap_or_default(),
            manifests: entries(manifests, "manifests")?,
            subject: optional(subject, "subject")?.map(|subject| subject.descriptor),
            annotations: texts(annotations)?,
            is_schema_1: fs_layers.is_some(),
            has_config: config.is_some(),
        })
    }
}

const TEXT: &str = "a text";

fn optional(json: Option<&RawValue>, name: &str) -> Read<Option<Entry>> {
    stated(json).map(entry).transpose().map_err(|invalid| invalid.within(name))
}

fn entry(json: &RawValue) -> Read<Entry> {
    let [media_type, digest, size, urls, annotations, data, platform, artifact_type] = object(json, &DESCRIPTOR)?;
    let required = |name: &str| InvalidField::from(FieldProblem::Missing).within(name);
    let digest: String = value(digest, "digest", TEXT)?.ok_or_else(|| required("digest"))?;
    let digest: Digest =
        digest.parse().map_err(|error| InvalidField::from(FieldProblem::Digest(error)).within("digest"))?;
    // Clients read it into Go's int64.
    let size: u64 = value::<i64>(size, "size", "a size in bytes")?
        .ok_or_else(|| required("size"))?
        .try_into()
        .map_err(|_| InvalidField::from(FieldProblem::NotA("a size in bytes")).within("size"))?;
    let urls: Option<Vec<Option<String>>> = value(urls, "urls", "a list of texts")?;
    texts(annotations)?;
    value::<String>(artifact_type, "artifactType", TEXT)?;
    if let Some(data) = value::<String>(data, "data", "Base64")? {
        check_data(&data, &digest, size).map_err(|problem| InvalidField::from(problem).within("data"))?;
    }
    let platform = stated(platform).map(self::platform).transpose().map_err(|invalid| invalid.within("platform"))?;
    Ok(Entry {
        descriptor: Descriptor { media_type: media_type_of(media_type)?, digest, size },
        has_urls: urls.is_some_and(|urls| !urls.is_empty()),
        platform: platform.flatten(),
    })
}

/// The platform, if anything is stated.
fn platform(json: &RawValue) -> Read<Option<Platform>> {
    let [architecture, os, version, os_features, variant, features] = object(json, &PLATFORM)?;
    let architecture: String = value(architecture, "architecture", TEXT)?.unwrap_or_default();
    let os: String = value(os, "os", TEXT)?.unwrap_or_default();
    let variant = value(variant, "variant", TEXT)?.filter(|variant: &String| !variant.is_empty());
    value::<String>(version, "os.version", TEXT)?;
    value::<Vec<Option<String>>>(os_features, "os.features", "a list of texts")?;
    value::<Vec<Option<String>>>(features, "features", "a list of texts")?;
    Ok((!architecture.is_empty() || !os.is_empty()).then_some(Platform { architecture, os, variant }))
}

/// A media type, word for word: clients compare it as a string. It decides nothing here unless it is a known one, so it may
/// be empty, or have parameters.
fn media_type_of(json: Option<&RawValue>) -> Read<MediaType> {
    let text: Option<String> = value(json, "mediaType", TEXT)?;
    let known = MediaType::stated(text.as_deref().unwrap_or_default());
    known.ok_or_else(|| InvalidField::from(FieldProblem::NotA("a media type")).within("mediaType"))
}

fn texts(json: Option<&RawValue>) -> Read<Option<BTreeMap<String, String>>> {
    let texts = value::<BTreeMap<String, Option<String>>>(json, "annotations", "an object of texts")?;
    Ok(texts.map(|texts| texts.into_iter().map(|(key, text)| (key, text.unwrap_or_default())).collect()))
}

/// Some clients take embedded data for the content.
fn check_data(data: &str, digest: &Digest, size: u64) -> Result<(), FieldProblem> {
    // Go skips the ends of lines.
    let data: Cow<'_, str> =
        if data.contains(['\r', '\n']) { data.replace(['\r', '\n'], "").into() } else { data.into() };
    let content = base64::engine::general_purpose::STANDARD.decode(&*data);
    let content = content.map_err(|_| FieldProblem::NotA("Base64"))?;
    if content.len() as u64 == size && digest.algorithm().digest(&content) == *digest {
        Ok(())
    } else {
        Err(FieldProblem::Data)
    }
}

/// A field that is there and not `null`.
fn stated(json: Option<&RawValue>) -> Option<&RawValue> {
    json.filter(|json| json.get() != "null")
}

/// The value of a field, unless it is absent or `null`.
fn value<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>, name: &str, what: &'static str) -> Read<Option<T>> {
    let read = |json: &'a RawValue| serde_json::from_str(json.get());
    let not = |_| InvalidField::from(FieldProblem::NotA(what)).within(name);
    stated(json).map(read).transpose().map_err(not)
}

/// The entries of a list; `null` is an empty one.
fn list(json: &RawValue) -> Read<Vec<Entry>> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        /// `None`: too many.
        type Value = Option<Vec<&'de RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(item) = items.next_element()? {
                if found.len() == MAX_REFERENCES {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                found.push(item);
            }
            Ok(Some(found))
        }
    }

    let Some(json) = stated(Some(json)) else { return Ok(Vec::new()) };
    let items = serde::Deserializer::deserialize_seq(&mut serde_json::Deserializer::from_str(json.get()), Items);
    let items = items.map_err(|_| FieldProblem::NotA("a list"))?.ok_or(FieldProblem::TooMany)?;
    let read = |(position, item)| entry(item).map_err(|invalid| invalid.within(format_args!("[{position}]")));
    items.into_iter().enumerate().map(read).collect()
}

/// The values of an object's known fields. Others are skipped.
fn object<'a, const N: usize>(
    json: &'a RawValue,
    names: &'static [&'static str; N],
) -> Read<[Option<&'a RawValue>; N]> {
    struct Fields<const N: usize>(&'static [&'static str; N]);

    impl<'de, const N: usize> Visitor<'de> for Fields<N> {
        type Value = Read<[Option<&'de RawValue>; N]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            let mut invalid = None;
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                let value = map.next_value()?;
                if let Some(position) = self.0.iter().position(|name| *name == key) {
                    if found[position].replace(value).is_some() {
                        let twice = InvalidField::from(FieldProblem::Twice);
                        invalid.get_or_insert(twice.within(&key));
                    }
                } else if let Some(name) = self.0.iter().find(|name| go_folds(&key).eq(go_folds(name))) {
                    let respelled = InvalidField::from(FieldProblem::Respelled(name));
                    invalid.get_or_insert(respelled.within(&key));
                }
            }
            Ok(invalid.map_or(Ok(found), Err))
        }
    }

    let read = serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(json.get()), Fields(names));
    read.map_err(|_: serde_json::Error| FieldProblem::NotA("an object"))?
}

/// As Go compares the names of fields. Beyond ASCII, two letters fold into it: the long s and the Kelvin sign.
fn go_folds(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    })
}
