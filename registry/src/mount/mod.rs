//! Media that are served in place: describing one, mounting it, and re-hashing its blobs.

mod check;
mod draft;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::blobs::Blobs;
use crate::catalog::TagOutcome;
use crate::disk::threads::composed;
use crate::error::Error;

pub use check::MediumCheck;
pub use draft::MountDraft;

/// What was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Every tag: kept where a stored one goes before it, else served from the medium.
    pub tags: Vec<TagOutcome>,
    /// The number of its blobs.
    pub blobs: usize,
    /// The bytes of its blobs.
    pub bytes: u64,
}

/// See [`Registry::mount`](crate::Registry::mount).
pub(crate) async fn mount(draft: MountDraft) -> Result<Mounted, Error> {
    composed(async move {
        let (tags, core) = (draft.outcomes().await?, draft.core.clone());
        let (names, medium) = draft.finish()?;
        let (blobs, bytes) = (medium.blobs.len(), medium.blobs.iter().map(|blob| blob.size()).sum());
        // Bytes first: what a name leads to must be there.
        core.blobs.mount(Arc::new(medium));
        core.catalog.mount(Arc::new(names));
        Ok(Mounted { tags, blobs, bytes })
    })
    .await
}

/// See [`Registry::check_media`](crate::Registry::check_media).
pub(crate) fn check_media(blobs: &Blobs, stop: &AtomicBool) -> Vec<(String, MediumCheck)> {
    let check = |medium: &Arc<_>| check::check(medium, &|| blobs.is_serving_from_medium(), stop);
    blobs.media().iter().map(|medium| (medium.name.clone(), check(medium))).collect()
}
