//! Re-hashing every blob of a medium once, beside the clients that are served: what is damaged is then known before a
//! client needs it, and what is not goes out as fast as from the data folder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::blobs::{Medium, MediumBlob, MediumError, Trust, Unfinished, re_hash};

/// Read at a time, in bytes: large and in a row, for media that are slow to seek.
const PIECE: usize = 1024 * 1024;

/// How long it waits for an answer to end, and how often before a piece: clients that are slow, or never cease, must not
/// keep the pass from coming to its end.
const GIVE_WAY: Duration = Duration::from_millis(20);
const PATIENCE: usize = 50;

/// What reading all of a medium found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediumCheck {
    /// Blobs that are what their digests say, and their bytes together.
    pub verified: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that no place of the medium gives.
    pub bad: usize,
    /// What is wrong with each of their places.
    pub problems: Vec<MediumError>,
    /// What is wrong with places of blobs that another place of the medium gives.
    pub elsewhere: Vec<MediumError>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Reads what was not re-hashed yet of a medium, one blob after the other, giving way while `is_served`.
pub(super) fn check(medium: &Medium, is_served: &dyn Fn() -> bool, stop: &AtomicBool) -> MediumCheck {
    let mut found = MediumCheck::default();
    let mut buffer = vec![0; PIECE];
    for blob in &medium.blobs {
        let mut problems = Vec::new();
        let mut whole = false;
        // One whole position is enough: the others need not be read.
        for position in medium.positions(&blob.digest()) {
            match one(&position, is_served, stop, &mut buffer) {
                Ok(()) => whole = true,
                Err(Unfinished::Stopped) => return MediumCheck { stopped: true, ..found },
                Err(Unfinished::Failed(problem)) => problems.push(problem),
            }
            if whole {
                break;
            }
        }
        if whole {
            found.verified += 1;
            found.bytes += blob.size();
            found.elsewhere.append(&mut problems);
        } else {
            found.bad += 1;
            found.problems.append(&mut problems);
        }
    }
    found
}

fn one(
    blob: &MediumBlob,
    is_served: &dyn Fn() -> bool,
    stop: &AtomicBool,
    buffer: &mut [u8],
) -> Result<(), Unfinished> {
    if blob.trust() == Trust::Verified {
        return Ok(());
    }
    let mut go_on = |_| {
        for _ in 0..PATIENCE {
            if stop.load(Ordering::Relaxed) || !is_served() {
                break;
            }
            std::thread::sleep(GIVE_WAY);
        }
        // A client may have read it to its end first.
        !stop.load(Ordering::Relaxed) && blob.trust() != Trust::Verified
    };
    match re_hash(blob, buffer, &mut go_on) {
        Err(Unfinished::Stopped) if blob.trust() == Trust::Verified => Ok(()),
        done => done,
    }
}
