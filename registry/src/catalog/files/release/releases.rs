//! The use cases of the release log.

use std::collections::HashSet;
use std::sync::Arc;

use super::list::ReleaseList;
use super::rollback::Rollback;
use crate::catalog::files::{Exclusive, Files, Folder, Index, Logging};
use crate::catalog::release::{ReleaseError, ReleaseRecord};
use crate::disk::threads::composed;
use crate::error::Error;
use crate::oci::RepositoryName;

/// The release log of one registry.
#[derive(Clone, Debug)]
pub struct Releases {
    pub(crate) files: Files,
}

impl Releases {
    /// Every entry of the log. A damaged one is reported and skipped.
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

    /// Pins a release, so that it cannot be removed, or unpins it. Idempotent.
    ///
    /// # Errors
    /// [`ReleaseError::Unknown`], [`ReleaseError::NotARelease`]; when the disk refuses.
    ///
    /// # Durability
    /// Durable when it returns.
    pub async fn pin(&self, id: u64, pinned: bool) -> Result<(), Error> {
        let pin = move |folder: &Folder, _: &Index| {
            let record = folder.release_record(id)?;
            if record.pinned != pinned {
                folder.log.replace(&ReleaseRecord { pinned, ..record })?;
            }
            Ok(())
        };
        self.files.exclusive().await?.run(pin).await
    }

    /// Sets the tags to what they were when release `to` was in effect; without `to`, the release before the one in
    /// effect. A tag that a client pushed or deleted since stays as it is and is reported, and so is one whose manifest
    /// is gone. No blob is read; the time depends on the number of tags changed since.
    ///
    /// # Errors
    /// [`ReleaseError`]; the failures of the disk. Then no tag changes.
    ///
    /// # Durability
    /// Durable when it returns. A crash leaves all tags changed or none.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn rollback(&self, to: Option<u64>, by: &str) -> Result<Rollback, Error> {
        let by = by.to_owned();
        let logging = self.files.logging().await?;
        composed(async move || {
            let (mut done, all) = prepared(logging, move |folder| folder.roll_back(to, by.clone())).await?;
            if let Some(record) = done.record.take() {
                let record = Arc::new(record);
                all.commit(record.clone()).await?;
                done.record = Some(Arc::unwrap_or_clone(record));
            }
            Ok(done)
        })
        .await
    }

    /// Removes a release. Each tag that still is what the release made it becomes what it was before, or is removed.
    /// Manifests that it brought and that no client pushed are removed from their repositories unless a tag, an index, or
    /// another entry of the log names them. Blobs stay on the disk. Returns the entry that takes its place in the log.
    ///
    /// # Errors
    /// [`ReleaseError::Pinned`]; [`ReleaseError::InEffect`] while there is one before it to go back to; the others of
    /// [`ReleaseError`]; the failures of the disk. Then nothing changes.
    ///
    /// # Durability
    /// Durable when it returns. A crash leaves all of it done or nothing.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn remove(&self, id: u64, by: &str) -> Result<ReleaseRecord, Error> {
        let by = by.to_owned();
        let logging = self.files.logging().await?;
        composed(async move || {
            let (record, all) = prepared(logging, move |folder| folder.remove_release(id, by.clone())).await?;
            let record = Arc::new(record);
            all.commit(record.clone()).await?;
            Ok(Arc::unwrap_or_clone(record))
        })
        .await
    }
}

/// What is to be committed, prepared while clients make their changes, and the right to commit it. Where they have changed
/// what it concerns, it is prepared again.
async fn prepared<T: Concerns + Send + 'static>(
    logging: Logging,
    prepare: impl Fn(&Folder) -> Result<T, Error> + Clone + Send + 'static,
) -> Result<(T, Exclusive), Error> {
    let (watch, again) = (logging.watch(), prepare.clone());
    let mut prepared = logging.run(move |folder, _| prepare(folder)).await?;
    let all = logging.alone().await?;
    if prepared.concerns(&watch.changed()) {
        prepared = all.run(move |folder, _| again(folder)).await?;
    }
    Ok((prepared, all))
}

/// What says which repositories it changes.
trait Concerns {
    fn concerns(&self, repositories: &HashSet<RepositoryName>) -> bool;
}

impl Concerns for ReleaseRecord {
    fn concerns(&self, repositories: &HashSet<RepositoryName>) -> bool {
        let tags = self.changes.iter().map(|change| &change.repository);
        let mut all = tags.chain(self.unlinked.iter().map(|manifest| &manifest.repository));
        !repositories.is_empty() && all.any(|repository| repositories.contains(repository))
    }
}

impl Concerns for Rollback {
    fn concerns(&self, repositories: &HashSet<RepositoryName>) -> bool {
        self.record.as_ref().is_some_and(|record| record.concerns(repositories))
    }
}
