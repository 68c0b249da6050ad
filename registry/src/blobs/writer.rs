//! Writing one blob: a temporary file that is hashed while its bytes are in the cache, whose write-back is started early,
//! that is synced, and then takes its name (see `files`).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::lease::{Lease, Leases};
use super::write_back::WriteBack;
use super::write_behind::{Behind, WriteBehind};
use crate::disk::{Context, DiskError, Layout, create_file};
use crate::oci::{Algorithm, Digest, Hasher};

/// From this size in bytes on a blob is hashed and written beside its reading; smaller ones are not worth the handing over.
const LARGE: u64 = 1024 * 1024;

/// A blob being written. Dropped before it is sealed, its file is removed.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    write_back: WriteBack,
    behind: Option<Behind>,
    thread: Option<WriteBehind>,
    leases: Leases,
    sealed: bool,
}

/// What became of a file that was to take a blob's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// It has the name.
    New,
    /// It replaced one of another size: a handle that is open reads a damaged file.
    Mended,
    /// An equal one has the name.
    There,
}

/// A blob whose content is complete and whose digest is known; it has no name yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    path: PathBuf,
    /// `None` once it is synced.
    file: Option<File>,
    /// Whether the file is removed when this is dropped: an upload's stays, so that its client can try again.
    temporary: bool,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Writer {
    /// A blob that, once it is large, is hashed and written by `thread`.
    pub(crate) fn create(
        layout: &Layout,
        leases: Leases,
        algorithm: Algorithm,
        thread: WriteBehind,
    ) -> Result<Self, DiskError> {
        let path = layout.temporary();
        let file = create_file(&path)?;
        Ok(Self {
            path,
            file,
            hasher: algorithm.hasher(),
            size: 0,
            write_back: WriteBack::default(),
            behind: None,
            thread: Some(thread),
            leases,
            sealed: false,
        })
    }

    /// Takes in the next piece. Pieces of 64 KiB to 1 MiB hash fastest.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.size += bytes.len() as u64;
        if let Some(behind) = &mut self.behind {
            behind.write(bytes);
            return Ok(());
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).on("write", &self.path)?;
        self.write_back.grown(&self.file, self.size);
        if self.size >= LARGE
            && let Some(thread) = self.thread.take()
        {
            let file = self.file.try_clone().on("keep open", &self.path)?;
            self.behind = Some(thread.file(file, self.size, self.hasher.clone()));
        }
        Ok(())
    }

    /// Does without the thread.
    pub(crate) fn write_inline(&mut self) {
        self.thread = None;
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Ends the content. The blob is leased: a garbage collector leaves it alone as long as the lease is held.
    pub(crate) fn seal(mut self) -> Result<(Sealed, Lease), DiskError> {
        let digest = match self.behind.take() {
            Some(behind) => behind.finish().on("write", &self.path)?,
            None => self.hasher.clone().finish(),
        };
        self.sealed = true;
        let file = self.file.try_clone().on("keep open", &self.path)?;
        let sealed = Sealed { path: self.path.clone(), file: Some(file), temporary: true, digest, size: self.size };
        Ok((sealed, self.leases.hold(digest)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.sealed {
            // Best effort: what stays is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Sealed {
    /// The content of an upload.
    pub(super) const fn of_upload(path: PathBuf, file: File, digest: Digest, size: u64) -> Self {
        Self { path, file: Some(file), temporary: false, digest, size }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the content durable.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        if let Some(file) = &self.file {
            file.sync_all().on("sync", &self.path)?;
            self.file = None;
        }
        Ok(())
    }

    /// Whether the content is durable.
    pub(crate) const fn is_synced(&self) -> bool {
        self.file.is_none()
    }

    /// The file has its name: it is kept.
    pub(super) const fn renamed(&mut self) {
        self.temporary = false;
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_file(&self.path);
        }
    }
}
