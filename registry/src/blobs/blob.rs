//! A blob opened for reading: a range of a file, in the data folder or on a medium.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::medium_blob::{MediumBlob, Trust};
use super::medium_error::MediumError;
use crate::oci::Digest;

/// A blob opened for reading. Cheap to clone; stays readable if the blob is unlinked meanwhile.
#[derive(Clone, Debug)]
pub struct Blob(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    digest: Digest,
    size: u64,
    file: File,
    /// Where it begins in the file: a medium's blobs may be within tars.
    offset: u64,
    medium: Option<Arc<MediumBlob>>,
    // Filled by the server when it first sends the blob over a plain connection.
    mapping: OnceLock<Option<Bytes>>,
}

impl Blob {
    /// A blob that is a whole file.
    pub(crate) fn of(file: File, digest: Digest, size: u64) -> Self {
        Self(Arc::new(Opened { digest, size, file, offset: 0, medium: None, mapping: OnceLock::new() }))
    }

    /// A blob that begins at `offset` of a file on a medium.
    pub(crate) fn on_medium(file: File, offset: u64, medium: Arc<MediumBlob>) -> Self {
        let (digest, size, mapping) = (medium.digest(), medium.size(), OnceLock::new());
        Self(Arc::new(Opened { digest, size, file, offset, medium: Some(medium), mapping }))
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
        &self.0.file
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
        self.0.medium.as_ref().map_or(Ok(()), |medium| medium.check(&self.0.file))
    }

    /// The server's mapping, kept while the blob is open. `make` creates it from the file, the offset and the size.
    pub(crate) fn mapping(&self, make: impl FnOnce(&File, u64, u64) -> Option<Bytes>) -> Option<Bytes> {
        self.0.mapping.get_or_init(|| make(&self.0.file, self.0.offset, self.0.size)).clone()
    }
}
