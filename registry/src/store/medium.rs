//! Blobs that lie in files of somebody else: within a tar or a folder on a medium that is served in place.
//!
//! Nothing there is believed. A blob is what its digest says only once it was read whole and hashed, and its file is the
//! one it was found in only as long as size, time and number of that file stay as they were: both are looked at whenever
//! the blob is asked for. Nothing is ever written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, OFlags, memfd_create};

use super::blobs::Blob;
use crate::oci::Digest;

/// Up to this size in bytes a blob is verified when it is opened: configs, charts, small layers.
const SMALL: u64 = 64 * 1024;

/// Why a blob on a medium cannot be had. Names the file as the medium has it, not where the medium is mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// The medium was pulled out, or cannot be read.
    #[error(
        "blob `{digest}` lies on a mounted medium, in `{file}`, which cannot be read: {reason}; is the medium still in?"
    )]
    Unreadable {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
        /// What the operating system said.
        reason: String,
    },
    /// The file is another one than when it was mounted.
    #[error(
        "blob `{digest}` lies on a mounted medium, in `{file}`, which was changed since; restart airdock to mount it anew"
    )]
    Changed {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
    },
    /// The content is not what its name or its image says.
    #[error(
        "what lies in `{file}` on a mounted medium does not have the digest `{digest}`: it was damaged or changed on the way; copy the file again"
    )]
    Damaged {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
    },
}

/// A file on a medium, as it was when it was mounted.
#[derive(Debug)]
pub(crate) struct Medium {
    path: PathBuf,
    shown: String,
    identity: Identity,
}

/// What tells a file from another in its place. Not the device's number: that changes when a disc is put in again.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), inode: metadata.ino(), modified })
    }
}

impl Medium {
    /// `file`, which is open and lies at `path`; errors call it `shown`.
    pub(crate) fn new(file: &File, path: &Path, shown: String) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), shown, identity: Identity::of(file)? })
    }

    fn open(&self) -> io::Result<File> {
        // Should a pipe be in its place, nobody waits for it to be written to.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(&self.path)
    }
}

/// Whether a blob is what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nobody has read it whole yet.
    Unverified = 0,
    Verified = 1,
    /// It was read and is something else.
    Bad = 2,
}

#[derive(Debug)]
enum Place {
    File {
        medium: Arc<Medium>,
        offset: u64,
    },
    /// Made of what the medium holds, and verified as it was made.
    Memory(Bytes),
}

/// A blob on a medium.
#[derive(Debug)]
pub(crate) struct MediumBlob {
    digest: Digest,
    size: u64,
    place: Place,
    trust: AtomicU8,
}

impl MediumBlob {
    /// `size` bytes of `medium` from `offset`, said to have `digest`; `verified` if somebody has just made sure.
    pub(crate) const fn located(digest: Digest, medium: Arc<Medium>, offset: u64, size: u64, verified: bool) -> Self {
        let trust = if verified { Trust::Verified } else { Trust::Unverified };
        Self { digest, size, place: Place::File { medium, offset }, trust: AtomicU8::new(trust as u8) }
    }

    /// Bytes that have `digest`.
    pub(crate) const fn held(digest: Digest, bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self { digest, size, place: Place::Memory(bytes), trust: AtomicU8::new(Trust::Verified as u8) }
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Where it lies: blobs are read in this order.
    pub(crate) fn position(&self) -> (&str, u64) {
        match &self.place {
            Place::File { medium, offset } => (&medium.shown, *offset),
            Place::Memory(_) => ("", 0),
        }
    }

    /// Whether it needs no place from `offset` of `medium` on: it is the one there, or in memory.
    pub(crate) fn is_at(&self, medium: &Arc<Medium>, offset: u64) -> bool {
        match &self.place {
            Place::File { medium: own, offset: at } => Arc::ptr_eq(own, medium) && *at == offset,
            Place::Memory(_) => true,
        }
    }

    /// Whether it was made of what the medium holds and lies nowhere on it as it is served.
    pub(crate) const fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    pub(crate) fn trust(&self) -> Trust {
        match self.trust.load(Ordering::Acquire) {
            0 => Trust::Unverified,
            1 => Trust::Verified,
            _ => Trust::Bad,
        }
    }

    /// Takes in what somebody found who hashed all of it. Once it is known to be bad it stays so.
    pub(crate) fn found(&self, digest: &Digest) -> Result<(), MediumError> {
        if *digest != self.digest {
            self.trust.store(Trust::Bad as u8, Ordering::Release);
            return Err(self.damaged());
        }
        let _ = self.trust.compare_exchange(
            Trust::Unverified as u8,
            Trust::Verified as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        Ok(())
    }

    fn damaged(&self) -> MediumError {
        MediumError::Damaged { digest: self.digest, file: self.position().0.to_owned() }
    }

    pub(crate) fn unreadable(&self, error: &io::Error) -> MediumError {
        let reason = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "it is not there".into(),
            _ => error.to_string(),
        };
        MediumError::Unreadable { digest: self.digest, file: self.position().0.to_owned(), reason }
    }

    /// Whether `file`, opened earlier, is still the one the blob was found in, and the blob is not known to be bad.
    pub(crate) fn check(&self, file: &File) -> Result<(), MediumError> {
        if self.trust() == Trust::Bad {
            return Err(self.damaged());
        }
        let Place::File { medium, .. } = &self.place else { return Ok(()) };
        match Identity::of(file) {
            Ok(found) if found == medium.identity => Ok(()),
            Ok(_) => Err(MediumError::Changed { digest: self.digest, file: medium.shown.clone() }),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Opens it; a small one is verified on the way.
    pub(crate) fn open(self: &Arc<Self>) -> Result<Blob, MediumError> {
        let failed = |error: io::Error| self.unreadable(&error);
        match &self.place {
            Place::File { medium, offset } => {
                let file = medium.open().map_err(failed)?;
                self.check(&file)?;
                if self.trust() == Trust::Unverified && self.size <= SMALL {
                    let mut content = vec![0; usize::try_from(self.size).unwrap_or(0)];
                    file.read_exact_at(&mut content, *offset).map_err(failed)?;
                    self.found(&self.digest.algorithm().digest(&content))?;
                }
                Ok(Blob::on_medium(file, *offset, self.clone()))
            }
            Place::Memory(bytes) => {
                // A file, so that it goes out the one way every blob does.
                let file = File::from(memfd_create("blob", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?);
                file.write_all_at(bytes, 0).map_err(failed)?;
                Ok(Blob::on_medium(file, 0, self.clone()))
            }
        }
    }
}
