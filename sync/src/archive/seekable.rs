//! A seekable archive: an uncompressed tar on disk, or a folder.
//!
//! Headers are walked by seeking. After that only what the documents name is read, and of that only what the sink lacks.
//! A second ingest of the same bundle reads headers and documents only.

use std::collections::{HashMap, HashSet};

use airdock_registry::oci::Digest;
use bytes::Bytes;

use super::files::{Files, Taken};
use super::found::Seen;
use super::intake::Intake;
use super::parts::{self, Compression, LAYER_HEAD, Layer, Parts};
use super::role::{Role, digest_in_name};
use super::{ahead, inventories, scope};
use crate::input::diff_id::DiffId;
use crate::input::folder::{Listed, Listing};
use crate::input::regular;
use crate::input::source::Window;
use crate::input::tar::TarReader;
use crate::problem::{Problem, Result};
use crate::progress::Meter;
use crate::text::printable;

/// As many bytes as a layer has that is unpacked to be held against its config.
const WHOLE: usize = parts::UNPACKED as usize;

/// Reads an entry that may be an archive of its own.
pub(crate) type ReadNested = for<'a> fn(&mut Intake<'a>, Window<'a>, &str) -> Result<Seen>;

/// Where a file is.
enum Spot {
    Tar { offset: u64, size: u64 },
    FileSystem(Listed),
}

/// The files of an archive and where they are.
struct Seekable<'a> {
    files: Files<Spot>,
    tar: Option<Window<'a>>,
    meter: &'a Meter<'a>,
    /// Layers that were read, because images share them.
    layers: HashMap<(String, Digest), Layer>,
    /// Blobs that were written ahead and are counted as read already.
    ahead: HashSet<Digest>,
}

/// Reads the tar in `window`.
pub(crate) fn read_tar<'a>(intake: &mut Intake<'a>, window: Window<'a>, file: &str, nested: ReadNested) -> Result<()> {
    let mut found = Files::default();
    let mut walked = window.part(0, window.size());
    let mut tar = TarReader::new(&mut walked, intake.limits.entries);
    tar.anything_after = window.is_device;
    while let Some(entry) = tar.next()? {
        intake.count_entry()?;
        if found.take(intake, &entry, file) != Taken::NoFile {
            found.insert(entry.path, Spot::Tar { offset: entry.offset, size: entry.size });
        }
    }
    found.settle(intake, file);
    Seekable::new(found, Some(window), intake.meter).interpret(intake, file, ": ", nested)
}

/// Reads a folder with these files.
pub(crate) fn read_folder(intake: &mut Intake<'_>, listing: Listing, folder: &str, nested: ReadNested) -> Result<()> {
    let files = listing.files.into_iter().map(|(name, file)| (name, Spot::FileSystem(file)));
    let found = Files::of(files, listing.aliases);
    Seekable::new(found, None, intake.meter).interpret(intake, folder, "/", nested)
}

impl<'a> Seekable<'a> {
    fn new(files: Files<Spot>, tar: Option<Window<'a>>, meter: &'a Meter<'a>) -> Self {
        Self { files, tar, meter, layers: HashMap::new(), ahead: HashSet::new() }
    }

    fn interpret(mut self, intake: &mut Intake<'a>, file: &str, separator: &str, nested: ReadNested) -> Result<()> {
        let mut tally = scope::Tally::default();
        scope::images(&mut self, intake, file, separator, &mut tally)?;
        // A file is looked into once, whatever names it has, and not if it is a part of an image.
        let mut seen: HashSet<String> = tally.claimed.iter().filter_map(|path| self.resolve(path)).collect();
        for path in self.files.names() {
            if tally.claimed.contains(&path) {
                continue;
            }
            let inner = format!("{file}{separator}{path}");
            match Role::of(&path) {
                Role::Text | Role::Provenance => {
                    let text = self.document(&path, scope::MAX_TEXT);
                    scope::text(intake, &path, &inner, text)?;
                }
                Role::Inventory => {
                    inventories::take(intake, &path, &inner, |limit| self.document(&path, limit))?;
                }
                Role::Chart => tally.unpacked_chart(intake, &path, &inner),
                Role::Other | Role::Companion if self.resolve(&path).is_some_and(|file| seen.insert(file)) => {
                    match self.open(&path) {
                        Ok(window) => {
                            let found = nested(intake, window, &inner)?;
                            tally.looked_into(intake, &path, &inner, found);
                        }
                        Err(problem) => intake.fail(&inner, problem)?,
                    }
                }
                _ => {}
            }
        }
        tally.check()
    }

    fn open(&self, path: &str) -> Result<Window<'a>> {
        match (self.files.find(path), &self.tar) {
            (Some((_, Spot::Tar { offset, size })), Some(tar)) => Ok(tar.part(*offset, *size)),
            (Some((name, Spot::FileSystem(Listed { path, size }))), _) => {
                // It was listed a while ago: something else may be in its place.
                let (file, _) = regular::beside(path).map_err(|source| Problem::unreadable(name, source))?;
                Ok(Window::new(file, path, *size, self.meter))
            }
            _ => Err(Problem::missing(path)),
        }
    }

    /// Brings a file in whose digest is known.
    fn bring(&mut self, intake: &mut Intake<'_>, window: &mut Window<'_>, path: &str, digest: Digest) -> Result<()> {
        // Even if the sink has it: a second place may serve where the first is damaged.
        if intake.locate(window, path, digest, false)? {
            return Ok(window.pass_over()?);
        }
        if intake.has(&digest, window.size()) {
            // What was written ahead is counted as read already.
            return if self.ahead.remove(&digest) { Ok(()) } else { Ok(window.pass_over()?) };
        }
        intake.write(window, path, Some(digest), None).map(drop)
    }

    /// The file that has this name.
    fn resolve(&self, path: &str) -> Option<String> {
        self.files.find(path).map(|(path, _)| path.clone())
    }
}

impl Parts for Seekable<'_> {
    fn folders_with(&self, name: &str) -> Vec<String> {
        self.files.folders_with(name)
    }

    fn unasked(&self) -> Vec<String> {
        self.files.unasked()
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.files.find(path).map(|(_, Spot::Tar { size, .. } | Spot::FileSystem(Listed { size, .. }))| *size))
    }

    fn document(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let Some(path) = self.resolve(path) else { return Ok(None) };
        let mut window = self.open(&path)?;
        let size = window.size();
        parts::document(&mut window, &path, size, limit).map(Some)
    }

    fn ahead(&mut self, intake: &mut Intake<'_>, files: &[(String, Digest)], stored: bool) -> Result<()> {
        if intake.to.locates_only() {
            return Ok(());
        }
        let mut wanted = Vec::new();
        let mut seen = HashSet::new();
        for (path, digest) in files {
            // Problems are reported when the file is asked for in turn.
            let Some(path) = self.resolve(path) else { continue };
            let Ok(window) = self.open(&path) else { continue };
            let large = (ahead::LARGE..=intake.limits.layer).contains(&window.size());
            if !large || intake.has(digest, window.size()) || !seen.insert(*digest) {
                continue;
            }
            if stored || compression(&window, &path).is_ok_and(|found| found == Compression::None) {
                wanted.push((window.extent.clone(), *digest));
            }
        }
        let first = files.first().map_or("", |(path, _)| path);
        intake.require_room(wanted.iter().map(|(extent, _)| extent.size()).fold(0, u64::saturating_add), first)?;
        self.ahead.extend(ahead::write(intake.to, intake.meter, wanted)?);
        Ok(())
    }

    fn blob(&mut self, intake: &mut Intake<'_>, path: &str, digest: Digest) -> Result<()> {
        let path = self.resolve(path).ok_or_else(|| Problem::missing(path))?;
        let mut window = self.open(&path)?;
        self.bring(intake, &mut window, &path, digest)
    }

    fn named(&mut self, intake: &Intake<'_>, path: &str, diff_id: Digest) -> Result<Option<Layer>> {
        let Some(path) = self.resolve(path) else { return Ok(None) };
        let window = self.open(&path)?;
        let (size, compression) = (window.size(), compression(&window, &path)?);
        let named = if compression == Compression::None { Some(diff_id) } else { digest_in_name(&path) };
        let here = named.filter(|named| intake.has(named, size));
        Ok(here.map(|digest| Layer { digest, size, compression }))
    }

    fn unpacked(&mut self, path: &str, digest: Digest) -> Result<Option<Digest>> {
        let Some(path) = self.resolve(path) else { return Ok(None) };
        let window = self.open(&path)?;
        if window.size() <= parts::UNPACKED {
            return Ok(parts::unpacked(&window.head(WHOLE)?, digest));
        }
        let is_plain = Compression::of(&window.head(LAYER_HEAD)?) == Ok(Compression::None);
        Ok(is_plain.then_some(digest))
    }

    fn layer(&mut self, intake: &mut Intake<'_>, path: &str, diff_id: Digest) -> Result<Layer> {
        let path = self.resolve(path).ok_or_else(|| Problem::missing(path))?;
        let key = (path, diff_id);
        if let Some(layer) = self.layers.get(&key) {
            return Ok(*layer);
        }
        let path = key.0.as_str();
        let mut window = self.open(path)?;
        let (size, compression) = (window.size(), compression(&window, path)?);
        let digest = if compression == Compression::None {
            self.bring(intake, &mut window, path, diff_id)?;
            diff_id
        } else if let Some(named) = digest_in_name(path).filter(|named| *named != diff_id)
            && is_here(intake, &window, path, named, diff_id)?
        {
            window.pass_over()?;
            named
        } else if intake.to.estimate(diff_id, size) {
            diff_id
        } else {
            let mut unpacked = DiffId::new(intake.limits.allowance());
            let (digest, _) = intake.write(&mut window, path, None, Some(&mut unpacked))?;
            unpacks_to(path, diff_id, unpacked.finish(path, digest)?)?;
            intake.locate(&window, path, digest, true)?;
            digest
        };
        let layer = Layer { digest, size, compression };
        self.layers.insert(key, layer);
        Ok(layer)
    }
}

fn compression(window: &Window<'_>, path: &str) -> Result<Compression> {
    Compression::of(&window.head(LAYER_HEAD)?).map_err(|found| parts::unfit(found, path))
}

/// Whether the sink has a compressed layer under the digest in its name, and it unpacks to `diff_id`: that the sink has it
/// does not prove that it belongs to this image. A mounted layer is hashed when it is served, and the client unpacks it.
fn is_here(intake: &mut Intake<'_>, window: &Window<'_>, path: &str, named: Digest, diff_id: Digest) -> Result<bool> {
    if intake.locate(window, path, named, false)? {
        return Ok(true);
    }
    if !intake.has(&named, window.size()) {
        return Ok(false);
    }
    match intake.unpacked(&named, path)? {
        Some(found) => unpacks_to(path, diff_id, found).map(|()| true),
        None => Ok(false),
    }
}

fn unpacks_to(path: &str, expected: Digest, found: Digest) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Problem::Digest { entry: format!("{} (unpacked)", printable(path)), expected, found })
}
