//! Recognising a file and handing it to its reader, however deep it is nested.
//!
//! An archive that fails takes back everything that was found in it, and the rest goes on: that is done here.

use std::collections::BTreeMap;

use super::dialect::chart;
use super::intake::Intake;
use super::{seekable, sequential, split};
use crate::input::compression::{Format, HEAD, Unpacked};
use crate::input::folder::Listed;
use crate::input::source::{Rewound, Source, Window};
use crate::problem::{Problem, Result};

/// Reads what is in `window`, and returns whether it is an archive or a chart, valid or not. Problems are recorded; only what
/// ends the ingest is returned.
pub(crate) fn window<'a>(intake: &mut Intake<'a>, mut window: Window<'a>, file: &str) -> Result<bool> {
    settle(intake, file, |intake| {
        if Format::of(&window.head(HEAD)?) == Format::Tar {
            return seekable::read_tar(intake, window, file, self::window).map(|()| true);
        }
        read_stream(intake, &mut window, file)
    })
}

/// The same for the files of a folder.
pub(crate) fn folder(intake: &mut Intake<'_>, files: BTreeMap<String, Listed>, shown: &str) -> Result<bool> {
    settle(intake, shown, |intake| {
        seekable::read_folder(intake, files, shown.trim_end_matches('/'), window).map(|()| true)
    })
}

/// The same for a stream, which can be read only once.
pub(crate) fn stream(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str) -> Result<bool> {
    settle(intake, file, |intake| read_stream(intake, source, file))
}

fn settle<'a>(intake: &mut Intake<'a>, file: &str, read: impl FnOnce(&mut Intake<'a>) -> Result<bool>) -> Result<bool> {
    let (found, charts) = (intake.found.len(), intake.charts.len());
    intake.archives += 1;
    let outcome = check_depth(intake).and_then(|()| read(intake));
    intake.archives -= 1;
    outcome.or_else(|problem| {
        intake.found.truncate(found);
        intake.charts.truncate(charts);
        let problem = match problem {
            Problem::Incomplete(_) => split::part(file).unwrap_or(problem),
            other => other,
        };
        intake.fail(file, problem)?;
        Ok(true)
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

fn read_stream(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str) -> Result<bool> {
    let mut source = Rewound::peek(source, HEAD)?;
    let format = Format::of(&source.head);
    match format {
        Format::Tar => sequential::read_tar(intake, &mut source, file, stream)?,
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
        Format::Other if is_named_as_archive(file) => {
            let damaged = "it is neither a tar nor compressed with gzip, zstd, xz or bzip2, whatever its name says";
            return Err(split::part(file).unwrap_or_else(|| Problem::Damaged(damaged.into())));
        }
        Format::Empty | Format::Other => {
            // It may be any part of a split archive but the first.
            if let Some(problem) = split::part(file) {
                return Err(problem);
            }
            intake.warn(file, "left out: it is no image archive, no chart and no `manifest.txt`");
            return Ok(false);
        }
    }
    Ok(true)
}

fn unpacked(intake: &mut Intake<'_>, format: Format, source: &mut dyn Source, file: &str) -> Result<()> {
    if intake.to.locates_only() {
        let what = "it is compressed, and what is in it cannot be served in place; ingest it instead, or unpack it onto the \
                    medium";
        return Err(Problem::Unusable(what.into()));
    }
    let mut unpacked = Unpacked::new(format, source, intake.limits.allowance())?;
    intake.compressions += 1;
    let read = check_depth(intake).and_then(|()| read_stream(intake, &mut unpacked, file));
    intake.compressions -= 1;
    if read? { Ok(()) } else { Err(Problem::Unusable("what it unpacks to is no archive".into())) }
}

/// Whether the name of a file says that it is an archive.
fn is_named_as_archive(file: &str) -> bool {
    const ENDINGS: [&str; 10] = [".tar", ".tgz", ".gz", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".tbz2", ".oci"];
    let file = file.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| file.ends_with(ending))
}
