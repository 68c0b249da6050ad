//! The releases of a registry, for callers.

use super::error::ReleaseError;
use super::list::ReleaseList;
use super::record::ReleaseRecord;
use super::rollback::Rollback;
use crate::catalog::files::{Files, Folder};
use crate::error::Error;

/// The release log of one registry.
#[derive(Clone, Debug)]
pub struct Releases {
    files: Files,
}

impl Releases {
    pub(crate) const fn new(files: Files) -> Self {
        Self { files }
    }

    /// Every entry of the log. One that is damaged is reported and passed over.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn list(&self) -> Result<ReleaseList, Error> {
        self.files.read_log(Folder::list_releases).await
    }

    /// One entry of the log, whole.
    ///
    /// # Errors
    /// [`ReleaseError::Unknown`]; when the disk refuses or the entry is damaged.
    pub async fn show(&self, id: u64) -> Result<ReleaseRecord, Error> {
        self.files.read_log(move |folder| Ok(folder.log.read(id)?.ok_or(ReleaseError::Unknown(id))?)).await
    }

    /// Says whether a release may be removed: one that is pinned may not. Twice is as good as once.
    ///
    /// # Errors
    /// [`ReleaseError::Unknown`], [`ReleaseError::NotARelease`]; when the disk refuses.
    ///
    /// # Durability
    /// Durable when it returns.
    pub async fn pin(&self, id: u64, pinned: bool) -> Result<(), Error> {
        let pin = move |folder: &Folder| {
            let mut record = folder.release_record(id)?;
            if record.pinned != pinned {
                record.pinned = pinned;
                folder.log.replace(&record)?;
            }
            Ok(())
        };
        self.files.exclusive().await?.run(move |folder, _| pin(folder)).await
    }

    /// Puts the tags back, or forward, to what they were when release `to` was in effect; without one, the release
    /// before the one in effect. A tag that a client pushed or deleted since stays as it is and is reported, and so does
    /// one whose manifest is not there any more. No blob is read; the time is that of the tags changed since.
    ///
    /// # Errors
    /// [`ReleaseError`]; the failures of the disk. Then no tag changes.
    ///
    /// # Durability
    /// Durable when it returns. A crash leaves all tags as they were or as they are to be.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn rollback(&self, to: Option<u64>, by: &str) -> Result<Rollback, Error> {
        let by = by.to_owned();
        self.files.exclusive().await?.run(move |folder, index| folder.roll_back(to, by, index)).await
    }

    /// Removes a release. Each tag that still is what the release made it becomes what it was before, or goes; manifests
    /// that it brought and that no client pushed go from their repositories unless a tag, an index, or another entry of
    /// the log names them. Blobs stay on the disk. Returns the entry that takes its place in the log.
    ///
    /// # Errors
    /// [`ReleaseError::Pinned`]; [`ReleaseError::InEffect`] while there is one before it to go back to; the others of
    /// [`ReleaseError`]; the failures of the disk. Then nothing changes.
    ///
    /// # Durability
    /// Durable when it returns. A crash leaves all of it as it was or as it is to be.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn remove(&self, id: u64, by: &str) -> Result<ReleaseRecord, Error> {
        let by = by.to_owned();
        self.files.exclusive().await?.run(move |folder, index| folder.remove_release(id, by, index)).await
    }
}
