//! What every use case needs: bytes, names and settings.

use std::sync::Arc;

use crate::blobs::Blobs;
use crate::catalog::Catalog;
use crate::disk::{DataFolder, OpenError, threads};
use crate::error::Error;
use crate::settings::Settings;

/// Bytes and names of one data folder, and of the media that are mounted beside it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) blobs: Blobs,
    pub(crate) catalog: Arc<Catalog>,
    // Last: the lock is released when nothing uses the folder any more.
    pub(crate) folder: DataFolder,
}

impl Core {
    /// Takes the data folder; blocks.
    pub(crate) fn open(settings: Settings) -> Result<Self, OpenError> {
        let folder = DataFolder::open(settings.data.clone(), settings.must_exist)?;
        let blobs = Blobs::open(&folder.layout)?;
        let catalog = Arc::new(Catalog::open(folder.layout.clone(), blobs.depot.clone())?);
        Ok(Self { settings, blobs, catalog, folder })
    }

    /// Runs a use case of many questions on one thread that may block, once the index is ready. Goes on to its end when
    /// dropped.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        use_case: impl AsyncFnOnce(Arc<Self>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.catalog.files.ready().await?;
        let core = self.clone();
        threads::composed(async move || use_case(core).await).await
    }
}
