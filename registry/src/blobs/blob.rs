//! A blob opened for reading: a range of a file, in the data folder or on a medium.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::medium_blob::{MediumBlob, Trust, Version};
use super::medium_error::MediumError;
use crate::oci::Digest;

/// A blob opened for reading. Cheap to clone; stays readable if the blob is unlinked meanwhile.
#[derive(Clone, Debug)]
pub struct Blob(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    digest: Digest,
    size: u64,
    // Taken only when it is dropped.
    file: Option<File>,
    /// Where it begins in the file: a medium's blobs may be within tars.
    offset: u64,
    medium: Option<Arc<MediumBlob>>,
    /// What the file was when it was opened, where asking again may hang: such a blob is opened for each answer.
    version: Option<Version>,
    // Filled by the server when it first sends the blob over a plain connection.
    mapping: OnceLock<Option<Bytes>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Closing a file waits for its file system, too.
        if let Some(medium) = self.medium.as_ref().filter(|medium| medium.may_hang())
            && let (Some(threads), Some(file)) = (medium.threads(), self.file.take())
        {
            threads.begin(Box::new(move || drop(file)));
        }
    }
}

impl Blob {
    /// A blob that is a whole file.
    pub(crate) fn of(file: File, digest: Digest, size: u64) -> Self {
        Self(Arc::new(Opened {
            digest,
            size,
            file: Some(file),
            offset: 0,
            medium: None,
            version: None,
            mapping: OnceLock::new(),
        }))
    }

    /// A blob that begins at `offset` of a file on a medium.
    pub(crate) fn on_medium(file: File, offset: u64, medium: Arc<MediumBlob>) -> Self {
        let (digest, size, mapping) = (medium.digest(), medium.size(), OnceLock::new());
        let version = if medium.may_hang() { medium.version(&file) } else { None };
        Self(Arc::new(Opened { digest, size, file: Some(file), offset, medium: Some(medium), version, mapping }))
    }

    /// Opens a blob of a medium.
    pub(crate) fn open_on_medium(medium: &Arc<MediumBlob>) -> Result<Self, MediumError> {
        let (file, offset) = medium.open()?;
        Ok(Self::on_medium(file, offset, medium.clone()))
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
        self.0.file.as_ref().expect("it is open as long as the blob is")
    }

    /// Where in the file its first byte is; 0 for every blob of the data folder.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The blob of a medium, if it is not re-hashed yet: then it may only be sent whole, and is hashed on the way.
    pub(crate) fn unverified(&self) -> Option<&Arc<MediumBlob>> {
        self.0.medium.as_ref().filter(|medium| medium.trust() != Trust::Verified)
    }

    /// What is about to be read of an unverified blob, for [`MediumBlob::found`].
    pub(crate) fn version(&self) -> Option<Version> {
        if self.may_hang() { self.0.version } else { self.unverified()?.version(self.file()) }
    }

    /// The blob of a medium.
    pub(crate) fn medium(&self) -> Option<&Arc<MediumBlob>> {
        self.0.medium.as_ref()
    }

    /// Whether no call about its file may be made on a thread that others need.
    pub(crate) fn may_hang(&self) -> bool {
        self.0.medium.as_ref().is_some_and(|medium| medium.may_hang())
    }

    /// Whether it is on a medium.
    pub(crate) fn is_on_medium(&self) -> bool {
        self.0.medium.is_some()
    }

    /// Logs that an answer ended at byte `at` because the file could not be read. On a medium, that byte is probed before
    /// the next answer.
    pub(crate) fn broken_off(&self, at: u64, error: &std::io::Error) {
        match &self.0.medium {
            Some(medium) => {
                let problem = medium.read_failed(at, error);
                tracing::error!(%problem, "an answer ended early: a blob cannot be read");
            }
            None => {
                tracing::error!(digest = %self.digest(), %error, "an answer ended early: a blob's file cannot be read");
            }
        }
    }

    /// Whether it is on a medium and an answer holds it besides the cache.
    pub(crate) fn is_read_from_medium(&self) -> bool {
        self.0.medium.is_some() && Arc::strong_count(&self.0) > 1
    }

    /// Whether it can still be served: a medium may have been pulled out or changed.
    pub(crate) fn check(&self) -> Result<(), MediumError> {
        self.0.medium.as_ref().map_or(Ok(()), |medium| medium.check(self.file()))
    }

    /// The server's mapping, kept while the blob is open. `make` creates it from the file, the offset and the size.
    pub(crate) fn mapping(&self, make: impl FnOnce(&File, u64, u64) -> Option<Bytes>) -> Option<Bytes> {
        self.0.mapping.get_or_init(|| make(self.file(), self.0.offset, self.0.size)).clone()
    }
}
