//! The releases there were: what is in effect, going back or forward to another, and removing one.
//!
//! Invariant: only a tag that still is what the log last left is ever changed here; what somebody pushed or deleted since
//! stays, and is reported by name. Every change is an entry of the log itself, seen whole or not at all.

mod error;
mod history;
mod list;
mod removal;
mod rollback;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::registry::{Shared, blocking};
use crate::store::{ReleaseKind, ReleaseRecord, StoreError};

pub use error::ReleaseError;
pub use list::{ReleaseList, ReleaseState, ReleaseSummary};
pub use rollback::Rollback;

/// The log of releases of one registry.
#[derive(Clone, Debug)]
pub struct Releases {
    shared: Arc<Shared>,
}

impl Releases {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// One entry of the log, whole.
    ///
    /// # Errors
    /// [`ReleaseError::Unknown`]; when the disk refuses or the entry is damaged.
    pub async fn show(&self, id: u64) -> Result<ReleaseRecord, Error> {
        self.read(move |shared| Ok(shared.store.releases.read(id)?.ok_or(ReleaseError::Unknown(id))?)).await
    }

    /// Says whether a release may be removed: one that is pinned may not. Twice is as good as once.
    ///
    /// # Errors
    /// [`ReleaseError::Unknown`], [`ReleaseError::NotARelease`]; when the disk refuses.
    ///
    /// # Durability
    /// Durable when it returns.
    pub async fn pin(&self, id: u64, pinned: bool) -> Result<(), Error> {
        let pin = move |shared: &Shared, _: &Metadata| {
            let mut record = shared.release_record(id)?;
            if record.pinned != pinned {
                record.pinned = pinned;
                shared.store.releases.replace(&record)?;
            }
            Ok(())
        };
        self.change(pin).await
    }

    /// Reads the log while nothing changes it.
    async fn read<T: Send + 'static>(
        &self,
        use_case: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        let guard = shared.releases.clone().read_owned().await;
        blocking(move || {
            let _guard = guard;
            use_case(&shared)
        })
        .await
    }

    /// Changes the log, and what it says, while nothing else changes.
    async fn change<T: Send + 'static>(
        &self,
        use_case: impl FnOnce(&Shared, &Metadata) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let guard = self.shared.releases.clone().write_owned().await;
        let metadata = self.shared.metadata().await?;
        let change = move |shared: &Shared, metadata: &Metadata| {
            let _guard = guard;
            shared.settle_again()?;
            use_case(shared, metadata)
        };
        self.shared.run(metadata, change).await
    }
}

impl Shared {
    /// A release that may be gone back to, pinned or removed.
    fn release_record(&self, id: u64) -> Result<ReleaseRecord, Error> {
        let record = self.store.releases.read(id)?.ok_or(ReleaseError::Unknown(id))?;
        if record.kind == ReleaseKind::Ingest { Ok(record) } else { Err(ReleaseError::NotARelease(id).into()) }
    }

    /// The release in effect, by the last entry that can be read: a damaged one must not keep the next bundle out.
    pub(crate) fn in_effect(&self) -> Result<Option<u64>, Error> {
        for id in self.store.releases.ids()?.into_iter().rev() {
            match self.store.releases.read(id) {
                Ok(Some(record)) => return Ok(record.in_effect),
                Ok(None) => {}
                Err(error @ StoreError::Damaged { .. }) => tracing::warn!("{error}; the entry before it counts"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Commits an entry; when the disk refuses halfway, what it holds is found out.
    fn commit_entry(&self, record: &ReleaseRecord, metadata: &Metadata) -> Result<(), Error> {
        let committed = self.commit_release(record, metadata);
        if matches!(committed, Err(Error::Store(_))) {
            let tags = record.changes.iter().map(|change| &change.repository);
            let manifests = record.unlinked.iter().map(|manifest| &manifest.repository);
            self.reconcile(tags.chain(manifests).collect::<BTreeSet<_>>(), metadata)?;
        }
        committed
    }
}
