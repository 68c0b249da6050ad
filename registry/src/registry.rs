//! The registry: a cheap handle over one data folder.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::catalog::release::Releases;
use crate::catalog::{Provenance, RebuildReport};
use crate::charts::Charts;
use crate::core::Core;
use crate::disk::OpenError;
use crate::disk::threads::blocking;
use crate::error::Error;
use crate::names;
use crate::oci::RepositoryName;
use crate::release::ReleaseDraft;
use crate::repository::Repository;
use crate::settings::Settings;

/// A registry on one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) core: Arc<Core>,
    /// The charts as a classic Helm repository, made when they are asked for.
    pub(crate) charts: Arc<Charts>,
}

impl Registry {
    /// Takes the data folder, creating it where there is nothing. Manifests can be served when it returns; the index is
    /// opened, or rebuilt, beside it, and what needs it waits.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the folder, it is not ours, or the disk refuses.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let core = match tokio::task::spawn_blocking(move || Core::open(settings)).await {
            Ok(core) => core?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(OpenError::Stopping),
            },
        };
        Ok(Self { core: Arc::new(core), charts: Arc::default() })
    }

    /// Writes out the index and seals it, so that the next start need not rebuild it. Nothing but time is lost without
    /// it. To be called when no request is running; later requests are refused.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn close(&self) -> Result<(), Error> {
        self.core.catalog.files.close().await
    }

    /// How requested names find stored ones.
    #[must_use]
    pub fn names(&self) -> &names::Settings {
        &self.core.settings.names
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.core.folder.root()
    }

    /// One repository, by its exact name. It need not exist.
    #[must_use]
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.core.clone(), name)
    }

    /// A release to be filled: nothing of it is seen before it is committed.
    #[must_use]
    pub fn release(&self, origin: Provenance) -> ReleaseDraft {
        ReleaseDraft::new(self.core.clone(), origin)
    }

    /// The release log.
    #[must_use]
    pub fn releases(&self) -> Releases {
        Releases::new(self.core.catalog.files.clone())
    }

    /// Removes uploads that nothing was added to for the configured time before `now`; says how many.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn sweep_uploads(&self, now: SystemTime) -> Result<usize, Error> {
        let core = self.core.clone();
        blocking(move || {
            let before = now.checked_sub(core.settings.upload_expiry).unwrap_or(SystemTime::UNIX_EPOCH);
            Ok(core.blobs.uploads.sweep(before)?)
        })
        .await
    }

    /// Rebuilds the index from the link files. What needs it waits meanwhile; manifests are served.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn rebuild(&self) -> Result<RebuildReport, Error> {
        self.core.catalog.files.rebuild().await
    }
}
