//! Media that are served in place: describing one, mounting it, and re-hashing what it holds.

mod check;
mod draft;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::disk::threads::blocking;
use crate::error::Error;
use crate::registry::Registry;
use crate::release::TagOutcome;

pub use check::MediumCheck;
pub use draft::MountDraft;

/// What was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Every tag: kept where a stored one counts before it, else served from the medium.
    pub tags: Vec<TagOutcome>,
    /// How many blobs there are.
    pub blobs: usize,
    /// And their bytes.
    pub bytes: u64,
}

impl Registry {
    /// Serves what a medium holds from where it is, from now on and until the process ends. Nothing is written. A tag
    /// that was pushed goes before the medium's; the medium's goes before what was ingested or mirrored, unless its
    /// prefix is protected, and before what was mounted earlier.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not fit
    /// its digest or its blobs; the failures of the disk. Then nothing is mounted.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn mount(&self, draft: MountDraft) -> Result<Mounted, Error> {
        let core = self.core.clone();
        let tags = draft.outcomes(&core.catalog).await?;
        blocking(move || {
            let (names, medium) = draft.finish()?;
            let (blobs, bytes) = (medium.blobs.len(), medium.blobs.iter().map(|blob| blob.size()).sum());
            // Bytes first: whatever a name leads to is there.
            core.blobs.mount(Arc::new(medium));
            core.catalog.mount(Arc::new(names));
            Ok(Mounted { tags, blobs, bytes })
        })
        .await
    }

    /// Reads every blob of every mounted medium once and re-hashes it, giving way to answers that are served from one:
    /// for up to a second before each piece of 1 MiB. Says what was found of each medium, by the name it was mounted by.
    /// Blocks for as long as reading all of them takes.
    pub fn check_media(&self, stop: &AtomicBool) -> Vec<(String, MediumCheck)> {
        let blobs = &self.core.blobs;
        let check = |medium: &Arc<_>| check::check(medium, &|| blobs.is_serving_from_medium(), stop);
        blobs.media().iter().map(|medium| (medium.name.clone(), check(medium))).collect()
    }
}
