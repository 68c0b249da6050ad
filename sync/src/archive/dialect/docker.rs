//! `docker save` and what imitates it: Docker before 25, podman and skopeo `docker-archive`, kaniko, crane, jib, bazel.
//!
//! `manifest.json` names a config and layers by path. There is no registry manifest, so one is made, byte for byte as Docker
//! 25 and later write it: one image has one digest, whichever of these tools saved it. Layers stay as they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use airdock_registry::oci::{Algorithm, Digest, ImageConfig, Manifest, MediaType};
use serde::Deserialize;

use super::layers;
use super::layout::{Failed, Image, Layout};
use super::made::{Descriptor, Made};
use crate::archive::found::{Found, FoundName, UNTAGGED};
use crate::archive::intake::Intake;
use crate::archive::names::{MAX_NAMES, is_id, no_name, of_reference, too_many, untagged};
use crate::archive::parts::{Compression, Folder, Layer, Parts, join};
use crate::archive::role::digest_in_name;
use crate::limits::MAX_CONFIG;
use crate::problem::{Problem, Result};
use crate::reference::ImageReference;
use crate::text::printable;

/// Docker's own limit is 127.
const MAX_LAYERS: usize = 4096;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
    /// By DiffID. Docker writes it, because it knows layers that are not in the archive.
    layer_sources: Option<HashMap<Digest, Descriptor>>,
}

/// What kaniko writes if there is no name.
const KANIKO_UNNAMED: &str = "docker.io/unset-repo/unset-image-name:latest";

const LOST_DIGEST: &str =
    "the archive has lost the registry's digest: tags work, pins by `@sha256:` taken from the registry do not";

/// Reads `manifest.json`; `None` when it is not the list of images that `docker save` writes.
pub(crate) fn items(bytes: &[u8], path: &str) -> Result<Option<Vec<Item>>> {
    if !bytes.trim_ascii_start().starts_with(b"[") {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some).map_err(|error| Problem::document(path, error))
}

/// Reads the images that `manifest.json` in `folder` lists and the layout, if there is one, does not hold.
pub(crate) fn read(folder: &mut Folder<'_, '_>, items: &[Item], layout: &mut Layout) -> Result<()> {
    for item in items.iter().take(folder.intake.limits.images + 1) {
        let label = item.label();
        let config = digest_in_name(&item.config);
        let is_it = |failed: &Failed| failed.label == label || config.is_some() && failed.config == config;
        if !layout.failed.iter().any(is_it) {
            if let Err(problem) = one(folder, item, layout) {
                folder.fail(&label, problem)?;
            }
            continue;
        }
        // Docker 25.0.0 and others wrote a wrong manifest beside a right `manifest.json`.
        if layout.failed.iter().filter(|failed| is_it(failed)).all(|failed| failed.problem.is_of_the_manifest()) {
            match one(folder, item, layout) {
                Ok(()) => {
                    for failed in layout.failed.extract_if(.., |failed| is_it(failed)) {
                        let why = failed.problem.sentence();
                        let message = format!("`{label}` goes in as `manifest.json` describes it: {why}");
                        folder.intake.warn(folder.shown, message);
                    }
                }
                Err(problem) if problem.is_fatal() => return Err(problem),
                // Both records are wrong, and the first is reported.
                Err(_) => {}
            }
        }
    }
    Ok(())
}

impl Item {
    /// The name for messages.
    pub(crate) fn label(&self) -> String {
        let first = self.names().next();
        match first.map(|name| name.parse::<ImageReference>()) {
            Some(Ok(reference)) => reference.to_string(),
            _ => printable(first.unwrap_or(&self.config)),
        }
    }

    /// The paths of its config and its layers.
    pub(crate) fn paths(&self, folder: &str) -> impl Iterator<Item = String> {
        std::iter::once(&self.config).chain(self.layers()).map(move |written| entry_path(folder, written))
    }

    fn layers(&self) -> impl Iterator<Item = &String> {
        self.layers.iter().flatten()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.repo_tags.iter().flatten().filter(|name| name.as_str() != KANIKO_UNNAMED)
    }
}

/// A path in `manifest.json`, normalised as the paths of entries are. Docker on Windows writes backslashes here, and slashes
/// into the names of entries.
fn entry_path(folder: &str, written: &str) -> String {
    let parts: Vec<&str> = written.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect();
    join(folder, &parts.join("/"))
}

fn one(folder: &mut Folder<'_, '_>, item: &Item, layout: &mut Layout) -> Result<()> {
    let mut names = Vec::new();
    let mut notes = Vec::new();
    if item.names().nth(MAX_NAMES).is_some() {
        notes.push(too_many());
    }
    for name in item.names().filter(|name| !is_id(name)).take(MAX_NAMES) {
        match name.parse::<ImageReference>() {
            Ok(reference) => names.push(of_reference(&reference.or_latest())),
            // Docker writes `<none>:<none>` if there is no name.
            Err(_) if name.starts_with("<none>") => {}
            Err(error) => notes.push(format!("a name of it was not used: {error}")),
        }
    }
    let Some(config) = folder.parts.document(&entry_path(folder.path, &item.config), MAX_CONFIG)? else {
        return Err(Problem::Missing(format!("its config `{}`", printable(&item.config))));
    };
    let digest = Algorithm::Sha256.digest(&config);
    // The registry's own manifest, if the archive has it, goes before one made here.
    if let Some(image) = layout.images.iter_mut().find(|image| image.configs.contains(&digest)) {
        merge(image, names, item.layer_sources.is_some());
        return Ok(());
    }
    if let Some(expected) = digest_in_name(&item.config).filter(|expected| *expected != digest) {
        return Err(Problem::digest(&item.config, expected, digest));
    }
    let parsed = ImageConfig::parse(&config).map_err(|error| Problem::document(&item.config, error))?;
    let descriptor = Descriptor::new(MediaType::IMAGE_CONFIG, digest, config.len() as u64)?;
    let mut elsewhere = BTreeMap::new();
    let (root, manifest) = manifest(folder, item, descriptor, parsed.diff_ids(), &mut elsewhere)?;
    folder.intake.put(&config, &item.config, digest)?;
    if names.is_empty() {
        names.extend(untagged(&root, None));
        notes.push(no_name(None));
    }
    notes.push(LOST_DIGEST.to_owned());
    notes.extend(layers::elsewhere(&elsewhere));
    let blobs = manifest.blobs().filter(|blob| !elsewhere.contains_key(&blob.digest));
    let blobs = blobs.map(|blob| (blob.digest, blob.size)).collect::<HashMap<_, _>>();
    let size = blobs.into_values().fold(manifest.bytes().len() as u64, u64::saturating_add);
    let found = Found {
        file: folder.shown.to_owned(),
        names,
        size,
        manifests: vec![(root, Arc::new(manifest))],
        root,
        platforms: parsed.platform().map(|platform| printable(&platform.to_string())).into_iter().collect(),
        notes,
        beside: None,
        lost_digest: true,
    };
    layout.images.push(Image { found, configs: vec![digest], plain: true, derived: false });
    Ok(())
}

/// Adds what `manifest.json` says of an image in the layout beside it.
fn merge(image: &mut Image, names: Vec<FoundName>, sources: bool) {
    let found = &mut image.found;
    // A full name replaces a derived or a missing one.
    if image.derived && !names.is_empty() {
        image.derived = false;
        found.names.clear();
        found.notes.retain(|note| !note.contains(UNTAGGED));
        found.beside = None;
    }
    // Those that come twice are dropped when the image is taken.
    found.names.extend(names);
    // Docker's own store writes a new manifest around unpacked layers whenever it saves.
    if sources && image.plain && !found.lost_digest {
        found.lost_digest = true;
        found.notes.push(LOST_DIGEST.to_owned());
    }
}

fn manifest(
    folder: &mut Folder<'_, '_>,
    item: &Item,
    config: Descriptor,
    diff_ids: &[Digest],
    elsewhere: &mut BTreeMap<Digest, String>,
) -> Result<(Digest, Manifest)> {
    let Folder { parts, intake, path, .. } = folder;
    let paths: Vec<&String> = item.layers().collect();
    if paths.len() != diff_ids.len() || paths.len() > MAX_LAYERS {
        return Err(Problem::Unusable(format!(
            "`manifest.json` names {} layers and the image's config {}; one of them was damaged or changed",
            paths.len(),
            diff_ids.len()
        )));
    }
    let all = paths.iter().map(|written| entry_path(path, written)).zip(diff_ids.iter().copied()).collect::<Vec<_>>();
    if let Some(known) = known(*parts, intake, &all, &config)? {
        return Ok(known);
    }
    parts.ahead(intake, &all, false)?;
    let mut here = Vec::with_capacity(paths.len());
    for (written, (path, diff_id)) in paths.into_iter().zip(&all) {
        if parts.size(path)?.is_some() {
            here.push(described(&parts.layer(intake, path, *diff_id)?)?);
            continue;
        }
        // A layer that is only to be had from its vendor is not in the archive.
        let foreign = item.layer_sources.as_ref().and_then(|sources| sources.get(diff_id));
        match foreign.filter(|source| source.media_type.is_non_distributable() || !source.urls.is_empty()) {
            Some(source) => {
                if !intake.has(&source.digest, source.size) {
                    elsewhere.insert(source.digest, layers::hosts(source.urls.iter().cloned()));
                }
                here.push(source.clone());
            }
            None => return Err(Problem::Missing(format!("its layer `{}`", printable(written)))),
        }
    }
    made(config, here)
}

/// The manifest, if the sink has it and all its layers: it got there only after each of them had been checked.
fn known(
    parts: &mut dyn Parts,
    intake: &Intake<'_>,
    layers: &[(String, Digest)],
    config: &Descriptor,
) -> Result<Option<(Digest, Manifest)>> {
    let mut here = Vec::with_capacity(layers.len());
    for (path, diff_id) in layers {
        let Some(layer) = parts.named(intake, path, *diff_id)? else { return Ok(None) };
        here.push(described(&layer)?);
    }
    let (digest, manifest) = made(config.clone(), here)?;
    Ok(intake.has(&digest, manifest.bytes().len() as u64).then_some((digest, manifest)))
}

fn described(layer: &Layer) -> Result<Descriptor> {
    let media_type = match layer.compression {
        Compression::None => MediaType::IMAGE_LAYER,
        Compression::Gzip => MediaType::IMAGE_LAYER_GZIP,
        Compression::Zstd => MediaType::IMAGE_LAYER_ZSTD,
    };
    Descriptor::new(media_type, layer.digest, layer.size)
}

/// The manifest Docker 25 would have written.
fn made(config: Descriptor, layers: Vec<Descriptor>) -> Result<(Digest, Manifest)> {
    let (media_type, annotations) = (Some(MediaType::IMAGE_MANIFEST), BTreeMap::new());
    Made { schema_version: 2, media_type, config, layers, annotations }.manifest()
}
