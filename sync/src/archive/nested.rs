//! Recognising a file and handing it to its reader, however deep it is nested.
//!
//! An archive that fails takes back everything that was found in it, and the rest goes on: that is done here.

use std::io;

use super::dialect::chart;
use super::found::Seen;
use super::intake::Intake;
use super::role::is_named_as_archive;
use super::{seekable, sequential, split};
use crate::input::compression::{Format, HEAD, Unpacked};
use crate::input::folder::Listing;
use crate::input::foreign;
use crate::input::source::{Rewound, Source, Window, read_all};
use crate::limits::Allowance;
use crate::problem::{Problem, Result};
use crate::progress::Meter;

/// What is said of a file that means nothing here.
const NO_ARCHIVE: &str = "it is no image archive, no chart and no `manifest.txt`";

/// Reads what is in `window`, and returns what that is. Problems are recorded; only what ends the ingest is returned.
pub(crate) fn window<'a>(intake: &mut Intake<'a>, mut window: Window<'a>, file: &str) -> Result<Seen> {
    settle(intake, file, |intake| {
        if Format::of(&window.head(HEAD)?) == Format::Tar {
            intake.count_archive()?;
            if window.size() <= intake.limits.chart && chart::is_unpacked(&mut window.part(0, window.size())) {
                return chart::read_unpacked(intake, &read_all(&mut window)?, file).map(|()| Seen::Archive);
            }
            return seekable::read_tar(intake, window, file, self::window).map(|()| Seen::Archive);
        }
        read_stream(intake, &mut window, file)
    })
}

/// The same for the files of a folder.
pub(crate) fn folder(intake: &mut Intake<'_>, files: Listing, shown: &str) -> Result<Seen> {
    settle(intake, shown, |intake| {
        seekable::read_folder(intake, files, shown.trim_end_matches('/'), window).map(|()| Seen::Archive)
    })
}

/// The same for a stream, which can be read only once.
pub(crate) fn stream(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str) -> Result<Seen> {
    settle(intake, file, |intake| read_stream(intake, source, file))
}

fn settle<'a>(intake: &mut Intake<'a>, file: &str, read: impl FnOnce(&mut Intake<'a>) -> Result<Seen>) -> Result<Seen> {
    let (found, charts) = (intake.found.len(), intake.charts.len());
    intake.archives += 1;
    let outcome = check_depth(intake).and_then(|()| read(intake));
    intake.archives -= 1;
    outcome.or_else(|problem| {
        intake.found.truncate(found);
        intake.charts.truncate(charts);
        if let Problem::Nothing(what) = problem
            && intake.archives > 0
        {
            return Ok(Seen::Other(what));
        }
        let problem = match problem {
            Problem::Incomplete(_) => split::part(file).unwrap_or(problem),
            other => other,
        };
        intake.fail(file, problem)?;
        Ok(Seen::Archive)
    })
}

fn check_depth(intake: &Intake<'_>) -> Result<()> {
    // The outermost archive is at depth 0.
    let (depth, limit) = ((intake.archives + intake.compressions).saturating_sub(1), intake.limits.depth);
    if depth <= limit {
        return Ok(());
    }
    let cure = "unpack the outer ones, or raise `ingest.limits.depth`";
    Err(Problem::over("the number of archives within archives", limit, cure))
}

fn read_stream(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str) -> Result<Seen> {
    let mut source = Rewound::peek(source, HEAD)?;
    let format = Format::of(&source.head);
    if !matches!(format, Format::Empty | Format::Other) {
        intake.count_archive()?;
    }
    match format {
        Format::Tar => {
            let (taken, is_chart) = chart::look_unpacked(&mut source, intake.limits.chart)?;
            if is_chart {
                chart::read_unpacked(intake, &taken, file)?;
            } else {
                sequential::read_tar(intake, &mut Rewound::new(taken, &mut source), file, stream)?;
            }
        }
        Format::Gzip => {
            let (taken, is_chart) = chart::look_into(&mut source);
            if is_chart {
                chart::read(intake, taken, &mut source, file)?;
            } else {
                let mut source = Rewound::new(taken, &mut source);
                unpacked(intake, format, &mut source, file)?;
            }
        }
        Format::Zstd | Format::Xz | Format::Bzip2 => unpacked(intake, format, &mut source, file)?,
        Format::Foreign(kind) => {
            let what = format!("it is a {kind} file, which is not read; unpack it, or use gzip, zstd, xz or bzip2");
            return Err(Problem::Unusable(what));
        }
        Format::Empty if is_named_as_archive(file) => return Err(Problem::Incomplete("it is empty".into())),
        Format::Empty => return other(intake, &[], file),
        Format::Other => {
            let source = Rewound::peek(&mut source, foreign::HEAD)?;
            return other(intake, &source.head, file);
        }
    }
    Ok(Seen::Archive)
}

/// What a file is that is no archive, by its beginning; an error when it should be one.
fn other(intake: &Intake<'_>, head: &[u8], file: &str) -> Result<Seen> {
    // A compressed file may hold anything, unless its name says that it holds a tar.
    let is_named = is_named_as_archive(file) && (intake.compressions == 0 || is_named_as_tar(file));
    // Beside archives, a page or a text may be what it is meant to be.
    let in_place_of_one = is_named || intake.archives == 1;
    let what = foreign::content(head).or_else(|| foreign::in_place_of_an_archive(head).filter(|_| in_place_of_one));
    if let Some(what) = what.filter(|_| is_named) {
        return Err(Problem::Unusable(what.into()));
    }
    // It may be any part of a split archive but the first.
    match split::part(file) {
        Some(problem) => Err(problem),
        None if is_named => Err(Problem::Damaged(
            "it is neither a tar nor compressed with gzip, zstd, xz or bzip2, whatever its name says".into(),
        )),
        None => Ok(Seen::Other(what.unwrap_or(NO_ARCHIVE))),
    }
}

fn unpacked(intake: &mut Intake<'_>, format: Format, source: &mut dyn Source, file: &str) -> Result<()> {
    if intake.to.locates_only() {
        let what = "it is compressed, and what is in it cannot be served in place; ingest it instead, or unpack it onto the \
                    medium";
        return Err(Problem::Unusable(what.into()));
    }
    let allowance = intake.limits.allowance();
    let mut unpacked = Unpacked::new(format, source, allowance)?;
    let mut watched = Watched { source: &mut unpacked, counted: 0, meter: intake.meter, allowance };
    intake.compressions += 1;
    let read = check_depth(intake).and_then(|()| read_stream(intake, &mut watched, file));
    intake.compressions -= 1;
    match read? {
        Seen::Archive => Ok(()),
        Seen::Other(_) => Err(Problem::Nothing("what it unpacks to is no archive")),
    }
}

/// Whether the name of a compressed file says that a tar is in it.
fn is_named_as_tar(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let packed = [".tgz", ".tzst", ".txz", ".tbz2", ".oci", ".tar"].iter().any(|ending| file.ends_with(ending));
    packed || file.rsplit_once('.').is_some_and(|(stem, _)| stem.ends_with(".tar"))
}

/// Counts what is unpacked in the whole ingest, and stops once it is cancelled: little needs to be read of the medium to
/// unpack very much.
struct Watched<'w, 's> {
    source: &'w mut Unpacked<'s>,
    /// Of the bytes that were returned and are not consumed: those that were counted.
    counted: usize,
    meter: &'w Meter<'w>,
    allowance: Allowance,
}

impl Source for Watched<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.counted == 0 {
            self.counted = self.source.fill_buf()?.len();
            self.meter.unpacked(self.counted as u64, self.allowance)?;
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.counted -= count.min(self.counted);
        self.source.consume(count);
    }
}
