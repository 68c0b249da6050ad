//! A blob within a tar or a folder on a medium that is served in place.
//!
//! It is trusted only after it was re-hashed, and only while its file shows no sign of a change, which is checked for every
//! answer. Another size or mtime is a change. Another inode or ctime is a reason to re-hash, no more: exFAT, FAT and some
//! FUSE drivers give a file a new inode when the cache was dropped, and a new name gives it a new ctime. A block device
//! shows no sign at all, so its blobs are re-hashed on every read. Nothing is ever written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use rustix::fs::{MemfdFlags, OFlags, memfd_create};

use super::medium_error::MediumError;
use crate::disk::own_threads::{Hung, OwnThreads};
use crate::oci::Digest;

/// Up to this size in bytes a blob is re-hashed when it is opened: configs, charts, small layers.
const SMALL: u64 = 64 * 1024;

/// A file on a medium, as it was when it was mounted.
#[derive(Debug)]
pub(crate) struct MediumFile {
    path: PathBuf,
    /// How errors name it.
    shown: String,
    size: u64,
    modified: (i64, i64),
    /// True for block devices: nothing reveals a change, so blobs are re-hashed on every read.
    is_device: bool,
    /// True for network shares and user-space file systems: even asking for the size may hang.
    is_remote: bool,
    threads: OwnThreads,
    seen: RwLock<Seen>,
}

/// The types, as `statfs` tells them, of file systems that another machine or process answers for: 9p, AFS, Ceph, SMB (two),
/// FUSE, NFS.
const REMOTE: [u64; 7] = [0x0102_1997, 0x5346_414F, 0x00C3_6400, 0xFF53_4D42, 0xFE53_4D42, 0x6573_5546, 0x6969];

/// A file as it was seen last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    marks: Marks,
    /// How often it looked otherwise before.
    version: u64,
    /// Whether the ctime is not the one it was mounted with.
    is_touched: bool,
}

/// What is another after a file was changed or replaced, and may be another though it was not. Not the device's number:
/// that changes when a disc is put in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    inode: u64,
    /// The ctime. No program can set it back, as it can the mtime; file systems without one give the mtime.
    changed: (i64, i64),
}

/// What a file's metadata says.
struct Looks {
    size: u64,
    modified: (i64, i64),
    marks: Marks,
}

impl Looks {
    fn of(mut file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let is_device = metadata.file_type().is_block_device();
        // Everything else reads by position, so the cursor may be moved.
        let size = if is_device { file.seek(SeekFrom::End(0))? } else { metadata.len() };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let marks = Marks { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) };
        Ok(Self { size, modified, marks })
    }
}

/// Which content of a file was read: a blob verified in one is unverified in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl MediumFile {
    /// `file`, which is open, at `path`; errors call it `shown`.
    pub(crate) fn new(file: &File, path: &Path, shown: String) -> io::Result<Self> {
        let is_device = file.metadata()?.file_type().is_block_device();
        let Looks { size, modified, marks } = Looks::of(file)?;
        let seen = RwLock::new(Seen { marks, version: 0, is_touched: false });
        // As 32 bits: some of them are negative where the system's type has a sign.
        let is_remote =
            rustix::fs::fstatfs(file).is_ok_and(|found| REMOTE.contains(&(found.f_type as u64 & 0xFFFF_FFFF)));
        let (path, threads) = (path.to_owned(), OwnThreads::default());
        Ok(Self { path, shown, size, modified, is_device, is_remote, threads, seen })
    }

    /// Read by these threads, as the other files of the medium are.
    pub(crate) fn on(self, threads: OwnThreads) -> Self {
        Self { threads, ..self }
    }

    /// The version of `file`; `None` when it was changed, or with `same_inode` when its inode is another. A file that was
    /// just opened by its path may have another one; one that is open already is given up then for what has its path now.
    fn version_of(&self, file: &File, same_inode: bool) -> io::Result<Option<Version>> {
        let found = Looks::of(file)?;
        let Seen { marks, version, .. } = *self.seen.read();
        // The times of a device are those of its node.
        let is_changed = found.size != self.size || !self.is_device && found.modified != self.modified;
        if is_changed || same_inode && found.marks.inode != marks.inode {
            return Ok(None);
        }
        if found.marks == marks {
            return Ok(Some(Version(version)));
        }
        let mut seen = self.seen.write();
        if seen.marks != found.marks {
            let is_touched = seen.is_touched || !self.is_device && found.marks.changed != seen.marks.changed;
            *seen = Seen { marks: found.marks, version: seen.version + 1, is_touched };
        }
        Ok(Some(Version(seen.version)))
    }

    fn open(&self) -> io::Result<File> {
        // If a pipe has taken its place, opening does not wait for a writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(&self.path)
    }
}

/// Whether a blob has the digest it is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Not read whole yet.
    Unverified = 0,
    Verified = 1,
    /// It was read and has another digest.
    Bad = 2,
}

#[derive(Debug)]
enum Content {
    InFile {
        file: Arc<MediumFile>,
        offset: u64,
    },
    /// Derived from what is on the medium, and verified then.
    InMemory(Bytes),
}

/// A blob on a medium.
#[derive(Debug)]
pub(crate) struct MediumBlob {
    digest: Digest,
    size: u64,
    content: Content,
    /// A [`Trust`] in the lowest two bits, above it the version of the file it is about.
    trust: AtomicU64,
    /// The byte at which a read failed last.
    failed_at: AtomicU64,
}

/// No read has failed.
const NONE: u64 = u64::MAX;

impl MediumBlob {
    /// `size` bytes of `file` from `offset`, said to have `digest`; `verified` if they were just hashed.
    pub(crate) fn located(digest: Digest, file: Arc<MediumFile>, offset: u64, size: u64, verified: bool) -> Self {
        let trust = if verified && !file.is_device { Trust::Verified } else { Trust::Unverified };
        let failed_at = AtomicU64::new(NONE);
        Self { digest, size, content: Content::InFile { file, offset }, trust: AtomicU64::new(trust as u64), failed_at }
    }

    /// Bytes that have `digest`.
    pub(crate) const fn held(digest: Digest, bytes: Bytes) -> Self {
        let (size, trust) = (bytes.len() as u64, AtomicU64::new(Trust::Verified as u64));
        Self { digest, size, content: Content::InMemory(bytes), trust, failed_at: AtomicU64::new(NONE) }
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// File and byte at which it begins: blobs are read in this order.
    pub(crate) fn position(&self) -> (&str, u64) {
        match &self.content {
            Content::InFile { file, offset } => (&file.shown, *offset),
            Content::InMemory(_) => ("", 0),
        }
    }

    /// Whether a copy at `offset` of `file` is nothing new: it is this one, or this one is in memory.
    pub(crate) fn is_at(&self, file: &Arc<MediumFile>, offset: u64) -> bool {
        match &self.content {
            Content::InFile { file: own, offset: at } => Arc::ptr_eq(own, file) && *at == offset,
            Content::InMemory(_) => true,
        }
    }

    /// Whether it was derived from what is on the medium and is not on it in this form.
    pub(crate) const fn is_in_memory(&self) -> bool {
        matches!(self.content, Content::InMemory(_))
    }

    /// The threads that read it; none for bytes in memory.
    pub(crate) fn threads(&self) -> Option<&OwnThreads> {
        match &self.content {
            Content::InFile { file, .. } => Some(&file.threads),
            Content::InMemory(_) => None,
        }
    }

    /// Whether no call about its file may be made on a thread that others need.
    pub(crate) fn may_hang(&self) -> bool {
        matches!(&self.content, Content::InFile { file, .. } if file.is_remote)
    }

    /// Runs what reads the medium on the medium's own threads.
    ///
    /// # Errors
    /// Also when the medium does not answer in time.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Arc<Self>) -> Result<T, MediumError> + Send + 'static,
    ) -> Result<T, MediumError> {
        let Some(threads) = self.threads() else { return question(self) };
        let blob = self.clone();
        threads.run(move || question(&blob)).await.unwrap_or_else(|hung| Err(self.hung(hung)))
    }

    /// The error of a medium that does not answer.
    pub(crate) fn hung(&self, hung: Hung) -> MediumError {
        self.unreadable(&io::Error::other(hung))
    }

    pub(crate) fn trust(&self) -> Trust {
        let recorded = self.trust.load(Ordering::Acquire);
        let version = if let Content::InFile { file, .. } = &self.content { file.seen.read().version } else { 0 };
        if recorded >> 2 != version {
            return Trust::Unverified;
        }
        match recorded & 3 {
            0 => Trust::Unverified,
            1 => Trust::Verified,
            _ => Trust::Bad,
        }
    }

    /// What is about to be read from `file`, for [`MediumBlob::found`]. None when that says nothing about the next read.
    pub(crate) fn version(&self, file: &File) -> Option<Version> {
        match &self.content {
            Content::InFile { file: mounted, .. } => mounted.version_of(file, true).ok().flatten(),
            Content::InMemory(_) => None,
        }
    }

    /// Records the digest that reading all of it gave; fails if it is another. `read` is from before the first byte was
    /// read: what is changed meanwhile is not verified. A bad blob stays bad as long as its file shows no change; one on a
    /// device is never verified for good.
    pub(crate) fn found(&self, digest: &Digest, read: Option<Version>) -> Result<(), MediumError> {
        let matches = *digest == self.digest;
        let is_device = matches!(&self.content, Content::InFile { file, .. } if file.is_device);
        if let Some(Version(version)) = read.filter(|_| !(matches && is_device)) {
            let trust = if matches { Trust::Verified } else { Trust::Bad };
            // The greatest is the newest, and of one version the worst.
            self.trust.fetch_max(version << 2 | trust as u64, Ordering::AcqRel);
        }
        if matches { Ok(()) } else { Err(self.damaged()) }
    }

    /// The error of another digest: what was mounted is damaged, or is not there any more.
    pub(super) fn damaged(&self) -> MediumError {
        let (digest, file) = (self.digest, self.position().0.to_owned());
        match &self.content {
            Content::InFile { file: mounted, .. } if mounted.seen.read().is_touched => {
                MediumError::Changed { digest, file }
            }
            _ => MediumError::Damaged { digest, file },
        }
    }

    pub(crate) fn unreadable(&self, error: &io::Error) -> MediumError {
        let reason = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "it is not there".into(),
            _ => error.to_string(),
        };
        MediumError::Unreadable { digest: self.digest, file: self.position().0.to_owned(), reason }
    }

    /// Records a read error at byte `at`; later opens probe that byte first and fail early.
    pub(crate) fn read_failed(&self, at: u64, error: &io::Error) -> MediumError {
        self.failed_at.store(at, Ordering::Relaxed);
        self.unreadable(error)
    }

    /// Probes the byte that could not be read last. May wait for the medium.
    fn probe(&self, file: &File, offset: u64) -> Result<(), MediumError> {
        let at = self.failed_at.load(Ordering::Relaxed);
        if at == NONE {
            return Ok(());
        }
        match file.read_at(&mut [0], offset + at) {
            Ok(0) => Err(self.unreadable(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                self.failed_at.store(NONE, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Whether `file`, opened earlier, can still be served from. If not, opening it again gives the reason.
    pub(crate) fn check(&self, file: &File) -> Result<(), MediumError> {
        if self.failed_at.load(Ordering::Relaxed) != NONE {
            return Err(self.unreadable(&io::Error::other("an earlier read failed")));
        }
        self.check_file(file, true)
    }

    /// Whether `file` can be the one the blob was found in, and the blob is not known to be bad. Afterwards the blob is
    /// trusted only if it was verified in what the file is now.
    fn check_file(&self, file: &File, same_inode: bool) -> Result<(), MediumError> {
        if let Content::InFile { file: mounted, .. } = &self.content {
            match mounted.version_of(file, same_inode) {
                Ok(Some(_)) => {}
                Ok(None) => return Err(MediumError::Changed { digest: self.digest, file: mounted.shown.clone() }),
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
        if self.trust() == Trust::Bad { Err(self.damaged()) } else { Ok(()) }
    }

    /// Opens its file and says at which byte it begins; a small blob is re-hashed on the way.
    pub(crate) fn open(&self) -> Result<(File, u64), MediumError> {
        let failed = |error: io::Error| self.unreadable(&error);
        match &self.content {
            Content::InFile { file: mounted, offset } => {
                let file = mounted.open().map_err(failed)?;
                self.check_file(&file, false)?;
                self.probe(&file, *offset)?;
                if self.trust() == Trust::Unverified && self.size <= SMALL {
                    let version = self.version(&file);
                    self.found(&self.digest.algorithm().digest(&self.read(&file, *offset)?), version)?;
                }
                Ok((file, *offset))
            }
            Content::InMemory(bytes) => {
                // As a file it is served like every other blob.
                let file = File::from(memfd_create("blob", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?);
                file.write_all_at(bytes, 0).map_err(failed)?;
                Ok((file, 0))
            }
        }
    }

    /// All of a blob that is small enough to be held in memory.
    pub(crate) fn read(&self, file: &File, offset: u64) -> Result<Vec<u8>, MediumError> {
        let mut content = vec![0; usize::try_from(self.size).unwrap_or(0)];
        file.read_exact_at(&mut content, offset).map_err(|error| self.unreadable(&error))?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_blob_on_a_device_is_re_hashed_each_time_it_is_opened_and_never_trusted() {
        // Whether it is a device is all that differs: a loop device needs rights a test may not have.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"a layer").unwrap();
        let digest = Algorithm::Sha256.digest(b"a layer");
        for is_device in [false, true] {
            let mounted = MediumFile::new(file.as_file(), file.path(), "sdb".into()).unwrap();
            let mounted = Arc::new(MediumFile { is_device, ..mounted });
            let blob = MediumBlob::located(digest, mounted.clone(), 0, 7, true);
            assert_eq!(blob.trust() == Trust::Verified, !is_device);
            let blob = MediumBlob::located(digest, mounted.clone(), 0, 7, false);
            blob.open().unwrap();
            assert_eq!(blob.trust() == Trust::Verified, !is_device);
            let other = MediumBlob::located(Algorithm::Sha256.digest(b"another"), mounted, 0, 7, false);
            assert!(matches!(other.open(), Err(MediumError::Damaged { .. })));
        }
    }
}
