//! Blobs by digest, once for all repositories.
//!
//! A blob is absent or whole: it takes its name only after its size and digest matched and it is synced. Nothing here
//! knows which repository may see it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::durable::sync_folder;
use super::error::{Context, StoreError, absent_is_none};
use super::layout::Layout;
use super::medium::{MediumBlob, MediumError, Trust};
use crate::oci::{Algorithm, Digest};

/// What an operator does about a blob the disk has damaged.
const MEND: &str =
    "move it aside with `airdock verify --remove-damaged`, then ingest its bundle or push its image again";

/// A blob opened for reading. Cheap to clone; keeps streaming if the blob is unlinked meanwhile.
#[derive(Clone, Debug)]
pub struct Blob(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    digest: Digest,
    size: u64,
    file: File,
    /// Where it begins in the file: a medium's blobs lie within tars.
    offset: u64,
    medium: Option<Arc<MediumBlob>>,
    // Filled by the server when it first sends the blob over a plain connection.
    mapping: OnceLock<Option<Bytes>>,
}

impl Blob {
    /// A blob that is in no store.
    #[cfg(test)]
    pub(crate) fn of(file: File, digest: Digest, size: u64) -> Self {
        Self::new(file, 0, digest, size, None)
    }

    fn new(file: File, offset: u64, digest: Digest, size: u64, medium: Option<Arc<MediumBlob>>) -> Self {
        Self(Arc::new(Opened { digest, size, file, offset, medium, mapping: OnceLock::new() }))
    }

    /// A blob that begins at `offset` of a file on a medium.
    pub(crate) fn on_medium(file: File, offset: u64, medium: Arc<MediumBlob>) -> Self {
        Self::new(file, offset, medium.digest(), medium.size(), Some(medium))
    }

    /// Its digest, as it was asked for.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The file, to be read by position only: its cursor is shared. The blob begins at [`Blob::offset`].
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0.file
    }

    /// Where in the file its first byte lies; 0 for every blob of the store.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The medium's blob this is, while nobody has read all of it and found that it has its digest: then it may only go
    /// out whole, and hashed on the way.
    pub(crate) fn unverified(&self) -> Option<&Arc<MediumBlob>> {
        self.0.medium.as_ref().filter(|medium| medium.trust() != Trust::Verified)
    }

    /// Whether it lies on a medium.
    pub(crate) fn is_on_medium(&self) -> bool {
        self.0.medium.is_some()
    }

    /// Says in the log that an answer ended at the byte `at` because the file could not be read; a medium's is looked at
    /// anew before the next answer begins.
    pub(crate) fn broken_off(&self, at: u64, error: &std::io::Error) {
        match &self.0.medium {
            Some(medium) => {
                let problem = medium.stuck(at, error);
                tracing::error!(%problem, "serving a blob was broken off before its end");
            }
            None => {
                tracing::error!(digest = %self.digest(), %error, "a blob's file cannot be read; serving it was broken off");
            }
        }
    }

    /// Whether it lies on a medium and somebody besides who asks has it: an answer that is on its way out.
    pub(crate) fn is_read_from_medium(&self) -> bool {
        self.0.medium.is_some() && Arc::strong_count(&self.0) > 1
    }

    /// Whether what was opened can still be relied on: a store's file is, a medium's may be pulled out or changed.
    pub(crate) fn check(&self) -> Result<(), MediumError> {
        self.0.medium.as_ref().map_or(Ok(()), |medium| medium.check(&self.0.file))
    }

    /// What `make` made of the file the first time (its offset and size are given): the server's mapping, kept as long as
    /// the blob is open.
    pub(crate) fn mapping(&self, make: impl FnOnce(&File, u64, u64) -> Option<Bytes>) -> Option<Bytes> {
        self.0.mapping.get_or_init(|| make(&self.0.file, self.0.offset, self.0.size)).clone()
    }
}

/// What became of a file that was put in place as a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// There was none.
    New,
    /// There was one of another size: whoever holds it open reads from a damaged file.
    Mended,
    /// There was one.
    There,
}

/// The blobs of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    layout: Layout,
}

impl Blobs {
    pub(crate) const fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// The blob, or `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its file does not have the `size` the blob had when it was taken.
    pub(crate) fn open_sized(&self, digest: &Digest, size: u64) -> Result<Option<Blob>, StoreError> {
        match self.open(digest)? {
            Some(blob) if blob.size() != size => Err(StoreError::damaged(
                &self.layout.blob(digest),
                format!("it has {} bytes where {size} belong; {MEND}", blob.size()),
            )),
            blob => Ok(blob),
        }
    }

    /// The blob at whatever size its file has, or `None` where there is none.
    fn open(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let path = self.layout.blob(digest);
        let Some(file) = absent_is_none(File::open(&path)).on("open", &path)? else {
            return Ok(None);
        };
        let size = file.metadata().on("read the size of", &path)?.len();
        Ok(Some(Blob::new(file, 0, *digest, size, None)))
    }

    /// The blob's size in bytes, or `None` where there is none.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.layout.blob(digest);
        Ok(absent_is_none(fs::metadata(&path)).on("look for", &path)?.map(|metadata| metadata.len()))
    }

    /// The whole of a small blob, checked against its digest: for manifests, whose bytes decide what a node runs.
    pub(crate) fn read(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, StoreError> {
        let path = self.layout.blob(digest);
        let Some(blob) = self.open(digest)? else { return Ok(None) };
        if blob.size() > limit as u64 {
            return Err(StoreError::damaged(
                &path,
                format!("it has {} bytes where at most {limit} belong; {MEND}", blob.size()),
            ));
        }
        let mut bytes = vec![0; usize::try_from(blob.size()).unwrap_or(limit)];
        std::os::unix::fs::FileExt::read_exact_at(blob.file(), &mut bytes, 0).on("read", &path)?;
        if digest.algorithm().digest(&bytes) != *digest {
            return Err(StoreError::damaged(&path, format!("its content does not have its digest; {MEND}")));
        }
        Ok(Some(bytes.into()))
    }

    /// Puts a synced file in place as `digest`; an equal one that is there stays.
    ///
    /// # Durability
    /// The name is durable only after [`Blobs::sync`].
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<Adopted, StoreError> {
        let path = self.layout.blob(digest);
        let size = fs::metadata(file).on("read the size of", file)?.len();
        match self.size(digest)? {
            // Two writers of one digest at once: both succeed, the bytes are the same.
            Some(there) if there == size => {
                fs::remove_file(file).on("remove", file)?;
                Ok(Adopted::There)
            }
            // A blob cut short by a disk's fault: the verified copy takes its place.
            there => {
                fs::rename(file, &path).on("put in place", &path)?;
                Ok(if there.is_some() { Adopted::Mended } else { Adopted::New })
            }
        }
    }

    /// The blob's file as it is, or `None` where there is none: for looking whether it is damaged.
    pub(crate) fn file(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.layout.blob(digest);
        absent_is_none(File::open(&path)).on("open", &path)
    }

    /// Hands every blob's digest to `visit`, in no order, until that says no.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(Digest) -> Result<bool, StoreError>) -> Result<(), StoreError> {
        for algorithm in Algorithm::ALL {
            let folder = self.layout.blobs(algorithm);
            let Some(entries) = absent_is_none(fs::read_dir(&folder)).on("list", &folder)? else { continue };
            for entry in entries {
                let name = entry.on("list", &folder)?.file_name();
                let digest = name.to_str().and_then(|name| format!("{algorithm}:{name}").parse().ok());
                if let Some(digest) = digest
                    && !visit(digest)?
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Moves a blob's file to where no blob is looked for. Durable when it returns.
    pub(crate) fn move_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        let (path, aside, folder) = (self.layout.blob(digest), self.layout.damaged_blob(digest), self.layout.damaged());
        fs::create_dir_all(&folder).on("make", &folder)?;
        fs::rename(&path, &aside).on("move aside", &path)?;
        sync_folder(&folder)?;
        self.sync(digest.algorithm())
    }

    /// Makes the names of the blobs of one algorithm durable.
    pub(crate) fn sync(&self, algorithm: Algorithm) -> Result<(), StoreError> {
        sync_folder(&self.layout.blobs(algorithm))
    }

    /// A new temporary file's path.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.layout.incoming().join(uuid::Uuid::new_v4().to_string())
    }
}
