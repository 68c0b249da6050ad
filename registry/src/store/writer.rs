//! Writing one blob: temporary file, hashed while hot, write-back started early, synced, then named by its digest.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use super::blobs::{Adopted, Blobs};
use super::durable::create_file;
use super::error::{Context, StoreError};
use super::write_back::WriteBack;
use super::write_behind::{Behind, WriteBehind};
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
    sealed: bool,
}

/// A blob whose content is complete: its file is written, its digest known; it has no name yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    path: PathBuf,
    file: Option<File>,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Writer {
    /// A blob that, once it is large, is hashed and written by `thread`.
    pub(crate) fn create(blobs: &Blobs, algorithm: Algorithm, thread: WriteBehind) -> Result<Self, StoreError> {
        let path = blobs.temporary();
        let file = create_file(&path)?;
        Ok(Self {
            path,
            file,
            hasher: algorithm.hasher(),
            size: 0,
            write_back: WriteBack::default(),
            behind: None,
            thread: Some(thread),
            sealed: false,
        })
    }

    /// Takes in the next piece. Pieces of 64 KiB to 1 MiB hash fastest.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
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

    /// Ends the content.
    pub(crate) fn seal(mut self) -> Result<Sealed, StoreError> {
        let digest = match self.behind.take() {
            Some(behind) => behind.finish().on("write", &self.path)?,
            None => self.hasher.clone().finish(),
        };
        self.sealed = true;
        let file = self.file.try_clone().on("keep open", &self.path)?;
        Ok(Sealed { path: self.path.clone(), file: Some(file), digest, size: self.size })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.sealed {
            // Best effort: what stays is swept at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Sealed {
    /// Syncs the content and gives it its name.
    ///
    /// # Durability
    /// The name is durable only after [`Blobs::sync`].
    pub(crate) fn adopt(mut self, blobs: &Blobs) -> Result<Adopted, StoreError> {
        if blobs.size(&self.digest)? == Some(self.size) {
            return Ok(Adopted::There);
        }
        if let Some(file) = self.file.take() {
            file.sync_all().on("sync", &self.path)?;
        }
        let path = std::mem::take(&mut self.path);
        blobs.adopt(&path, &self.digest).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
