//! Uploading blobs (end-4 to end-6, end-13, end-14).

use std::sync::Arc;

use bytes::Bytes;

use crate::blobs::{OpenUpload, Sealed};
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
    /// algorithm, but then all of it is read again, once. Not durable, and nothing is written, before its first byte.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`]; [`Error::TooManyUploadsOfClient`].
    #[allow(clippy::unused_async, reason = "a depot that is not a local disk will wait here")]
    pub async fn start_upload(&self, algorithm: Algorithm) -> Result<Upload, Error> {
        let (core, limit) = (self.core.clone(), self.core.settings.max_uploads);
        let open = core.blobs.uploads.create(&self.name, algorithm, self.client, limit)?;
        Ok(Upload { core, repository: self.name.clone(), open })
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

    /// Cancels an upload and removes its bytes. A request that is adding to it is told that it is unknown.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], also when its content is just becoming a blob.
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
    /// When the disk refuses: the upload is as long as before and can be continued. [`Error::UploadUnknown`] when it was
    /// cancelled meanwhile.
    ///
    /// # Cancel safety
    /// Adds all of the bytes or none.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.open.check()?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.make_file().await?;
        // On this thread: handing pieces to another one takes half as long again (measured), and writing to the page cache
        // does not block.
        Ok(self.open.append(&bytes)?)
    }

    async fn make_file(&mut self) -> Result<(), Error> {
        if let Some(first) = self.open.first_byte() {
            self.open.stored(blocking(move || first.make()).await?);
        }
        Ok(())
    }

    /// Leaves the upload for another request to continue. Returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] when it was cancelled meanwhile: its bytes are gone.
    pub fn leave(self) -> Result<u64, Error> {
        self.open.leave()
    }

    /// Ends the upload: its content becomes a blob that is visible in the repository. Returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is stored, and the upload stays as it is. [`Error::UploadUnknown`] when it
    /// was cancelled meanwhile.
    ///
    /// # Durability
    /// Blob and link are durable when it returns.
    ///
    /// # Cancel safety
    /// Dropped before the repository is locked, the upload stays as it is; afterwards it goes on to its end.
    pub async fn finish(mut self, expected: Digest) -> Result<u64, Error> {
        self.make_file().await?;
        let Self { core, repository, open } = self;
        // Hashed and synced before the repository is locked: both take as long as the blob is large.
        let checking = core.clone();
        let (mut open, sealed) = blocking(move || check(&checking, open, expected)).await?;
        let write = core.catalog.files.write(&repository).await?;
        composed(async move || {
            open.close()?;
            // Garbage collection must not remove it before it is linked.
            let _lease = core.blobs.depot.leases.hold(expected);
            let size = open.size;
            let open = adopt(&core, open, sealed).await?;
            write.commit(Changes { blobs: vec![(expected, size)], ..Changes::of(repository) }).await?;
            if let Err(error) = open.end() {
                // The blob is there, which is what was asked for.
                tracing::warn!(%error, "a finished upload was not removed; the sweep will do it");
            }
            Ok(size)
        })
        .await
    }
}

/// Checks the content's digest, and makes the content durable unless an equal blob is there.
fn check(core: &Core, mut open: OpenUpload, expected: Digest) -> Result<(OpenUpload, Sealed), Error> {
    let found = open.digest(expected.algorithm())?;
    if found != expected {
        return Err(Error::DigestMismatch { expected, found });
    }
    let mut sealed = open.seal(expected)?;
    if core.blobs.depot.size(&expected)? != Some(open.size)
        && let Err(error) = sealed.sync()
    {
        open.give_up();
        return Err(error.into());
    }
    Ok((open, sealed))
}

/// Makes the content a blob, durable with its name.
async fn adopt(core: &Arc<Core>, mut open: OpenUpload, mut sealed: Sealed) -> Result<OpenUpload, Error> {
    let core = core.clone();
    blocking(move || {
        let files = &core.blobs.depot;
        let digest = sealed.digest;
        let adopted = files.adopt(&mut sealed);
        if adopted.is_ok() || !sealed.is_synced() {
            // Its file has become the blob, is not needed, or cannot be used again.
            open.give_up();
        }
        core.blobs.adopted(&digest, adopted?);
        // Also when the blob was there: the request that stored it may not have synced the folder yet.
        files.sync(digest.algorithm())?;
        Ok(open)
    })
    .await
}
