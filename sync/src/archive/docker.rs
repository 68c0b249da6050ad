//! `docker save` and what imitates it: Docker before 25, podman and skopeo `docker-archive`, kaniko, crane, jib, bazel.
//!
//! `manifest.json` names a config and layers by path. There is no registry manifest, so one is made: the very bytes that
//! Docker from 25 on writes, so that one image has one digest whichever of these tools saved it. Layers stay as they are.

use std::collections::HashMap;

use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::intake::{Found, Intake};
use super::names;
use super::oci::{Image, Layout, MAX_CONFIG};
use super::parts::{Compression, Layer, Parts, join};
use super::problem::{Problem, printable};
use super::role::digest_in_name;
use crate::reference::ImageReference;

/// Docker itself stops at 127.
const MAX_LAYERS: usize = 4096;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    /// By DiffID; Docker writes it since it knows layers that are not in the archive.
    #[serde(default)]
    layer_sources: Option<HashMap<Digest, Source>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    media_type: MediaType,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

/// What is read of an image config.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Such as `linux/arm64/v8`.
    pub(crate) fn platform(&self) -> Option<String> {
        let parts = [&self.os, &self.architecture, &self.variant];
        let platform: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        (!self.os.is_empty() && !self.architecture.is_empty()).then(|| printable(&platform.join("/")))
    }
}

/// Go's `ocispec.Manifest`, as far as Docker fills it in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: u8,
    media_type: &'static str,
    config: Source,
    layers: Vec<Source>,
}

/// kaniko's way of saying that there is no name.
const KANIKO_UNNAMED: &str = "docker.io/unset-repo/unset-image-name:latest";

const LOST_DIGEST: &str =
    "the archive has lost the registry's digest: tags work, pins by `@sha256:` taken from the registry do not";

/// Reads `manifest.json`; `None` when it is something else of that name.
pub(crate) fn items(bytes: &[u8], path: &str) -> Result<Option<Vec<Item>>, Problem> {
    if !is_list(bytes) {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some).map_err(|error| Problem::document(path, error))
}

/// Whether a `manifest.json` is the list of images that `docker save` writes.
pub(crate) fn is_list(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"[")
}

/// Reads the images in `folder` that its layout, if it has one, does not hold.
pub(crate) fn read(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    folder: &str,
    file: &str,
    bytes: &[u8],
    layout: &mut Layout,
) -> Result<(), Problem> {
    let items = items(bytes, &join(folder, "manifest.json"))?.unwrap_or_default();
    for item in items.into_iter().take(intake.limits.images) {
        let label = item.label();
        if layout.failed.contains(&label) {
            continue;
        }
        if let Err(problem) = one(parts, intake, folder, file, &item, layout) {
            intake.fail(&format!("{file}: {label}"), problem)?;
        }
    }
    Ok(())
}

impl Item {
    fn label(&self) -> String {
        let first = self.repo_tags.iter().flatten().find(|name| name.as_str() != KANIKO_UNNAMED);
        match first.map(|name| name.parse::<ImageReference>()) {
            Some(Ok(reference)) => reference.to_string(),
            _ => printable(first.unwrap_or(&self.config)),
        }
    }

    fn layers(&self) -> impl Iterator<Item = &String> {
        self.layers.iter().flatten()
    }

    /// The paths of its config and its layers.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.config).chain(self.layers())
    }
}

/// A path as `manifest.json` writes it, made the way entries' paths are.
pub(crate) fn entry_path(folder: &str, written: &str) -> String {
    let parts: Vec<&str> = written.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    join(folder, &parts.join("/"))
}

fn one(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    folder: &str,
    file: &str,
    item: &Item,
    layout: &mut Layout,
) -> Result<(), Problem> {
    let mut places = Vec::new();
    let mut notes = Vec::new();
    for name in item.repo_tags.iter().flatten().filter(|name| name.as_str() != KANIKO_UNNAMED) {
        match name.parse::<ImageReference>() {
            Ok(reference) => places.push(names::place(&reference.or_latest())),
            // Docker's way of saying that there is none.
            Err(_) if name.starts_with("<none>") => {}
            Err(error) => notes.push(format!("a name of it was not used: {error}")),
        }
    }
    let path = entry_path(folder, &item.config);
    let Some(config) = parts.document(intake, &path, MAX_CONFIG)? else {
        return Err(Problem::missing(format!("its config `{}`", printable(&item.config))));
    };
    let digest = Algorithm::Sha256.digest(&config);
    // The registry's own manifest, where the archive has one, goes before one made here.
    if let Some(image) = layout.images.iter_mut().find(|image| image.configs.contains(&digest)) {
        merge(image, places, item.layer_sources.is_some());
        return Ok(());
    }
    if let Some(expected) = digest_in_name(&item.config).filter(|expected| *expected != digest) {
        return Err(Problem::Digest { entry: printable(&item.config), expected, found: digest });
    }
    let manifest = manifest(parts, intake, folder, item, digest, &config)?;
    intake.put(&config, &item.config, digest)?;
    let root = Algorithm::Sha256.digest(manifest.bytes());
    if places.is_empty() {
        places.extend(names::untagged(&root, None));
        notes.push(names::no_name(None));
    }
    notes.push(LOST_DIGEST.to_owned());
    let size = manifest.blobs().map(|blob| (blob.digest, blob.size)).collect::<HashMap<_, _>>().values().sum::<u64>();
    let size = size + manifest.bytes().len() as u64;
    let platforms = Config::parse(&config).ok().and_then(|config| config.platform()).into_iter().collect();
    let manifests = vec![(root, manifest)];
    let found = Found {
        file: file.to_owned(),
        places,
        manifests,
        root,
        platforms,
        size,
        notes,
        beside: None,
        lost_digest: true,
    };
    layout.images.push(Image { found, configs: vec![digest], plain: true, derived: false });
    Ok(())
}

/// Adds what `manifest.json` knows to an image of the layout beside it.
fn merge(image: &mut Image, places: Vec<super::intake::Place>, sources: bool) {
    let found = &mut image.found;
    // A full name goes before one that was put together, and makes up for a missing one.
    if image.derived && !places.is_empty() {
        image.derived = false;
        found.places.clear();
        found.notes.retain(|note| !note.contains(names::UNTAGGED));
        found.beside = None;
    }
    for place in places {
        if !found.places.iter().any(|known| known.repository == place.repository && known.tag == place.tag) {
            found.places.push(place);
        }
    }
    // Docker's own store writes a new manifest around unpacked layers whenever it saves.
    if sources && image.plain && !found.lost_digest {
        found.lost_digest = true;
        found.notes.push(LOST_DIGEST.to_owned());
    }
}

fn manifest(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    folder: &str,
    item: &Item,
    digest: Digest,
    config: &Bytes,
) -> Result<Manifest, Problem> {
    let parsed = Config::parse(config).map_err(|error| Problem::document(&item.config, error))?;
    let diff_ids = parsed.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    let paths: Vec<&String> = item.layers().collect();
    if paths.is_empty() {
        return Err(Problem::Unusable("the image has no layers; save it again".into()));
    }
    if paths.len() != diff_ids.len() || paths.len() > MAX_LAYERS {
        return Err(Problem::Unusable(format!(
            "`manifest.json` names {} layers and the image's config {}; one of them was damaged or changed",
            paths.len(),
            diff_ids.len()
        )));
    }
    let all = paths.iter().map(|written| entry_path(folder, written)).zip(diff_ids.iter().copied()).collect::<Vec<_>>();
    let config = source(MediaType::IMAGE_CONFIG, digest, config.len() as u64)?;
    if let Some(known) = known(parts, intake, &all, &config)? {
        return Ok(known);
    }
    parts.ahead(intake, &all, false)?;
    let mut layers = Vec::with_capacity(paths.len());
    for (written, diff_id) in paths.into_iter().zip(diff_ids) {
        let path = entry_path(folder, written);
        if parts.size(&path)?.is_none() {
            // A layer that may only be had from its vendor is not in the archive.
            let foreign = item.layer_sources.as_ref().and_then(|sources| sources.get(&diff_id));
            match foreign.filter(|source| source.media_type.is_non_distributable() || !source.urls.is_empty()) {
                Some(source) => layers.push(source.clone()),
                None => return Err(Problem::missing(format!("its layer `{}`", printable(written)))),
            }
            continue;
        }
        layers.push(described(&parts.layer(intake, &path, diff_id)?)?);
    }
    made(config, layers)
}

/// The manifest, if all its layers and itself are in the store: it came there only after each of them had been checked.
fn known(
    parts: &mut dyn Parts,
    intake: &Intake<'_>,
    layers: &[(String, Digest)],
    config: &Source,
) -> Result<Option<Manifest>, Problem> {
    let mut here = Vec::with_capacity(layers.len());
    for (path, diff_id) in layers {
        let Some(layer) = parts.named(intake, path, *diff_id)? else { return Ok(None) };
        here.push(described(&layer)?);
    }
    let manifest = made(config.clone(), here)?;
    let digest = Algorithm::Sha256.digest(manifest.bytes());
    Ok(intake.has(&digest, manifest.bytes().len() as u64).then_some(manifest))
}

fn described(layer: &Layer) -> Result<Source, Problem> {
    let media_type = match layer.compression {
        Compression::None => MediaType::IMAGE_LAYER,
        Compression::Gzip => MediaType::IMAGE_LAYER_GZIP,
        Compression::Zstd => MediaType::IMAGE_LAYER_ZSTD,
    };
    source(media_type, layer.digest, layer.size)
}

/// The manifest Docker 25 would have written.
fn made(config: Source, layers: Vec<Source>) -> Result<Manifest, Problem> {
    let digest = config.digest;
    let written = Written { schema_version: 2, media_type: MediaType::IMAGE_MANIFEST, config, layers };
    let bytes = super::chart_yaml::go_json(&written).map_err(|error| Problem::document("manifest.json", error))?;
    Manifest::parse(bytes.into(), None).map_err(|source| Problem::Manifest { digest, source })
}

/// For fuzzing: reads a `manifest.json`, and the same bytes as a config.
pub(crate) fn probe_manifest(bytes: &[u8]) -> usize {
    let platform = Config::parse(bytes).ok().and_then(|config| config.platform()).map_or(0, |platform| platform.len());
    let items = items(bytes, "manifest.json").ok().flatten().unwrap_or_default();
    let read =
        |item: &Item| item.label().len() + item.layers().map(|layer| entry_path("a", layer).len()).sum::<usize>();
    platform + items.iter().map(read).sum::<usize>()
}

fn source(media_type: &str, digest: Digest, size: u64) -> Result<Source, Problem> {
    let media_type = media_type.parse().map_err(|error| Problem::Unusable(format!("{error}")))?;
    Ok(Source { media_type, digest, size, urls: Vec::new() })
}
