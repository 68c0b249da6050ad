//! Looking through the inputs before anything is written: do they fit on the disk, and are they signed?
//!
//! Seekable archives are read without their layers, and what the store lacks of them is added up. Streams are skipped: they
//! state the size of a layer just before it comes. Nothing that fits is refused, because no more is counted than will be
//! written.

use std::path::PathBuf;

use airdock_registry::ReleaseDraft;

use super::count::Count;
use super::settings::Settings;
use crate::archive::found::Inventories;
use crate::archive::intake::Intake;
use crate::archive::read;
use crate::problem::{Problem, Result};
use crate::progress::{Cancel, Meter};
use crate::text::printable;

/// Reads seekable inputs without their layers. Returns their inventories, and marks them incomplete if an input failed.
fn look_through(count: &mut Count, cancel: &Cancel, settings: &Settings, paths: &[PathBuf]) -> Result<Inventories> {
    let silent = |_| {};
    let meter = Meter::new(&silent, cancel);
    let mut intake = Intake::new(count, &meter, &settings.limits, settings.naming.base.as_ref());
    for path in paths {
        read::path(&mut intake, path)?;
    }
    let is_input = |file: &String| paths.iter().any(|path| *file == printable(&path.display().to_string()));
    intake.inventories.incomplete = intake.failures.iter().any(|failure| is_input(&failure.file));
    Ok(intake.inventories)
}

/// The inventories in the roots of `paths`, as far as those can be read without unpacking.
pub(super) fn inventories(
    draft: ReleaseDraft,
    cancel: &Cancel,
    settings: &Settings,
    paths: &[PathBuf],
) -> Result<Inventories> {
    look_through(&mut Count::new(draft), cancel, settings, paths)
}

/// Refuses an ingest of `paths` that cannot fit. `most` is their size, if it is known.
pub(super) fn require_room(
    draft: ReleaseDraft,
    cancel: &Cancel,
    settings: &Settings,
    paths: &[PathBuf],
    most: Option<u64>,
) -> Result<()> {
    let keep_free = settings.limits.keep_free;
    if keep_free == 0 || most.is_some_and(|most| draft.require_room(most, keep_free).is_ok()) {
        return Ok(());
    }
    let mut count = Count::new(draft);
    look_through(&mut count, cancel, settings, paths)?;
    count.require_room(keep_free).map_err(Problem::Registry)
}
