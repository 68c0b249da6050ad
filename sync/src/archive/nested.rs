//! Telling what a file is and handing it to its reader, however deep it lies.
//!
//! An archive that fails takes back everything that was found in it, and the rest goes on: this is where that is done.

use super::chart;
use super::compression::{Format, HEAD, Unpacked};
use super::intake::Intake;
use super::problem::Problem;
use super::shelf;
use super::source::{Rewound, Source, Window};
use super::split;
use super::stream;

/// Whether a file was one for this room at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An archive or chart, whole or not.
    Archive,
    /// Something else, left out.
    Other,
}

/// Reads what lies in `window`. What is wrong with it is recorded; only what ends the ingest is handed back.
pub(crate) fn window<'a>(
    intake: &mut Intake<'a>,
    window: Window<'a>,
    file: &str,
    depth: usize,
) -> Result<Outcome, Problem> {
    settle(intake, file, |intake| read_window(intake, window, file, depth))
}

/// The same for what comes once, from front to back.
pub(crate) fn stream(
    intake: &mut Intake<'_>,
    source: &mut dyn Source,
    file: &str,
    depth: usize,
) -> Result<Outcome, Problem> {
    settle(intake, file, |intake| read_stream(intake, source, file, depth))
}

fn settle<'a>(
    intake: &mut Intake<'a>,
    file: &str,
    read: impl FnOnce(&mut Intake<'a>) -> Result<Outcome, Problem>,
) -> Result<Outcome, Problem> {
    let mark = intake.mark();
    intake.depth += 1;
    let outcome = read(intake);
    intake.depth -= 1;
    outcome.or_else(|problem| {
        intake.take_back(&mark);
        let problem = match problem {
            Problem::Incomplete(_) => split::part(file).unwrap_or(problem),
            other => other,
        };
        intake.fail(file, problem)?;
        Ok(Outcome::Archive)
    })
}

fn check_depth(intake: &Intake<'_>, depth: usize) -> Result<(), Problem> {
    if depth <= intake.limits.depth {
        return Ok(());
    }
    Err(Problem::OverLimit {
        what: "the number of archives within archives".into(),
        limit: intake.limits.depth.to_string(),
        cure: "unpack the outer ones, or raise `ingest.limits.depth`",
    })
}

fn read_window<'a>(
    intake: &mut Intake<'a>,
    mut window: Window<'a>,
    file: &str,
    depth: usize,
) -> Result<Outcome, Problem> {
    check_depth(intake, depth)?;
    if Format::of(&window.head(HEAD)?) == Format::Tar {
        return shelf::read_tar(intake, window, file, depth).map(|()| Outcome::Archive);
    }
    read_stream(intake, &mut window, file, depth)
}

fn read_stream(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str, depth: usize) -> Result<Outcome, Problem> {
    check_depth(intake, depth)?;
    let mut source = Rewound::peek(source, HEAD)?;
    let format = Format::of(source.head());
    match format {
        Format::Tar => stream::read_tar(intake, &mut source, file, depth)?,
        Format::Gzip => {
            let (taken, is_chart) = chart::look_into(&mut source);
            if is_chart {
                chart::read(intake, taken, &mut source, file)?;
            } else {
                let mut source = Rewound::new(taken, &mut source);
                unpacked(intake, format, &mut source, file, depth)?;
            }
        }
        Format::Zstd | Format::Xz | Format::Bzip2 => unpacked(intake, format, &mut source, file, depth)?,
        Format::Foreign(kind) => {
            return Err(Problem::Unusable(format!(
                "it is a {kind} file, which is not read; unpack it, or use gzip, zstd, xz or bzip2"
            )));
        }
        Format::Empty if looks_meant(file) => return Err(Problem::Incomplete("it is empty".into())),
        Format::Other if looks_meant(file) => {
            let damaged = "it is neither a tar nor compressed with gzip, zstd, xz or bzip2, whatever its name says";
            return Err(split::part(file).unwrap_or_else(|| Problem::Damaged(damaged.into())));
        }
        Format::Empty | Format::Other => {
            // Any but the first of several parts.
            if let Some(problem) = split::part(file) {
                return Err(problem);
            }
            intake.warn(file, "left out: it is no image archive, no chart and no `manifest.txt`");
            return Ok(Outcome::Other);
        }
    }
    Ok(Outcome::Archive)
}

fn unpacked(
    intake: &mut Intake<'_>,
    format: Format,
    source: &mut dyn Source,
    file: &str,
    depth: usize,
) -> Result<(), Problem> {
    if intake.to.leaves_content() {
        return Err(Problem::Unusable(
            "it is compressed, and what is in it cannot be served from where it lies; ingest it instead (`airdock ingest`, \
             or `serve --bundle`), or unpack it onto the medium"
                .into(),
        ));
    }
    let unpacked = Unpacked::new(format, source, intake.limits.allowance())?;
    let Some(mut unpacked) = unpacked else { return Err(Problem::Unusable("it is not compressed".into())) };
    match read_stream(intake, &mut unpacked, file, depth + 1)? {
        Outcome::Archive => Ok(()),
        Outcome::Other => Err(Problem::Unusable("what it unpacks to is no archive".into())),
    }
}

/// Whether somebody who gave a file this name meant it to be an archive.
fn looks_meant(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    [".tar", ".tgz", ".gz", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".tbz2", ".oci"]
        .iter()
        .any(|ending| file.ends_with(ending))
}
