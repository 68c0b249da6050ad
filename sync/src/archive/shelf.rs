//! An archive that can be read anywhere: an uncompressed tar on disk, or a folder.
//!
//! Headers are walked by seeking; after that only what the documents name is read, and of that only what the store does
//! not have. A second ingest of the same bundle reads headers and documents.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use airdock_registry::oci::Digest;
use bytes::Bytes;

use super::diff_id::DiffId;
use super::intake::Intake;
use super::parts::{self, Compression, LAYER_HEAD, Layer, Parts, document_over, join};
use super::problem::{Problem, printable};
use super::role::{Role, digest_in_name};
use super::source::{Meter, Window};
use super::tar::{Kind, TarReader};
use super::{ahead, docker, inventories};
use super::{nested, scope};

/// Where a file lies.
#[derive(Clone, Debug)]
pub(crate) enum Spot {
    /// In the tar.
    Part { offset: u64, size: u64 },
    /// In the file system.
    File { path: PathBuf, size: u64 },
}

impl Spot {
    const fn size(&self) -> u64 {
        match self {
            Self::Part { size, .. } | Self::File { size, .. } => *size,
        }
    }
}

/// The files of an archive and where they lie.
pub(crate) struct Shelf<'a> {
    files: BTreeMap<String, Spot>,
    links: HashMap<String, String>,
    tar: Option<Window<'a>>,
    meter: &'a Meter<'a>,
    // Layers that several images share are looked at once.
    layers: HashMap<(String, Digest), Layer>,
    // Brought in ahead, and told as read by that.
    ahead: HashSet<Digest>,
}

/// Reads the tar in `window`.
pub(crate) fn read_tar<'a>(
    intake: &mut Intake<'a>,
    window: Window<'a>,
    file: &str,
    depth: usize,
) -> Result<(), Problem> {
    let mut shelf = Shelf::new(intake.meter);
    let mut walked = window.part(0, window.size());
    let mut tar = TarReader::new(&mut walked, intake.limits.entries);
    if window.is_device() {
        tar = tar.with_anything_behind();
    }
    while let Some(entry) = tar.next()? {
        match entry.kind {
            Kind::File => drop(shelf.files.insert(entry.path, Spot::Part { offset: entry.offset, size: entry.size })),
            Kind::Link(target) => drop(shelf.links.insert(entry.path, target)),
            Kind::Folder => {}
        }
    }
    shelf.tar = Some(window);
    shelf.interpret(intake, file, ": ", depth)
}

/// Reads a folder whose files were listed.
pub(crate) fn read_folder<'a>(
    intake: &mut Intake<'a>,
    files: BTreeMap<String, Spot>,
    folder: &str,
) -> Result<(), Problem> {
    let mut shelf = Shelf::new(intake.meter);
    shelf.files = files;
    shelf.interpret(intake, folder, "/", 0)
}

impl<'a> Shelf<'a> {
    fn new(meter: &'a Meter<'a>) -> Self {
        Self {
            files: BTreeMap::new(),
            links: HashMap::new(),
            tar: None,
            meter,
            layers: HashMap::new(),
            ahead: HashSet::new(),
        }
    }

    fn interpret(&mut self, intake: &mut Intake<'a>, file: &str, separator: &str, depth: usize) -> Result<(), Problem> {
        let claimed = self.claimed(intake)?;
        let mut tally = scope::Tally::default();
        scope::images(self, intake, file, separator, &mut tally)?;
        let names: Vec<String> = self.files.keys().filter(|path| !claimed.contains(*path)).cloned().collect();
        for path in names {
            let inner = format!("{file}{separator}{path}");
            match Role::of(&path) {
                Role::Text | Role::Provenance => {
                    let text = self.document(intake, &path, scope::MAX_TEXT);
                    scope::text(intake, &path, &inner, text)?;
                }
                Role::Inventory => {
                    inventories::take(intake, &path, &inner, |intake, limit| self.document(intake, &path, limit))?;
                }
                Role::Chart => tally.unpacked_chart(intake, &path, &inner),
                // Inside a layout other files mean nothing (image-layout.md).
                Role::Other | Role::Companion if !tally.is_within_image(&path) => {
                    let window = match self.open(&path) {
                        Ok(window) => window,
                        Err(problem) => {
                            intake.fail(&inner, problem)?;
                            continue;
                        }
                    };
                    tally.nested(nested::window(intake, window, &inner, depth + 1)?);
                }
                _ => {}
            }
        }
        tally.check()
    }

    /// The layers and configs that any `manifest.json` names: no archives of their own, whatever they are called.
    fn claimed(&mut self, intake: &mut Intake<'_>) -> Result<HashSet<String>, Problem> {
        let mut claimed = HashSet::new();
        for folder in self.folders_with("manifest.json") {
            let path = join(&folder, "manifest.json");
            // What is wrong with it is told when its images are read.
            let Ok(Some(bytes)) = self.document(intake, &path, intake.limits.document) else { continue };
            for item in docker::items(&bytes, &path).ok().flatten().into_iter().flatten() {
                claimed.extend(item.parts().map(|written| docker::entry_path(&folder, written)));
            }
        }
        Ok(claimed)
    }

    fn open(&self, path: &str) -> Result<Window<'a>, Problem> {
        match (self.files.get(path), &self.tar) {
            (Some(Spot::Part { offset, size }), Some(tar)) => Ok(tar.part(*offset, *size)),
            (Some(Spot::File { path, size }), _) => {
                let file = File::open(path).map_err(Problem::Read)?;
                Ok(Window::new(file, path, *size, self.meter))
            }
            _ => Err(Problem::missing(format!("`{}`", printable(path)))),
        }
    }

    /// Says that none of a blob needs reading, unless it was told as read already.
    fn pass_over(&mut self, window: &Window<'_>, digest: &Digest) -> Result<(), Problem> {
        if self.ahead.remove(digest) { Ok(()) } else { Ok(window.pass_over()?) }
    }

    fn resolve(&self, path: &str) -> Result<Option<String>, Problem> {
        let link = |path: &str| self.links.get(path).map(String::as_str);
        Ok(parts::one_hop(path, |path| self.files.contains_key(path), link)?.map(str::to_owned))
    }
}

impl Parts for Shelf<'_> {
    fn folders_with(&self, name: &str) -> Vec<String> {
        parts::folders_with(self.files.keys(), name)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, Problem> {
        Ok(self.resolve(path)?.and_then(|path| self.files.get(&path)).map(Spot::size))
    }

    fn document(&mut self, _: &mut Intake<'_>, path: &str, limit: u64) -> Result<Option<Bytes>, Problem> {
        let Some(path) = self.resolve(path)? else { return Ok(None) };
        let mut window = self.open(&path)?;
        if window.size() > limit {
            return Err(document_over(&path, window.size(), limit));
        }
        let mut bytes = Vec::new();
        window.read_to_end(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    fn ahead(&mut self, intake: &mut Intake<'_>, files: &[(String, Digest)], as_they_lie: bool) -> Result<(), Problem> {
        let mut wanted = Vec::new();
        let mut seen = HashSet::new();
        for (path, digest) in files {
            // What is wrong with one is said when it is asked for in turn.
            let Ok(Some(path)) = self.resolve(path) else { continue };
            let Ok(window) = self.open(&path) else { continue };
            let large = (ahead::LARGE..=intake.limits.layer).contains(&window.size());
            if !large || intake.has(digest, window.size()) || !seen.insert(*digest) {
                continue;
            }
            if as_they_lie || compression(&window, &path).is_ok_and(|found| found == Compression::None) {
                wanted.push((window.extent(), *digest));
            }
        }
        let first = files.first().map_or("", |(path, _)| path);
        intake.require_room(wanted.iter().map(|(extent, _)| extent.size()).sum(), first)?;
        self.ahead.extend(ahead::write(intake, wanted)?);
        Ok(())
    }

    fn blob(&mut self, intake: &mut Intake<'_>, path: &str, digest: Digest) -> Result<(), Problem> {
        let mut window = self.open(path)?;
        // Before asking whether it is there: a second place may serve where the first is damaged.
        if intake.to.locate(&window, path, digest, false)? {
            return Ok(window.pass_over()?);
        }
        if intake.has(&digest, window.size()) {
            return self.pass_over(&window, &digest);
        }
        intake.write(&mut window, path, Some(digest), None).map(|_| ())
    }

    fn named(&mut self, intake: &Intake<'_>, path: &str, diff_id: Digest) -> Result<Option<Layer>, Problem> {
        let Some(path) = self.resolve(path)? else { return Ok(None) };
        let window = self.open(&path)?;
        let (size, compression) = (window.size(), compression(&window, &path)?);
        let named = if compression == Compression::None { Some(diff_id) } else { digest_in_name(&path) };
        let here = named.filter(|named| intake.has(named, size));
        Ok(here.map(|digest| Layer { digest, size, compression }))
    }

    fn layer(&mut self, intake: &mut Intake<'_>, path: &str, diff_id: Digest) -> Result<Layer, Problem> {
        let path = self.resolve(path)?.ok_or_else(|| Problem::missing(format!("`{}`", printable(path))))?;
        let key = (path, diff_id);
        if let Some(layer) = self.layers.get(&key) {
            return Ok(*layer);
        }
        let path = key.0.as_str();
        let mut window = self.open(path)?;
        let (size, compression) = (window.size(), compression(&window, path)?);
        let layer = if compression == Compression::None {
            if intake.to.locate(&window, path, diff_id, false)? {
                window.pass_over()?;
            } else if intake.has(&diff_id, size) {
                self.pass_over(&window, &diff_id)?;
            } else {
                intake.write(&mut window, path, Some(diff_id), None)?;
            }
            Layer { digest: diff_id, size, compression }
        } else if let Some(named) = digest_in_name(path).filter(|named| *named != diff_id)
            && is_here(intake, &window, path, named, diff_id)?
        {
            window.pass_over()?;
            Layer { digest: named, size, compression }
        } else if intake.to.count(diff_id, size) {
            Layer { digest: diff_id, size, compression }
        } else {
            let mut unpacked = DiffId::new(intake.limits.allowance());
            let (digest, size) = intake.write(&mut window, path, None, Some(&mut unpacked))?;
            let found = unpacked.finish(path, digest)?;
            if found != diff_id {
                return Err(unpacks_to(path, diff_id, found));
            }
            intake.to.locate(&self.open(path)?, path, digest, true)?;
            Layer { digest, size, compression }
        };
        self.layers.insert(key, layer);
        Ok(layer)
    }
}

fn compression(window: &Window<'_>, path: &str) -> Result<Compression, Problem> {
    Compression::of(&window.head(LAYER_HEAD)?).map_err(|found| found.at(path))
}

/// Whether a compressed layer is in the store already under the digest its name gives, and unpacks to `diff_id`: that it is
/// there says nothing of which image it belongs to. Mounted, it is hashed on its way out, and whoever pulls it unpacks it.
fn is_here(
    intake: &mut Intake<'_>,
    window: &Window<'_>,
    path: &str,
    named: Digest,
    diff_id: Digest,
) -> Result<bool, Problem> {
    if intake.to.locate(window, path, named, false)? {
        return Ok(true);
    }
    let has = intake.has(&named, window.size());
    match has.then(|| intake.unpacked(&named, path)).transpose()?.flatten() {
        Some(found) if found != diff_id => Err(unpacks_to(path, diff_id, found)),
        found => Ok(found.is_some()),
    }
}

fn unpacks_to(path: &str, expected: Digest, found: Digest) -> Problem {
    Problem::Digest { entry: format!("{} (unpacked)", printable(path)), expected, found }
}
