//! What others wrote: every dialect of `docker save`, OCI layouts, Helm charts, and bundles of them, as folders, files
//! or streams.
//!
//! ```text
//!   folder · file · pipe
//!        │  nested     what is it? (magic bytes, never names)
//!        ├─ shelf      read anywhere:  tar on disk, folder ┐
//!        ├─ stream     read once:      pipe, compressed    ├─ scope ─ oci · docker · directory · storage   images
//!        └─ chart      gzip with a Chart.yaml              ┘
//!        ▼
//!     intake           images and charts onto the list that is committed; blobs to their
//!     destination      the store, or, of a medium that is served in place, nowhere
//! ```
//!
//! One pass over each byte; nothing is unpacked to a file system; layers stay as they are; memory does not grow with the
//! size of anything. Knows nothing of publish rules, and nothing of who asks.

mod ahead;
mod arrangement;
mod chart;
mod chart_yaml;
mod compression;
mod destination;
mod device;
mod diff_id;
mod directory;
mod docker;
mod entry_name;
mod folder;
mod hauler;
mod intake;
mod inventories;
mod names;
mod nested;
mod oci;
mod oci_index;
mod parts;
mod pax;
pub mod probe;
mod problem;
mod role;
mod room;
mod scope;
mod shelf;
mod source;
mod split;
mod storage;
mod stream;
mod tar;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

pub(crate) use compression::Allowance;
use compression::Format;
pub(crate) use destination::Destination;
pub(crate) use intake::{Found, Intake, Place};
pub(crate) use inventories::{Inventories, Sheet};
pub(crate) use names::{UNTAGGED, as_it_stands};
pub(crate) use problem::{Problem, printable};
pub(crate) use role::{INVENTORY, INVENTORY_SIGNATURE};
pub(crate) use room::{inventories as inventories_of, require as require_room};
pub(crate) use source::Meter;

use source::{Pipe, Window};

/// Reads a folder, a file, a named pipe or a block device.
pub(crate) fn read_path(intake: &mut Intake<'_>, path: &Path) -> Result<(), Problem> {
    let shown = path.display().to_string();
    match read_known_path(intake, path, &shown) {
        Ok(()) => Ok(()),
        Err(problem) => intake.fail(&shown, problem),
    }
}

fn read_known_path(intake: &mut Intake<'_>, path: &Path, shown: &str) -> Result<(), Problem> {
    let metadata = path.metadata().map_err(Problem::Read)?;
    if metadata.is_dir() {
        let (files, total) = folder::list(intake, path)?;
        intake.meter.begin(Some(total));
        let mark = intake.mark();
        intake.depth += 1;
        let read = shelf::read_folder(intake, files, shown.trim_end_matches('/'));
        intake.depth -= 1;
        if read.is_err() {
            intake.take_back(&mark);
        }
        intake.meter.end();
        return read;
    }
    let kind = metadata.file_type();
    if intake.to.leaves_content() && !kind.is_file() && !kind.is_block_device() {
        let what = "it is neither a folder nor a file nor a block device, and only those can be mounted";
        return Err(Problem::Unusable(what.into()));
    }
    if kind.is_char_device() || kind.is_socket() {
        return Err(Problem::Unusable(
            "it is a terminal, another device that has no end, or a socket; give a file".into(),
        ));
    }
    let file = File::open(path).map_err(Problem::Read)?;
    if kind.is_block_device() {
        intake.meter.begin(None);
        let window = device::open(file, path, intake.meter)?;
        let outcome = nested::window(intake, window, shown, 0)?;
        intake.meter.end();
        return meant(intake, outcome, shown);
    }
    if !metadata.is_file() {
        return read_stream(intake, Box::new(file), shown);
    }
    intake.meter.begin(Some(metadata.len()));
    let mark = intake.mark();
    let window = Window::new(file, path, metadata.len(), intake.meter);
    let outcome = nested::window(intake, window, shown, 0)?;
    intake.meter.end();
    provenance_beside(intake, path, shown, &mark);
    meant(intake, outcome, shown)
}

/// Whether a file is something compressed. One that cannot be read is not: whoever reads it says why.
pub(crate) fn is_compressed(path: &Path) -> bool {
    // A pipe would be waited for.
    if !path.is_file() {
        return false;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(compression::HEAD as u64).read_to_end(&mut head));
    read.is_ok() && Format::of(&head).is_compressed()
}

/// Reads a stream, such as standard input.
pub(crate) fn read_stream(intake: &mut Intake<'_>, stream: Box<dyn Read + Send>, shown: &str) -> Result<(), Problem> {
    intake.meter.begin(None);
    let mut pipe = Pipe::new(stream, intake.meter);
    let outcome = nested::stream(intake, &mut pipe, shown, 0)?;
    intake.meter.end();
    meant(intake, outcome, shown)
}

/// What somebody gave by name was meant to go in.
fn meant(intake: &mut Intake<'_>, outcome: nested::Outcome, shown: &str) -> Result<(), Problem> {
    if outcome == nested::Outcome::Other {
        intake.fail(shown, Problem::Unusable("it is no image archive and no chart".into()))?;
    }
    Ok(())
}

/// The provenance file of a chart that was given by itself.
fn provenance_beside(intake: &mut Intake<'_>, path: &Path, shown: &str, mark: &intake::Mark) {
    if intake.found_since(mark) == 0 || intake.charts.iter().all(|chart| chart.file != shown) {
        return;
    }
    let Some(provenance) = folder::beside(path) else { return };
    let mut text = Vec::new();
    // Most charts have none.
    let Ok(file) = File::open(&provenance) else { return };
    match file.take(scope::MAX_TEXT).read_to_end(&mut text) {
        Ok(_) => intake.keep_text(shown, text.into(), true),
        Err(error) => {
            intake.warn(&provenance.display().to_string(), format!("the provenance file was not read: {error}"))
        }
    }
}

/// Makes artifacts of the charts, each with its provenance file, now that everything was read.
pub(crate) fn settle_charts(intake: &mut Intake<'_>) -> Result<(), Problem> {
    for chart in std::mem::take(&mut intake.charts) {
        let file = chart.file.clone();
        let provenance = intake.provenance.get(&file).cloned();
        if let Err(problem) = chart.settle(intake, provenance) {
            intake.fail(&file, problem)?;
        }
    }
    Ok(())
}
