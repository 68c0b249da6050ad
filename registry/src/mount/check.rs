//! Re-hashes every blob of a medium once in the background: damage is known before a client asks for the blob, and a
//! verified blob is served as fast as one in the data folder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::blobs::{Medium, MediumBlob, MediumError, Trust, Unfinished, re_hash};

/// Bytes read at once: large sequential reads, for media that are slow to seek.
const PIECE: usize = 1024 * 1024;

/// How long to wait for a response to end, and how often before each piece: slow or endless clients must not keep the
/// pass from finishing.
const GIVE_WAY: Duration = Duration::from_millis(20);
const PATIENCE: usize = 50;

/// The result of reading all of a medium.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediumCheck {
    /// How many blobs have their digest.
    pub verified: usize,
    /// The bytes of the verified blobs.
    pub bytes: u64,
    /// How many blobs cannot be read whole at any position of the medium.
    pub bad: usize,
    /// The problem at each position of a bad blob.
    pub problems: Vec<MediumError>,
    /// Problems at single positions of blobs that are whole at another one.
    pub elsewhere: Vec<MediumError>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Reads the blobs of a medium that are not verified yet, one after the other, and pauses while `is_served`.
pub(super) fn check(medium: &Medium, is_served: &dyn Fn() -> bool, stop: &AtomicBool) -> MediumCheck {
    let mut found = MediumCheck::default();
    let mut buffer = vec![0; PIECE];
    for blob in &medium.blobs {
        let mut problems = Vec::new();
        let mut positions = medium.positions(&blob.digest()).into_iter();
        // One whole position is enough: the others need not be read.
        let whole = loop {
            let Some(position) = positions.next() else { break false };
            match one(&position, is_served, stop, &mut buffer) {
                Ok(()) => break true,
                Err(Unfinished::Stopped) => return MediumCheck { stopped: true, ..found },
                Err(Unfinished::Failed(problem)) => problems.push(problem),
            }
        };
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
        // Opening looks at the file: it may have been changed since.
        blob.open().map_err(Unfinished::Failed)?;
        if blob.trust() == Trust::Verified {
            return Ok(());
        }
    }
    let mut go_on = |_| {
        for _ in 0..PATIENCE {
            if stop.load(Ordering::Relaxed) || !is_served() {
                break;
            }
            std::thread::sleep(GIVE_WAY);
        }
        // A client may have read all of it first.
        !stop.load(Ordering::Relaxed) && blob.trust() != Trust::Verified
    };
    match re_hash(blob, buffer, &mut go_on) {
        Err(Unfinished::Stopped) if blob.trust() == Trust::Verified => Ok(()),
        done => done,
    }
}
