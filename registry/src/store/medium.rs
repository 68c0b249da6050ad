//! Blobs that lie in files of somebody else: within a tar or a folder on a medium that is served in place.
//!
//! Nothing there is believed. A blob is what its digest says only once it was read whole and hashed, and its file is the
//! one it was found in only as long as size, time and number of that file stay as they were: both are looked at whenever
//! the blob is asked for. A block device says neither when it is written to nor when another disc is put in, so what lies
//! on one is never believed: it is hashed for every answer. Nothing is ever written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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
    /// Whether nobody can tell if it is still what it was.
    is_device: bool,
}

/// What tells a file from another in its place. Not the device's number: that changes when a disc is put in again.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(mut file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let is_device = metadata.file_type().is_block_device();
        // Everything else reads by position: nobody misses where the cursor was.
        let size = if is_device { file.seek(SeekFrom::End(0))? } else { metadata.len() };
        Ok(Self { size, inode: metadata.ino(), modified })
    }
}

impl Medium {
    /// `file`, which is open and lies at `path`; errors call it `shown`.
    pub(crate) fn new(file: &File, path: &Path, shown: String) -> io::Result<Self> {
        let is_device = file.metadata()?.file_type().is_block_device();
        Ok(Self { path: path.to_owned(), shown, identity: Identity::of(file)?, is_device })
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
    /// The byte from which on somebody could not read it.
    stuck: AtomicU64,
}

/// Where no blob has a byte.
const NOWHERE: u64 = u64::MAX;

impl MediumBlob {
    /// `size` bytes of `medium` from `offset`, said to have `digest`; `verified` if somebody has just made sure.
    pub(crate) fn located(digest: Digest, medium: Arc<Medium>, offset: u64, size: u64, verified: bool) -> Self {
        let trust = if verified && !medium.is_device { Trust::Verified } else { Trust::Unverified };
        let stuck = AtomicU64::new(NOWHERE);
        Self { digest, size, place: Place::File { medium, offset }, trust: AtomicU8::new(trust as u8), stuck }
    }

    /// Bytes that have `digest`.
    pub(crate) const fn held(digest: Digest, bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        let stuck = AtomicU64::new(NOWHERE);
        Self { digest, size, place: Place::Memory(bytes), trust: AtomicU8::new(Trust::Verified as u8), stuck }
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

    /// Takes in what somebody found who hashed all of it. Once it is known to be bad it stays so; what lies on a device is
    /// never known to be good.
    pub(crate) fn found(&self, digest: &Digest) -> Result<(), MediumError> {
        if *digest != self.digest {
            self.trust.store(Trust::Bad as u8, Ordering::Release);
            return Err(self.damaged());
        }
        if matches!(&self.place, Place::File { medium, .. } if medium.is_device) {
            return Ok(());
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

    /// Takes in that somebody could not read on from the byte `at`: whoever asks next is not promised what cannot be had.
    pub(crate) fn stuck(&self, at: u64, error: &io::Error) -> MediumError {
        self.stuck.store(at, Ordering::Relaxed);
        self.unreadable(error)
    }

    /// Whether what somebody could not read can be read now. May wait for the medium.
    fn goes_on(&self, file: &File, offset: u64) -> Result<(), MediumError> {
        let at = self.stuck.load(Ordering::Relaxed);
        if at == NOWHERE {
            return Ok(());
        }
        match file.read_at(&mut [0], offset + at) {
            Ok(0) => Err(self.unreadable(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                self.stuck.store(NOWHERE, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Whether `file`, opened earlier, is still to be relied on. Where it is not, opening it anew says why.
    pub(crate) fn check(&self, file: &File) -> Result<(), MediumError> {
        if self.stuck.load(Ordering::Relaxed) != NOWHERE {
            return Err(self.unreadable(&io::Error::other("somebody could not read it")));
        }
        self.check_file(file)
    }

    /// Whether `file` is the one the blob was found in, and the blob is not known to be bad.
    fn check_file(&self, file: &File) -> Result<(), MediumError> {
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
                self.check_file(&file)?;
                self.goes_on(&file, *offset)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn what_lies_on_a_device_is_hashed_each_time_it_is_opened_and_never_believed() {
        // Whether it is a device is all that differs: a loop device needs rights a test may not have.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"a layer").unwrap();
        let digest = Algorithm::Sha256.digest(b"a layer");
        for is_device in [false, true] {
            let medium = Medium::new(file.as_file(), file.path(), "sdb".into()).unwrap();
            let medium = Arc::new(Medium { is_device, ..medium });
            let blob = Arc::new(MediumBlob::located(digest, medium.clone(), 0, 7, true));
            assert_eq!(blob.trust() == Trust::Verified, !is_device);
            let blob = Arc::new(MediumBlob::located(digest, medium.clone(), 0, 7, false));
            let opened = blob.open().unwrap();
            assert_eq!(opened.unverified().is_some(), is_device);
            assert_eq!(blob.trust() == Trust::Verified, !is_device);
            let other = Arc::new(MediumBlob::located(Algorithm::Sha256.digest(b"another"), medium, 0, 7, false));
            assert!(matches!(other.open(), Err(MediumError::Damaged { .. })));
        }
    }
}
