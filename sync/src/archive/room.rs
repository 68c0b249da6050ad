//! Whether the disk has room for what an ingest brings: what can be known before anything is written, and what is seen
//! while it is.
//!
//! Before: archives that can be read anywhere are gone through without their layers, and what the store lacks of them is
//! added up. Streams say the size of a layer just before it comes. Nothing that fits is refused: what is counted is never
//! more than what will be written.

use std::collections::HashMap;
use std::path::PathBuf;

use airdock_registry::ReleaseDraft;
use airdock_registry::oci::Digest;

use super::destination::Destination;
use super::intake::Intake;
use super::inventories::Inventories;
use super::problem::{Problem, printable};
use super::source::Meter;
use crate::ingest::Settings;

/// While a blob is written the disk is asked again after so many bytes: others write, too.
pub(crate) const AGAIN: u64 = 64 * 1024 * 1024;

/// What an ingest would write, each blob once.
#[derive(Debug)]
pub(crate) struct Count {
    draft: ReleaseDraft,
    blobs: HashMap<Digest, u64>,
}

impl Count {
    pub(crate) fn has_blob(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).copied().or_else(|| self.draft.has_blob(digest))
    }

    pub(crate) fn add(&mut self, digest: Digest, size: u64) {
        // What is there already takes no room.
        if self.draft.has_blob(&digest) != Some(size) {
            self.blobs.insert(digest, size);
        }
    }
}

/// Goes through what can be read anywhere, without its layers.
fn go_through<'a>(
    draft: ReleaseDraft,
    meter: &'a Meter<'a>,
    settings: &'a Settings,
    paths: &[PathBuf],
) -> Result<Intake<'a>, Problem> {
    let count = Destination::Count(Count { draft, blobs: HashMap::new() });
    let mut intake = Intake::new(count, meter, &settings.limits, &settings.naming);
    for path in paths {
        super::read_path(&mut intake, path)?;
    }
    Ok(intake)
}

/// The inventories that lie in the roots of `paths`, as far as those can be listed without unpacking.
///
/// # Errors
/// [`Problem::Cancelled`].
pub(crate) fn inventories<'a>(
    draft: ReleaseDraft,
    meter: &'a Meter<'a>,
    settings: &'a Settings,
    paths: &[PathBuf],
) -> Result<Inventories, Problem> {
    let mut intake = go_through(draft, meter, settings, paths)?;
    let of_a_path = |file: &String| paths.iter().any(|path| *file == printable(&path.display().to_string()));
    intake.inventories.incomplete = intake.failures.iter().any(|failure| of_a_path(&failure.file));
    Ok(intake.inventories)
}

/// Refuses an ingest of `paths` that cannot fit. `most` is what they hold together, where that is known.
///
/// # Errors
/// [`Problem::Registry`] with what is missing; [`Problem::Cancelled`]. What is wrong with an archive is for the ingest
/// itself to say.
pub(crate) fn require<'a>(
    draft: ReleaseDraft,
    meter: &'a Meter<'a>,
    settings: &'a Settings,
    paths: &[PathBuf],
    most: Option<u64>,
) -> Result<(), Problem> {
    let limits = &settings.limits;
    if limits.keep_free == 0 || most.is_some_and(|most| draft.require_room(most, limits.keep_free).is_ok()) {
        return Ok(());
    }
    let intake = go_through(draft, meter, settings, paths)?;
    let Destination::Count(Count { draft, blobs }) = intake.to else { return Ok(()) };
    let needed = blobs.values().fold(0_u64, |needed, size| needed.saturating_add(*size));
    draft.require_room(needed, limits.keep_free).map_err(Problem::Registry)
}
