//! Writing one blob: to a temporary file, hashed while its bytes are in the processor's cache. It is then synced and
//! renamed to its digest (see `files`).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::lease::{Lease, Leases};
use super::write_behind::{Behind, WriteBack, WriteBehind};
use crate::disk::{Context, DiskError, Layout, create_file};
use crate::oci::{Algorithm, Digest, Hasher};

/// From this size in bytes on a blob is written behind; for smaller ones the hand-over costs more than it saves.
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

/// What happened to a file that was to take a blob's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// It has the name.
    New,
    /// It replaced a damaged one, which open handles read.
    Mended,
    /// An equal one already has the name.
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

    /// Appends a piece. Pieces of 64 KiB to 1 MiB hash fastest.
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

    /// Writes on the calling thread however large the blob becomes.
    pub(crate) fn write_inline(&mut self) {
        self.thread = None;
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Ends the content. Garbage collection does not remove the blob while the lease is held.
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
            // Best effort: the next start removes what is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Sealed {
    /// The content of an upload.
    pub(super) const fn of_upload(path: PathBuf, file: File, digest: Digest, size: u64) -> Self {
        Self { path, file: Some(file), temporary: false, digest, size }
    }

    /// Makes the content durable; the name follows.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        if let Some(file) = &self.file {
            file.sync_all().on("sync", &self.path)?;
            self.file = None;
        }
        Ok(())
    }

    /// Makes the content durable, and then renames it to `path`.
    pub(super) fn place(&mut self, path: &Path) -> Result<(), DiskError> {
        self.sync()?;
        fs::rename(&self.path, path).on("put in place", path)?;
        self.temporary = false;
        Ok(())
    }

    /// Whether the content is durable.
    pub(crate) const fn is_synced(&self) -> bool {
        self.file.is_none()
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_file(&self.path);
        }
    }
}
