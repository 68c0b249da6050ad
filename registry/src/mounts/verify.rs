//! Reading every blob of a mount once, behind the backs of those who are served: what is damaged on a medium is then known
//! before somebody needs it, and what is not goes out as fast as from the store.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Mount;
use crate::store::{MediumBlob, MediumError, Trust};

/// Read at a time: large and in a row, for media that are slow to seek.
const PIECE: usize = 1024 * 1024;

/// Looked again so often whether whoever is served is done, and so many times before a piece: clients that take their
/// time, or never cease, must not keep the pass from coming to its end.
const GIVE_WAY: Duration = Duration::from_millis(20);
const PATIENCE: usize = 50;

/// What reading all of a mount found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
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

/// Reads what nobody has read yet of `mount`, one blob after the other, giving way while `is_served` says that somebody
/// is being served from a medium.
pub(crate) fn verify(mount: &Mount, is_served: &dyn Fn() -> bool, stop: &AtomicBool) -> Verification {
    let mut found = Verification::default();
    let mut piece = vec![0; PIECE];
    for blob in &mount.blobs {
        let mut problems = Vec::new();
        let mut whole = false;
        // One whole place is enough: the others need not be read.
        for place in mount.places_of(blob) {
            match one(place, is_served, stop, &mut piece) {
                Ok(true) => whole = true,
                Ok(false) => return Verification { stopped: true, ..found },
                Err(problem) => problems.push(problem),
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

/// `false` when it was stopped.
fn one(
    blob: &Arc<MediumBlob>,
    is_served: &dyn Fn() -> bool,
    stop: &AtomicBool,
    piece: &mut [u8],
) -> Result<bool, MediumError> {
    if blob.trust() == Trust::Verified {
        return Ok(true);
    }
    let opened = blob.open()?;
    let mut hasher = blob.digest().algorithm().hasher();
    let mut at = 0;
    // A client may have come to its end first.
    while at < blob.size() && blob.trust() != Trust::Verified {
        let mut patience = PATIENCE;
        while patience > 0 && !stop.load(Ordering::Relaxed) && is_served() {
            std::thread::sleep(GIVE_WAY);
            patience -= 1;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let wanted = usize::try_from(blob.size() - at).map_or(PIECE, |left| left.min(PIECE));
        match opened.file().read_at(&mut piece[..wanted], opened.offset() + at) {
            Ok(0) => return Err(blob.unreadable(&io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(blob.stuck(at, &error)),
        }
    }
    if blob.trust() != Trust::Verified {
        blob.found(&hasher.finish())?;
    }
    Ok(true)
}
