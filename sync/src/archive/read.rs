//! Reading one input: a folder, a file, a named pipe, a block device or a stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::dialect::chart;
use super::found::Seen;
use super::intake::Intake;
use super::nested;
use super::scope::MAX_TEXT;
use crate::input::compression::{Format, HEAD};
use crate::input::fifo::Fifo;
use crate::input::folder::{self, Said};
use crate::input::source::{Pipe, Window};
use crate::input::{device, regular};
use crate::problem::{Problem, Result};

/// Reads a folder, a file, a named pipe or a block device. Here and below, only what ends the ingest is an error; other
/// problems are recorded.
pub(crate) fn path(intake: &mut Intake<'_>, path: &Path) -> Result<()> {
    let shown = path.display().to_string();
    opened(intake, path, &shown).or_else(|problem| intake.fail(&shown, problem))
}

/// Reads a stream, such as standard input.
pub(crate) fn stream(intake: &mut Intake<'_>, stream: Box<dyn Read + Send>, shown: &str) -> Result<()> {
    intake.meter.begin(None);
    let mut pipe = Pipe::new(stream, intake.meter);
    let seen = nested::stream(intake, &mut pipe, shown)?;
    intake.meter.end();
    require(intake, seen, shown)
}

/// Makes artifacts of the charts, each with its provenance file, once everything has been read.
pub(crate) fn settle_charts(intake: &mut Intake<'_>) -> Result<()> {
    for chart in std::mem::take(&mut intake.charts) {
        let file = chart.file.clone();
        let provenance = intake.provenance.get(&file).cloned();
        if let Err(problem) = chart::settle(intake, chart, provenance) {
            intake.fail(&file, problem)?;
        }
    }
    Ok(())
}

/// Whether a file is compressed. `false` for one that cannot be read, which its reader reports.
pub(crate) fn is_compressed(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = regular::named(path).and_then(|(file, _)| file.take(HEAD as u64).read_to_end(&mut head));
    read.is_ok() && Format::of(&head).is_compressed()
}

fn opened(intake: &mut Intake<'_>, path: &Path, shown: &str) -> Result<()> {
    let metadata = path.metadata().map_err(Problem::Read)?;
    if metadata.is_dir() {
        return whole_folder(intake, path, shown);
    }
    let kind = metadata.file_type();
    if intake.to.locates_only() && !kind.is_file() && !kind.is_block_device() {
        let what = "it is neither a folder nor a file nor a block device, and only those can be mounted";
        return Err(Problem::Unusable(what.into()));
    }
    if kind.is_char_device() || kind.is_socket() {
        let what = "it is a terminal, another device that has no end, or a socket; give a file";
        return Err(Problem::Unusable(what.into()));
    }
    if kind.is_fifo() {
        let pipe = Fifo::open(path, intake.meter.cancel).map_err(Problem::Read)?;
        return stream(intake, Box::new(pipe), shown);
    }
    let charts = intake.charts.len();
    let window = if kind.is_block_device() {
        intake.meter.begin(None);
        device::open(File::open(path).map_err(Problem::Read)?, path, intake.meter)?
    } else {
        let (file, metadata) = regular::named(path).map_err(Problem::Read)?;
        intake.meter.begin(Some(metadata.len()));
        Window::new(file, path, metadata.len(), intake.meter)
    };
    let seen = nested::window(intake, window, shown)?;
    intake.meter.end();
    if kind.is_file() {
        provenance_beside(intake, path, shown, charts);
    }
    require(intake, seen, shown)
}

fn whole_folder(intake: &mut Intake<'_>, path: &Path, shown: &str) -> Result<()> {
    let entries = intake.limits.entries;
    let mut unreadable = Vec::new();
    let listing = folder::list(path, entries, &mut |path, said| match said {
        Said::LeftOut(why) => intake.warn(&path.display().to_string(), format!("left out: {why}")),
        Said::Unreadable(error) => unreadable.push((path.display().to_string(), Problem::Read(error))),
    })?;
    // The rest goes in.
    for (path, problem) in unreadable {
        intake.fail(&path, problem)?;
    }
    intake.count_entries(listing.files.len() as u64)?;
    intake.meter.begin(Some(listing.files.values().map(|file| file.size).fold(0, u64::saturating_add)));
    let read = nested::folder(intake, listing, shown);
    intake.meter.end();
    read.map(|_| ())
}

/// An input that is named must hold something.
fn require(intake: &mut Intake<'_>, seen: Seen, shown: &str) -> Result<()> {
    if let Seen::Other(what) = seen {
        intake.fail(shown, Problem::Unusable(what.into()))?;
    }
    Ok(())
}

/// Reads the provenance file of a chart that is an input by itself. It is beside the chart, as for `helm push`.
fn provenance_beside(intake: &mut Intake<'_>, path: &Path, shown: &str, known: usize) {
    if intake.charts.iter().skip(known).all(|chart| chart.file != shown) {
        return;
    }
    let mut provenance = path.as_os_str().to_owned();
    provenance.push(".prov");
    match regular::beside(Path::new(&provenance)).and_then(|opened| regular::read(opened, MAX_TEXT)) {
        Ok(text) => intake.keep_text(shown, text.into(), true),
        // Most charts have none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let message = format!("left out: {error}; the chart goes in without its provenance file");
            intake.warn(&format!("{shown}.prov"), message);
        }
    }
}
