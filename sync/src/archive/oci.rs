//! OCI image layouts (image-spec `image-layout.md`), as folders or in archives: containerd, BuildKit, Docker from 25 on,
//! podman, skopeo, oras, crane, regctl, and the bundles Airdock writes.
//!
//! Manifests keep their bytes and so their digests. An index whose other platforms are absent is normal: what is here is
//! taken, what is not is reported. A manifest whose own blobs are absent is not taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use airdock_registry::oci::{Digest, Manifest, ManifestKind, MediaType, Platform, Reference};
use bytes::Bytes;
use serde::Deserialize;

use super::arrangement::Arrangement;
use super::docker::Config;
use super::hauler;
use super::intake::{Found, Intake};
use super::names::{self, Names};
use super::oci_index::{Root, roots};
use super::parts::{Parts, join};
use super::problem::{Problem, printable};

/// Manifests in one layout: an index of indexes could name very many.
const MAX_MANIFESTS: usize = 20_000;
/// Manifests of one image wait in memory; an honest one has some kilobytes per platform.
const MAX_MANIFEST_BYTES: usize = 32 * 1024 * 1024;
/// Configs are read to tell the platform; `docker save` puts the whole build history in them.
pub(crate) const MAX_CONFIG: u64 = 8 * 1024 * 1024;
/// The empty object that artifacts have for a config (image-spec `manifest.md`); tools leave it out of layouts.
const EMPTY: &[u8] = b"{}";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutVersion {
    image_layout_version: String,
}

/// An image of a layout and the configs of all its platforms, by which `manifest.json` is matched to it.
pub(crate) struct Image {
    pub(crate) found: Found,
    pub(crate) configs: Vec<Digest>,
    /// Every layer of it is an uncompressed tar.
    pub(crate) plain: bool,
    /// Its name was only derived: a full name in `manifest.json` goes before it.
    pub(crate) derived: bool,
}

/// What a layout holds.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) images: Vec<Image>,
    /// A `manifest.json` beside it says nothing that it does not say better.
    pub(crate) complete: bool,
    /// Names of images that failed, so that `manifest.json` does not bring them in by the back door.
    pub(crate) failed: Vec<String>,
}

/// Reads the layout in `folder`.
pub(crate) fn read(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    folder: &str,
    file: &str,
) -> Result<Layout, Problem> {
    let limit = intake.limits.document;
    let mut path = join(folder, hauler::INDEX);
    if parts.size(&path)?.is_none() {
        path = join(folder, "index.json");
    }
    let Some(index) = parts.document(intake, &path, limit)? else { return Err(Problem::missing("`index.json`")) };
    if let Some(version) = parts.document(intake, &join(folder, "oci-layout"), limit)? {
        let version: LayoutVersion =
            serde_json::from_slice(&version).map_err(|error| Problem::document("oci-layout", error))?;
        if version.image_layout_version != "1.0.0" {
            let version = printable(&version.image_layout_version);
            return Err(Problem::Unusable(format!("its image layout has version `{version}`, only `1.0.0` is known")));
        }
    }
    let mut layout = Layout::default();
    for Root { digest, size, media_type, names } in roots(&index, &path)?.into_iter().take(intake.limits.images) {
        let label = names.label(&digest);
        layout.complete |= names.are_complete();
        // A layout may list what is no manifest at all, and must then be read all the same.
        if media_type.as_ref().is_some_and(|kind| kind.manifest_kind() == ManifestKind::Other) {
            intake.warn(
                file,
                format!(
                    "`{label}` is no image and no artifact but `{}`; it is left out",
                    media_type.map_or_else(String::new, |kind| kind.to_string())
                ),
            );
            continue;
        }
        let root = Root { digest, size, media_type, names };
        match image(parts, intake, Arrangement::Layout(folder), root, file) {
            Ok(image) => layout.images.push(image),
            Err(problem) => {
                intake.fail(&format!("{file}: {label}"), problem)?;
                layout.failed.push(label);
            }
        }
    }
    Ok(layout)
}

/// Takes one manifest and everything it names, wherever its blobs lie.
pub(crate) fn image(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    at: Arrangement<'_>,
    root: Root,
    file: &str,
) -> Result<Image, Problem> {
    let mut walk = Walk { parts, at, seen: HashMap::new(), taken: Vec::new(), bytes: 0, tree: Tree::default() };
    match walk.manifest(intake, root.digest, root.size, root.media_type, None, 0)? {
        State::Whole => walk.image(intake, root.names, file, root.digest),
        State::Absent(what) => Err(Problem::missing(what)),
    }
}

/// What is known of one manifest.
#[derive(Clone)]
enum State {
    Whole,
    /// Not here, or not all of it; what is missing.
    Absent(String),
}

#[derive(Default)]
struct Tree {
    configs: Vec<Digest>,
    blobs: BTreeMap<Digest, u64>,
    platforms: Vec<String>,
    /// Platforms that indexes name and that are not here.
    missing: Vec<String>,
    /// What else they name that is not here: attestations, and indexes.
    missing_others: BTreeSet<Digest>,
    compressed: bool,
}

impl Tree {
    /// What is not here, for the report.
    fn note(&self) -> Option<String> {
        const NAMED: usize = 3;
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(names::list(&self.missing));
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

struct Walk<'w> {
    parts: &'w mut dyn Parts,
    at: Arrangement<'w>,
    seen: HashMap<Digest, State>,
    taken: Vec<(Digest, Manifest)>,
    bytes: usize,
    tree: Tree,
}

impl Walk<'_> {
    /// Takes a manifest and everything it names, children first. Each digest is looked at once, however many name it.
    fn manifest(
        &mut self,
        intake: &mut Intake<'_>,
        digest: Digest,
        size: Option<u64>,
        kind: Option<MediaType>,
        platform: Option<&Platform>,
        depth: usize,
    ) -> Result<State, Problem> {
        if let Some(state) = self.seen.get(&digest) {
            return Ok(state.clone());
        }
        if depth > intake.limits.depth || self.seen.len() >= MAX_MANIFESTS {
            return Err(Problem::OverLimit {
                what: "the nesting or number of its manifests".into(),
                limit: format!("{} levels, {MAX_MANIFESTS} manifests", intake.limits.depth),
                cure: "raise `ingest.limits.depth` if the image is honest",
            });
        }
        // A manifest that names itself, directly or not, finds itself here.
        self.seen.insert(digest, State::Absent(format!("manifest `{digest}`, which names itself")));
        let state = match self.bytes(intake, &digest, size)? {
            None => State::Absent(format!("manifest `{digest}`")),
            Some(bytes) => {
                let manifest = Manifest::parse(bytes, kind).map_err(|source| Problem::Manifest { digest, source })?;
                let state = match manifest.media_type().manifest_kind() {
                    ManifestKind::Index => self.index(intake, &manifest, depth)?,
                    _ => self.blobs(intake, &manifest, platform)?,
                };
                if matches!(state, State::Whole) {
                    self.taken.push((digest, manifest));
                }
                state
            }
        };
        self.seen.insert(digest, state.clone());
        Ok(state)
    }

    fn bytes(&mut self, intake: &mut Intake<'_>, digest: &Digest, size: Option<u64>) -> Result<Option<Bytes>, Problem> {
        let path = self.at.manifest(digest);
        if self.bytes > MAX_MANIFEST_BYTES {
            return Err(Problem::OverLimit {
                what: "all manifests of the image together".into(),
                limit: format!("{MAX_MANIFEST_BYTES} bytes"),
                cure: "save fewer platforms at a time",
            });
        }
        let Some(bytes) = self.parts.document(intake, &path, airdock_registry::oci::MAX_MANIFEST_SIZE as u64)? else {
            return Ok(None);
        };
        check(&path, &bytes, digest, size)?;
        self.bytes += bytes.len();
        Ok(Some(bytes))
    }

    fn index(&mut self, intake: &mut Intake<'_>, manifest: &Manifest, depth: usize) -> Result<State, Problem> {
        let mut whole = 0;
        let mut first_missing = None;
        for (child, platform) in manifest.children() {
            let kind = Some(child.media_type.clone());
            let shown =
                platform.filter(|platform| platform.os != "unknown").map(|platform| printable(&platform.to_string()));
            match self.manifest(intake, child.digest, Some(child.size), kind, platform, depth + 1)? {
                State::Whole => {
                    whole += 1;
                    note(&mut self.tree.platforms, shown);
                }
                State::Absent(what) => {
                    match shown {
                        Some(_) => note(&mut self.tree.missing, shown),
                        None => drop(self.tree.missing_others.insert(child.digest)),
                    }
                    first_missing.get_or_insert(what);
                }
            }
        }
        Ok(match first_missing {
            Some(what) if whole == 0 => State::Absent(what),
            _ => State::Whole,
        })
    }

    fn blobs(
        &mut self,
        intake: &mut Intake<'_>,
        manifest: &Manifest,
        platform: Option<&Platform>,
    ) -> Result<State, Problem> {
        // First whether all are here, so that a manifest without its layers costs nothing.
        let mut missing = Vec::new();
        for reference in manifest.references() {
            let Reference::Blob(blob) = reference else { continue };
            let path = self.at.blob(&blob.digest);
            match self.parts.size(&path)? {
                Some(found) if found != blob.size => {
                    return Err(Problem::Size { entry: path, expected: blob.size, found });
                }
                Some(_) => {}
                None if intake.has(&blob.digest, blob.size) => {}
                None if is_empty(&blob.digest) => intake.put(EMPTY, "{}", blob.digest)?,
                None => missing.push(format!("`{}`", blob.digest)),
            }
        }
        if !missing.is_empty() {
            let plural = if missing.len() > 1 { "blobs" } else { "blob" };
            return Ok(State::Absent(format!("{plural} {}", names::list(&missing))));
        }
        let is_image = manifest.config().is_some_and(|config| names::is_image_config(&config.media_type));
        if is_image && manifest.blobs().count() < 2 {
            return Err(Problem::Unusable("the image has no layers; save it again".into()));
        }
        let all = manifest.blobs().map(|blob| (self.at.blob(&blob.digest), blob.digest)).collect::<Vec<_>>();
        self.parts.ahead(intake, &all, true)?;
        for blob in manifest.blobs() {
            let path = self.at.blob(&blob.digest);
            if self.parts.size(&path)?.is_some() {
                self.parts.blob(intake, &path, blob.digest)?;
            }
            self.tree.blobs.insert(blob.digest, blob.size);
            let is_config = manifest.config().is_some_and(|config| config.digest == blob.digest);
            self.tree.compressed |= !is_config && blob.media_type.as_str() != MediaType::IMAGE_LAYER;
        }
        if let Some(config) = manifest.config().filter(|_| is_image) {
            self.tree.configs.push(config.digest);
            if platform.is_none()
                && let Some(bytes) = self.parts.document(intake, &self.at.blob(&config.digest), MAX_CONFIG)?
            {
                note(&mut self.tree.platforms, Config::parse(&bytes).ok().and_then(|config| config.platform()));
            }
        }
        Ok(State::Whole)
    }

    fn image(&mut self, intake: &mut Intake<'_>, names: Names, file: &str, root: Digest) -> Result<Image, Problem> {
        let taken = std::mem::take(&mut self.taken);
        let tree = std::mem::take(&mut self.tree);
        let manifest = taken.last().map(|(_, manifest)| manifest).ok_or_else(|| Problem::missing("its manifest"))?;
        // A chart, packed by Helm or oras, says its name in its config.
        let chart = manifest.config().filter(|config| config.media_type.as_str() == MediaType::HELM_CONFIG);
        let chart = match chart {
            Some(config) => self.parts.document(intake, &self.at.blob(&config.digest), intake.limits.document)?,
            None => None,
        };
        let settled = names.settle(root, manifest, chart.as_deref(), intake.naming.base.as_ref());
        let mut notes = settled.notes;
        notes.extend(tree.note());
        let size = tree.blobs.values().sum::<u64>()
            + taken.iter().map(|(_, manifest)| manifest.bytes().len() as u64).sum::<u64>();
        let platforms = tree.platforms;
        let beside = settled.beside;
        let found = Found {
            file: file.to_owned(),
            places: settled.places,
            manifests: taken,
            root,
            platforms,
            size,
            notes,
            beside,
            lost_digest: false,
        };
        Ok(Image { found, configs: tree.configs, plain: !tree.compressed, derived: settled.derived })
    }
}

/// Adds a platform to what the report shows, of which an honest index has some dozens.
fn note(platforms: &mut Vec<String>, platform: Option<String>) {
    if let Some(platform) = platform.filter(|platform| platforms.len() < 64 && !platforms.contains(platform)) {
        platforms.push(platform);
    }
}

fn is_empty(digest: &Digest) -> bool {
    digest.algorithm().digest(EMPTY) == *digest
}

/// Whether a document is what its name and descriptor say.
pub(crate) fn check(path: &str, bytes: &[u8], expected: &Digest, size: Option<u64>) -> Result<(), Problem> {
    let found = expected.algorithm().digest(bytes);
    if found != *expected {
        return Err(Problem::Digest { entry: printable(path), expected: *expected, found });
    }
    match size {
        Some(expected) if expected != bytes.len() as u64 => {
            Err(Problem::Size { entry: printable(path), expected, found: bytes.len() as u64 })
        }
        _ => Ok(()),
    }
}
