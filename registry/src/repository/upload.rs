//! Uploading blobs (end-4 to end-6, end-13, end-14).

use std::sync::Arc;

use bytes::Bytes;

use crate::blobs::OpenUpload;
use crate::catalog::Changes;
use crate::core::Core;
use crate::disk::threads::{blocking, composed};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, RepositoryName, UploadId};

use super::Repository;

/// An upload held by one request. When it is dropped, it stays on disk, and another request can continue it.
#[derive(Debug)]
pub struct Upload {
    core: Arc<Core>,
    repository: RepositoryName,
    open: OpenUpload,
}

impl Repository {
    /// Begins an upload whose bytes are hashed with `algorithm` as they arrive. It may be finished with a digest of another
    /// algorithm, but then all of it is read again.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`].
    pub async fn start_upload(&self, algorithm: Algorithm) -> Result<Upload, Error> {
        let (core, repository) = (self.core.clone(), self.name.clone());
        blocking(move || {
            let open = core.blobs.uploads.create(&repository, algorithm, core.settings.max_uploads)?;
            Ok(Upload { core, repository, open })
        })
        .await
    }

    /// Takes an upload of this repository to continue it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::UploadBusy`] while another request holds it.
    pub async fn upload(&self, id: UploadId) -> Result<Upload, Error> {
        let (core, repository) = (self.core.clone(), self.name.clone());
        blocking(move || {
            let open = core.blobs.uploads.take(&repository, id)?;
            Ok(Upload { core, repository, open })
        })
        .await
    }

    /// The size of an upload in bytes, without taking it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn upload_size(&self, id: UploadId) -> Result<u64, Error> {
        let (core, repository) = (self.core.clone(), self.name.clone());
        blocking(move || core.blobs.uploads.size(&repository, id)).await
    }

    /// Cancels an upload and removes its bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn cancel_upload(&self, id: UploadId) -> Result<(), Error> {
        let (core, repository) = (self.core.clone(), self.name.clone());
        blocking(move || core.blobs.uploads.cancel(&repository, id)).await
    }
}

impl Upload {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> UploadId {
        self.open.id
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.open.size
    }

    /// Adds bytes at the end, hashing them while they are still in the processor's cache.
    ///
    /// # Errors
    /// When the disk refuses; the upload is as long as before and can be continued.
    ///
    /// # Cancel safety
    /// Complete once it was polled: it does not wait for anything.
    #[allow(clippy::unused_async, reason = "a depot that is not a local disk will wait here")]
    #[allow(clippy::needless_pass_by_value, reason = "a depot that is not a local disk will keep the bytes")]
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        // On this thread: handing pieces to another one takes half as long again (measured), and writing to the page cache
        // does not block.
        Ok(self.open.append(&bytes)?)
    }

    /// Ends the upload: its content becomes a blob that is visible in the repository. Returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is stored, and the upload stays as it is.
    ///
    /// # Durability
    /// Blob and link are durable when it returns.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn finish(self, expected: Digest) -> Result<u64, Error> {
        let Self { core, repository, open } = self;
        let write = core.catalog.files.write(&repository).await?;
        composed(async move || {
            let (open, size) = adopt(&core, open, expected).await?;
            // Garbage collection must not remove it before it is linked.
            let _lease = core.blobs.depot.leases.hold(expected);
            write.commit(Changes { blobs: vec![(expected, size)], ..Changes::of(repository) }).await?;
            open.end()?;
            Ok(size)
        })
        .await
    }
}

/// Makes the content a blob, durable with its name.
async fn adopt(core: &Arc<Core>, mut open: OpenUpload, expected: Digest) -> Result<(OpenUpload, u64), Error> {
    let core = core.clone();
    blocking(move || {
        let (found, size) = (open.digest(expected.algorithm())?, open.size);
        if found != expected {
            return Err(Error::DigestMismatch { expected, found });
        }
        let files = &core.blobs.depot;
        let mut sealed = open.seal(expected)?;
        let adopted = match files.adopt(&mut sealed) {
            Ok(adopted) => adopted,
            Err(error) => {
                if !sealed.is_synced() {
                    open.end()?;
                }
                return Err(error.into());
            }
        };
        // Also when the blob was there: the request that stored it may not have synced the folder yet.
        files.sync(expected.algorithm())?;
        core.blobs.adopted(&expected, adopted);
        Ok((open, size))
    })
    .await
}
