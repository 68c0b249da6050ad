//! OCI image layouts (image-spec `image-layout.md`), as folders or in archives: containerd, BuildKit, Docker from 25 on,
//! podman, skopeo, oras, crane, regctl, and the bundles Airdock writes.
//!
//! Manifests keep their bytes and so their digests. It is normal that an index lacks some of its platforms: those that are
//! here are taken, the others are reported. A manifest whose own blobs are missing is not taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use airdock_registry::oci::{
    Descriptor, Digest, ImageConfig, MAX_MANIFEST_SIZE, Manifest, ManifestKind, MediaType, Platform, Reference,
};
use bytes::Bytes;
use serde::Deserialize;

use super::arrangement::Arrangement;
use super::layout_index::{Root, roots};
use super::{hauler, layers};
use crate::archive::found::Found;
use crate::archive::names::{Names, Settled};
use crate::archive::parts::{Folder, join};
use crate::problem::{Problem, Result};
use crate::text::{list, printable};

/// Manifests of one image: an index of indexes could name very many.
const MAX_MANIFESTS: usize = 20_000;
/// Manifests of one image stay in memory; an honest one has some kilobytes for each platform.
const MAX_MANIFEST_BYTES: usize = 32 * 1024 * 1024;
/// The empty config of artifacts (image-spec `manifest.md`), which tools leave out of layouts.
const EMPTY: &[u8] = b"{}";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutVersion {
    image_layout_version: String,
}

/// An image of a layout, with the configs of all its platforms, by which the images in `manifest.json` are matched to it.
pub(crate) struct Image {
    pub(crate) found: Found,
    pub(crate) configs: Vec<Digest>,
    /// All its layers are uncompressed tars.
    pub(crate) plain: bool,
    /// Its name was only derived: a full name in `manifest.json` replaces it.
    pub(crate) derived: bool,
}

/// What a layout holds.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) images: Vec<Image>,
    /// A `manifest.json` beside it adds nothing.
    pub(crate) complete: bool,
    /// What failed: `manifest.json` does not bring it in after all, unless its record of the image is the right one.
    pub(crate) failed: Vec<Failed>,
}

/// An image of a layout that does not go in.
pub(crate) struct Failed {
    /// Its name for messages.
    pub(crate) label: String,
    /// The config that its manifest names.
    pub(crate) config: Option<Digest>,
    pub(crate) problem: Problem,
}

/// Reads the layout in `folder`.
pub(crate) fn read(folder: &mut Folder<'_, '_>) -> Result<Layout> {
    let limit = folder.intake.limits.document;
    let mut path = join(folder.path, hauler::INDEX);
    if folder.parts.size(&path)?.is_none() {
        path = join(folder.path, "index.json");
    }
    let Some(index) = folder.parts.document(&path, limit)? else {
        return Err(Problem::Incomplete(
            "it has an `oci-layout` and no `index.json`, which says what its blobs are: the copy was not finished"
                .into(),
        ));
    };
    if let Some(version) = folder.parts.document(&join(folder.path, "oci-layout"), limit)? {
        let version = serde_json::from_slice(&version).map_err(|error| Problem::document("oci-layout", error));
        let LayoutVersion { image_layout_version: version } = version?;
        if version != "1.0.0" {
            let version = printable(&version);
            return Err(Problem::Unusable(format!("its image layout has version `{version}`, only `1.0.0` is known")));
        }
    }
    let mut layout = Layout::default();
    let mut held = 0;
    let is_zarf = is_zarf(folder)?;
    for root in roots(&index, &path, is_zarf)?.into_iter().take(folder.intake.limits.images + 1) {
        let label = root.names.label(&root.digest);
        layout.complete |= root.names.complete;
        // A layout may list content that is no manifest, and is read nevertheless.
        if let Some(kind) = root.media_type.as_ref().filter(|kind| kind.manifest_kind() == ManifestKind::Other) {
            let message = format!("`{label}` is no image and no artifact but `{kind}`; it is left out");
            // Asked for, so that it is not told of twice.
            folder.parts.size(&Arrangement::Layout(folder.path).blob(&root.digest))?;
            folder.intake.warn(folder.shown, message);
            continue;
        }
        let (at, digest) = (Arrangement::Layout(folder.path), root.digest);
        match image(folder, at, root) {
            Ok(image) => {
                held += image.found.manifest_bytes();
                folder.intake.require_memory(held)?;
                layout.images.push(image);
            }
            Err(problem) if problem.is_fatal() => return Err(problem),
            Err(problem) => {
                let config = config_of(folder, &at.manifest(&digest));
                layout.failed.push(Failed { label, config, problem });
            }
        }
    }
    Ok(layout)
}

/// Whether the layout is the `images` of a zarf package.
fn is_zarf(folder: &Folder<'_, '_>) -> Result<bool> {
    let Some(package) = folder.path.strip_suffix("images") else { return Ok(false) };
    Ok(folder.parts.size(&join(package.trim_end_matches('/'), "zarf.yaml"))?.is_some())
}

/// The config that a manifest names, if the manifest can be read.
fn config_of(folder: &Folder<'_, '_>, path: &str) -> Option<Digest> {
    let bytes = folder.parts.document(path, MAX_MANIFEST_SIZE as u64).ok()??;
    Some(Manifest::parse(bytes, None).ok()?.config()?.digest)
}

/// Takes one manifest and everything it names, in any arrangement of blobs.
pub(crate) fn image(folder: &mut Folder<'_, '_>, at: Arrangement<'_>, root: Root) -> Result<Image> {
    let seen = HashMap::new();
    let mut walk = Walk { folder, at, depth: 0, seen, taken: Vec::new(), bytes: 0, tree: Tree::default() };
    match walk.manifest(root.digest, root.size, root.media_type, false)? {
        None => walk.image(root.names, root.digest),
        Some(missing) => Err(Problem::Missing(missing)),
    }
}

/// What is missing of one manifest and what it names; `None` when it is whole.
type Missing = Option<String>;

#[derive(Default)]
struct Tree {
    configs: Vec<Digest>,
    blobs: BTreeMap<Digest, u64>,
    platforms: Vec<String>,
    /// Platforms that indexes name and that are not here.
    missing: Vec<String>,
    /// Other manifests that indexes name and that are not here: attestations and indexes.
    missing_others: BTreeSet<Digest>,
    /// Layers that are not here, because only their vendor may give them out: where to get them.
    elsewhere: BTreeMap<Digest, String>,
    compressed: bool,
}

impl Tree {
    /// The note about what is missing.
    fn note(&self) -> Option<String> {
        const NAMED: usize = 3;
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(list(&self.missing));
        }
        parts.extend(self.missing_others.iter().take(NAMED).map(|digest| format!("`{digest}`")));
        let more = match self.missing_others.len().saturating_sub(NAMED) {
            0 => String::new(),
            1 => " and 1 more manifest".to_owned(),
            more => format!(" and {more} more manifests"),
        };
        let parts = parts.join(", ");
        (!parts.is_empty()).then(|| format!("without {parts}{more}, which the archive does not hold"))
    }
}

struct Walk<'w, 'f, 'a> {
    folder: &'w mut Folder<'f, 'a>,
    at: Arrangement<'w>,
    /// Indexes within indexes.
    depth: usize,
    seen: HashMap<Digest, Missing>,
    taken: Vec<(Digest, Arc<Manifest>)>,
    bytes: usize,
    tree: Tree,
}

impl Walk<'_, '_, '_> {
    /// Takes a manifest and everything it names, children first. Each digest is read once, however many name it. `stated`:
    /// an index says for which platform it is.
    fn manifest(
        &mut self,
        digest: Digest,
        size: Option<u64>,
        kind: Option<MediaType>,
        stated: bool,
    ) -> Result<Missing> {
        if let Some(missing) = self.seen.get(&digest) {
            return Ok(missing.clone());
        }
        let depth = self.folder.intake.limits.depth;
        if self.depth > depth || self.seen.len() >= MAX_MANIFESTS {
            let limit = format_args!("{depth} levels, {MAX_MANIFESTS} manifests");
            let cure = "raise `ingest.limits.depth` if you trust the image";
            return Err(Problem::over("the nesting or number of its manifests", limit, cure));
        }
        // Found by a manifest that names itself, directly or not.
        self.seen.insert(digest, Some(format!("manifest `{digest}`, which names itself")));
        let missing = match self.bytes(&digest, size)? {
            None => Some(format!("manifest `{digest}`")),
            Some(bytes) => {
                let manifest = Manifest::parse(bytes, kind).map_err(|source| Problem::Manifest { digest, source })?;
                let missing = match manifest.media_type().manifest_kind() {
                    ManifestKind::Index => self.index(digest, &manifest)?,
                    _ => self.blobs(digest, &manifest, stated)?,
                };
                if missing.is_none() {
                    self.taken.push((digest, Arc::new(manifest)));
                }
                missing
            }
        };
        self.seen.insert(digest, missing.clone());
        Ok(missing)
    }

    fn bytes(&mut self, digest: &Digest, size: Option<u64>) -> Result<Option<Bytes>> {
        let path = self.at.manifest(digest);
        if self.bytes > MAX_MANIFEST_BYTES {
            let limit = format_args!("{MAX_MANIFEST_BYTES} bytes");
            return Err(Problem::over("all manifests of the image together", limit, "save fewer platforms at a time"));
        }
        let Some(bytes) = self.folder.parts.document(&path, MAX_MANIFEST_SIZE as u64)? else { return Ok(None) };
        check(&path, &bytes, digest, size)?;
        self.bytes += bytes.len();
        Ok(Some(bytes))
    }

    fn index(&mut self, digest: Digest, manifest: &Manifest) -> Result<Missing> {
        // BuildKit's cache is an index of layers.
        if let Some(missing) = self.blobs(digest, manifest, true)? {
            return Ok(Some(missing));
        }
        let mut whole = manifest.blobs().count();
        let mut first_missing = None;
        self.depth += 1;
        for (child, platform) in manifest.children() {
            let shown = platform.filter(|platform| platform.os != "unknown").map(shown);
            let (size, kind) = (Some(child.size), Some(child.media_type.clone()));
            match self.manifest(child.digest, size, kind, platform.is_some())? {
                None => {
                    whole += 1;
                    note(&mut self.tree.platforms, shown);
                }
                Some(missing) => {
                    match shown {
                        Some(_) => note(&mut self.tree.missing, shown),
                        None => drop(self.tree.missing_others.insert(child.digest)),
                    }
                    first_missing.get_or_insert(missing);
                }
            }
        }
        self.depth -= 1;
        Ok(first_missing.filter(|_| whole == 0))
    }

    /// Which of these blobs are not here. Asked first, so that a manifest without its layers costs nothing.
    fn absent(&mut self, blobs: &[&Descriptor]) -> Result<Missing> {
        let Folder { parts, intake, .. } = &mut *self.folder;
        let mut missing = Vec::new();
        for blob in blobs {
            let path = self.at.blob(&blob.digest);
            match parts.size(&path)? {
                Some(found) if found != blob.size => {
                    return Err(Problem::Size { entry: path, expected: blob.size, found });
                }
                Some(_) => {}
                None if intake.has(&blob.digest, blob.size) => {}
                None if blob.digest.algorithm().digest(EMPTY) == blob.digest => {
                    let found = EMPTY.len() as u64;
                    if blob.size != found {
                        return Err(Problem::Size { entry: path, expected: blob.size, found });
                    }
                    intake.put(EMPTY, "{}", blob.digest)?;
                }
                None => missing.push(format!("`{}`", blob.digest)),
            }
        }
        let plural = if missing.len() > 1 { "blobs" } else { "blob" };
        Ok((!missing.is_empty()).then(|| format!("{plural} {}", list(&missing))))
    }

    /// Brings in those of these blobs that are among the parts.
    fn bring(&mut self, blobs: &[&Descriptor]) -> Result<()> {
        let Folder { parts, intake, .. } = &mut *self.folder;
        let all: Vec<_> = blobs.iter().map(|blob| (self.at.blob(&blob.digest), blob.digest)).collect();
        parts.ahead(intake, &all, true)?;
        for (blob, (path, _)) in blobs.iter().zip(&all) {
            if parts.size(path)?.is_some() {
                parts.blob(intake, path, blob.digest)?;
            }
            self.tree.blobs.insert(blob.digest, blob.size);
        }
        Ok(())
    }

    fn blobs(&mut self, digest: Digest, manifest: &Manifest, stated: bool) -> Result<Missing> {
        let (mut here, mut foreign) = (Vec::new(), Vec::new());
        for reference in manifest.references() {
            match reference {
                Reference::Blob(blob) => here.push(blob),
                Reference::ForeignBlob(blob) => foreign.push(blob),
                Reference::Manifest(..) => {}
            }
        }
        if let Some(missing) = self.absent(&here)? {
            return Ok(Some(missing));
        }
        self.fits(digest, manifest, stated)?;
        for layer in foreign {
            if self.is_here(layer)? {
                here.push(layer);
            } else {
                self.tree.elsewhere.insert(layer.digest, layers::vendor(manifest, &layer.digest));
            }
        }
        self.bring(&here)?;
        let is_compressed = |layer: &&Descriptor| layer.media_type.as_str() != MediaType::IMAGE_LAYER;
        self.tree.compressed |= layers::of(manifest).iter().any(is_compressed);
        Ok(None)
    }

    /// Checks the manifest of a container image against its config, before anything is written.
    fn fits(&mut self, digest: Digest, manifest: &Manifest, stated: bool) -> Result<()> {
        let Some(config) = manifest.config().filter(|config| ImageConfig::is(&config.media_type)) else {
            return Ok(());
        };
        self.tree.configs.push(config.digest);
        let layers = layers::of(manifest);
        let is_image = layers::are_of_an_image(&layers);
        if stated && !is_image {
            return Ok(());
        }
        let Folder { parts, intake, .. } = &mut *self.folder;
        let path = self.at.blob(&config.digest);
        let Some(bytes) = layers::config(*parts, intake, &path, config)? else { return Ok(()) };
        match ImageConfig::parse(&bytes) {
            Ok(parsed) => {
                if is_image {
                    layers::check(*parts, digest, &layers, &parsed, |layer| self.at.blob(layer))?;
                }
                if !stated {
                    note(&mut self.tree.platforms, parsed.platform().as_ref().map(shown));
                }
            }
            Err(error) if is_image && !layers.is_empty() => return Err(Problem::document(&path, error)),
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether a layer that may be absent is here.
    fn is_here(&self, layer: &Descriptor) -> Result<bool> {
        let path = self.at.blob(&layer.digest);
        match self.folder.parts.size(&path)? {
            Some(found) if found != layer.size => Err(Problem::Size { entry: path, expected: layer.size, found }),
            Some(_) => Ok(true),
            None => Ok(self.folder.intake.has(&layer.digest, layer.size)),
        }
    }

    fn image(self, names: Names, root: Digest) -> Result<Image> {
        let Self { folder, at, taken, tree, .. } = self;
        let Some((_, manifest)) = taken.last() else { return Err(Problem::Missing("its manifest".into())) };
        // A chart, packed by Helm or oras, has its name in its config.
        let chart = manifest.config().filter(|config| config.media_type.as_str() == MediaType::HELM_CONFIG);
        let chart = match chart {
            Some(config) => folder.parts.document(&at.blob(&config.digest), folder.intake.limits.document)?,
            None => None,
        };
        let settled = names.settle(root, manifest, chart.as_deref(), folder.intake.base);
        let Settled { names, mut notes, beside, derived } = settled;
        notes.extend(tree.note());
        notes.extend(layers::elsewhere(&tree.elsewhere));
        let manifests = taken.iter().map(|(_, manifest)| manifest.bytes().len() as u64);
        let size = tree.blobs.values().copied().chain(manifests).fold(0, u64::saturating_add);
        let found = Found {
            file: folder.shown.to_owned(),
            names,
            manifests: taken,
            root,
            platforms: tree.platforms,
            size,
            notes,
            beside,
            lost_digest: false,
        };
        Ok(Image { found, configs: tree.configs, plain: !tree.compressed, derived })
    }
}

fn shown(platform: &Platform) -> String {
    printable(&platform.to_string())
}

/// Adds a platform for the report. An honest index has some dozens.
fn note(platforms: &mut Vec<String>, platform: Option<String>) {
    if let Some(platform) = platform.filter(|platform| platforms.len() < 64 && !platforms.contains(platform)) {
        platforms.push(platform);
    }
}

/// Checks a document against its digest and the size in its descriptor.
fn check(path: &str, bytes: &[u8], expected: &Digest, size: Option<u64>) -> Result<()> {
    let found = expected.algorithm().digest(bytes);
    if found != *expected {
        return Err(Problem::digest(path, *expected, found));
    }
    match size {
        Some(expected) if expected != bytes.len() as u64 => {
            Err(Problem::Size { entry: printable(path), expected, found: bytes.len() as u64 })
        }
        _ => Ok(()),
    }
}
