//! Bytes by digest, wherever they are: files of the data folder, media that are served in place.
//!
//! A digest makes all copies equal, so the nearest place that has a blob serves it. Invariants: a blob of the data folder
//! is absent or whole; a blob of a medium is trusted only after it was hashed. Names and visibility are in `catalog`.

mod blob;
mod files;
mod lease;
mod medium;
mod medium_blob;
mod medium_error;
mod place;
mod upload;
mod write_behind;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

pub use blob::Blob;
pub(crate) use files::Files;
pub(crate) use lease::Lease;
pub(crate) use medium::{Medium, Unfinished, re_hash};
pub(crate) use medium_blob::{MediumBlob, MediumFile, Trust, Version};
pub use medium_error::MediumError;
pub(crate) use place::{Answer, Depot, Place};
pub use upload::UploadSummary;
pub(crate) use upload::{OpenUpload, Uploads};
pub(crate) use write_behind::WriteBehind;
pub(crate) use writer::{Adopted, Sealed, Writer};

use crate::cache::Cache;
use crate::disk::{DiskError, Layout};
use crate::error::Error;
use crate::oci::Digest;

/// How many blobs are kept open at most, and the share of the process's limit of open files they may use.
const OPEN: usize = 256;
const OPEN_SHARE: u64 = 4;

/// All places, the nearest first: open handles, files, media.
#[derive(Debug)]
pub(crate) struct Blobs {
    open: Cache<Digest, Blob>,
    /// Where new blobs are written.
    pub(crate) depot: Files,
    pub(crate) uploads: Uploads,
    /// What was mounted last comes first.
    media: RwLock<Arc<[Arc<Medium>]>>,
}

impl Blobs {
    /// Opens the places of a data folder; blocks.
    pub(crate) fn open(layout: &Layout) -> Result<Self, DiskError> {
        Ok(Self {
            open: Cache::new(kept_open(), OPEN),
            depot: Files::new(layout.clone()),
            uploads: Uploads::open(layout.clone())?,
            media: RwLock::default(),
        })
    }

    /// Serves a medium's blobs from now on.
    pub(crate) fn mount(&self, medium: Arc<Medium>) {
        let mut media = self.media.write();
        *media = std::iter::once(medium).chain(media.iter().cloned()).collect();
    }

    /// The media that are mounted, the nearest first.
    pub(crate) fn media(&self) -> Arc<[Arc<Medium>]> {
        self.media.read().clone()
    }

    /// The blob, if a handle on it is open and still valid. Only for a medium's blob this asks the file system: whether its
    /// file is still the one that was mounted. Where that may hang, the blob is opened again instead, on the medium's threads.
    pub(crate) fn find_open(&self, digest: &Digest, size: u64) -> Option<Blob> {
        let blob = self.open.get(digest).filter(|blob| blob.size() == size && !blob.may_hang())?;
        match blob.check() {
            Ok(()) => Some(blob),
            Err(_) => {
                self.open.remove(digest);
                None
            }
        }
    }

    /// The blob of the data folder; `size` is what its link or a manifest says it has.
    pub(crate) async fn find_stored(&self, digest: &Digest, size: u64) -> Result<Option<Blob>, Error> {
        let ticket = self.open.ticket(digest);
        let found = self.depot.find(digest, Some(size)).await?;
        if let Some(blob) = &found {
            self.open.insert(ticket, *digest, blob.clone(), 1);
        }
        Ok(found)
    }

    /// The blob from the nearest medium that can give it. Fails with the nearest one's error if one has it and none can give
    /// it. Not to be waited for on a thread that others need: a medium may take its time.
    pub(crate) async fn find_on_media(&self, digest: &Digest, size: u64) -> Result<Option<Blob>, Error> {
        let ticket = self.open.ticket(digest);
        let mut failed = None;
        for medium in self.media().iter() {
            match medium.find(digest, Some(size)).await {
                Ok(Some(blob)) => {
                    self.open.insert(ticket, *digest, blob.clone(), 1);
                    return Ok(Some(blob));
                }
                Ok(None) => {}
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The sizes of blobs, in bytes, where the nearest place has them.
    pub(crate) async fn sizes(&self, digests: &[Digest]) -> Result<Vec<Option<u64>>, Error> {
        let mut sizes = self.depot.sizes(digests).await?;
        for medium in self.media().iter() {
            for (size, digest) in sizes.iter_mut().zip(digests) {
                *size = size.or_else(|| medium.size(digest));
            }
        }
        Ok(sizes)
    }

    /// The whole of a small blob, re-hashed. `None` when no place has it, or none that is at most `limit` bytes.
    pub(crate) async fn read(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.depot.read(digest, limit).await? {
            return Ok(Some(bytes));
        }
        for medium in self.media().iter() {
            if let Some(bytes) = medium.read(digest, limit).await? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Closes an open handle on a damaged file that was replaced, or on a medium, which is not needed for it any more.
    pub(crate) fn adopted(&self, digest: &Digest, adopted: Adopted) {
        if adopted != Adopted::There {
            self.open.remove(digest);
        }
    }

    /// Moves a damaged file to quarantine, if it still is the one that was read. See [`Depot::quarantine`].
    pub(crate) async fn quarantine(&self, damaged: &Blob) -> Result<bool, Error> {
        let moved = self.depot.quarantine(damaged).await?;
        self.open.remove(&damaged.digest());
        Ok(moved)
    }

    /// Whether an answer is being served from a medium.
    pub(crate) fn is_serving_from_medium(&self) -> bool {
        // Every answer holds its blob until its end, so nothing has to be counted.
        self.open.any(Blob::is_read_from_medium)
    }
}

fn kept_open() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files / OPEN_SHARE).ok()).map_or(OPEN, |share| share.min(OPEN))
}

#[cfg(test)]
mod tests;
