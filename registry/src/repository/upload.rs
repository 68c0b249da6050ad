//! Uploading blobs (end-4 to end-6, end-13, end-14).

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Algorithm, Digest, RepositoryName, UploadId};
use crate::registry::{Shared, blocking};
use crate::store::{Adopted, OpenUpload, Unavailable};

use super::Repository;

/// An upload held by one request. Dropped, it stays on disk at the size it has, and another request may go on.
#[derive(Debug)]
pub struct Upload {
    shared: Arc<Shared>,
    repository: RepositoryName,
    open: OpenUpload,
}

impl Repository {
    /// Begins an upload whose bytes are hashed with `algorithm` as they come. Another algorithm may still finish it, at
    /// the price of reading it again.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`].
    pub async fn start_upload(&self, algorithm: Algorithm) -> Result<Upload, Error> {
        let (shared, repository) = (self.shared.clone(), self.name.clone());
        blocking(move || {
            let limit = shared.settings.max_uploads;
            if shared.store.uploads.count()? >= limit {
                return Err(Error::TooManyUploads(limit));
            }
            let open = shared.store.uploads.create(&repository, algorithm)?;
            Ok(Upload { shared, repository, open })
        })
        .await
    }

    /// Takes an upload of this repository to go on with it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::UploadBusy`] while another request holds it.
    pub async fn upload(&self, id: UploadId) -> Result<Upload, Error> {
        let (shared, repository) = (self.shared.clone(), self.name.clone());
        blocking(move || match shared.store.uploads.take(&repository, id)? {
            Ok(open) => Ok(Upload { shared, repository, open }),
            Err(Unavailable::Unknown) => Err(Error::UploadUnknown(repository)),
            Err(Unavailable::Busy) => Err(Error::UploadBusy),
        })
        .await
    }

    /// How many bytes of an upload are there, without taking it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn upload_size(&self, id: UploadId) -> Result<u64, Error> {
        let (shared, repository) = (self.shared.clone(), self.name.clone());
        blocking(move || shared.store.uploads.size(&repository, id)?.ok_or(Error::UploadUnknown(repository))).await
    }

    /// Ends an upload and forgets its bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn cancel_upload(&self, id: UploadId) -> Result<(), Error> {
        let (shared, repository) = (self.shared.clone(), self.name.clone());
        blocking(move || match shared.store.uploads.cancel(&repository, id)? {
            true => Ok(()),
            false => Err(Error::UploadUnknown(repository)),
        })
        .await
    }
}

impl Upload {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> UploadId {
        self.open.id()
    }

    /// How many bytes are there.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.open.size()
    }

    /// Adds bytes at the end, hashing them while they are still in the processor's cache.
    ///
    /// # Errors
    /// When the disk refuses; the upload is as long as before and can go on.
    ///
    /// # Cancel safety
    /// Complete once it was polled: it does not wait for anything.
    #[allow(clippy::unused_async, reason = "a store that is not a local disk will wait here")]
    #[allow(clippy::needless_pass_by_value, reason = "a store that is not a local disk will keep the bytes")]
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        // On this thread: handing pieces to another one costs half as much again (measured), and a page cache that
        // takes writes does not block.
        Ok(self.open.append(&bytes)?)
    }

    /// Ends the upload: its content becomes a blob that may be seen in the repository. Gives its size in bytes.
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
        let Self { shared, repository, mut open } = self;
        let name = repository.clone();
        let finish = move |shared: &Shared, metadata: &Metadata| {
            let (found, size) = (open.digest(expected.algorithm())?, open.size());
            if found != expected {
                return Err(Error::DigestMismatch { expected, found });
            }
            let adopted = open.finish(&expected, &repository, &shared.store.blobs, &shared.store.links)?;
            let mut changes = Changes::default();
            changes.add_blob(&repository, &expected);
            metadata.apply(changes)?;
            if adopted == Adopted::Mended {
                // Others may hold the damaged file open.
                shared.blobs.clear();
            }
            Ok(size)
        };
        shared.change(&name, finish).await
    }
}
