//! Media served in place: mounting one, and reading what it holds.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::mounts::{MountDraft, Verification, verify};
use crate::oci::{Digest, RepositoryName};
use crate::registry::{Registry, Shared, blocking};
use crate::store::{Blob, MediumBlob, Provenance};

use super::{Precedence, TagOutcome};

/// What was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Every tag: kept where somebody pushed another, else served from the medium.
    pub tags: Vec<TagOutcome>,
    /// How many blobs there are.
    pub blobs: usize,
    /// And their bytes.
    pub bytes: u64,
}

impl Registry {
    /// Serves what a medium holds from where it lies, from now on and until the process ends. Nothing is written. A tag
    /// that was pushed goes before the medium's; the medium's goes before what was ingested or mirrored, and before what
    /// was mounted earlier.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not fit
    /// its digest or its blobs; the failures of the disk. Then nothing is mounted.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    pub async fn mount(&self, draft: MountDraft) -> Result<Mounted, Error> {
        let shared = self.0.clone();
        blocking(move || {
            let origin = Provenance::Ingested { bundle: String::new(), release: None };
            let mut tags = Vec::new();
            for ((repository, tag), digest) in draft.tags() {
                let there = shared.tag_link(repository, tag)?;
                let outcome = Precedence::default().outcome(repository, there.as_ref(), digest, &origin);
                tags.push(TagOutcome { repository: repository.clone(), tag: tag.clone(), digest: *digest, outcome });
            }
            let mount = draft.finish()?;
            let (blobs, bytes) = (mount.blobs.len(), mount.blobs.iter().map(|blob| blob.size()).sum());
            shared.mounts.add(Arc::new(mount));
            // That there was nothing of these names, or something else, may have been kept.
            shared.manifests.clear();
            Ok(Mounted { tags, blobs, bytes })
        })
        .await
    }

    /// Reads every blob of every mounted medium once and hashes it, giving way to whoever is being served from one: for
    /// up to a second before each piece of 1 MiB. Says what was found of each medium, by the name it was mounted by.
    /// Blocks for as long as reading all of them takes.
    pub fn verify_mounts(&self, stop: &AtomicBool) -> Vec<(String, Verification)> {
        // An answer holds its blob until the last of it is out, in whichever way it goes: nothing has to be counted.
        let is_served = || self.0.blobs.any(Blob::is_read_from_medium);
        let mounts = self.0.mounts.all();
        mounts.iter().map(|mount| (mount.name.clone(), verify(mount, &is_served, stop))).collect()
    }
}

impl Shared {
    /// A blob that a medium makes visible in one of `repositories`: from the store if it has come there meanwhile, else
    /// from the medium. `None` when no medium shows it there.
    ///
    /// # Errors
    /// When a medium shows it and can no longer give it.
    pub(crate) async fn mounted_blob(
        self: &Arc<Self>,
        repositories: Vec<RepositoryName>,
        digest: Digest,
    ) -> Result<Option<Blob>, Error> {
        let mut shown = Vec::new();
        for repository in repositories {
            let places = self.mounts.blobs(&repository, &digest);
            if !places.is_empty() {
                shown.push((repository, places));
            }
        }
        let Some((repository, places)) = shown.into_iter().next() else { return Ok(None) };
        let shared = self.clone();
        blocking(move || {
            let key = (repository, digest);
            let ticket = shared.blobs.ticket(&key);
            let size = places.first().map_or(0, |place| place.size());
            let blob = match shared.store.blobs.open_sized(&digest, size) {
                Ok(Some(blob)) => blob,
                // Not there, or damaged there: the medium has it.
                Ok(None) | Err(_) => first(&places, |place| place.open().map_err(Error::from))?,
            };
            shared.blobs.insert(ticket, key, blob.clone(), 1);
            Ok(Some(blob))
        })
        .await
    }
}

/// What the first of several places gives; if none does, why the first did not.
pub(super) fn first<T>(
    places: &[Arc<MediumBlob>],
    mut give: impl FnMut(&Arc<MediumBlob>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failed = None;
    for place in places {
        match give(place) {
            Ok(given) => return Ok(given),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    Err(failed.unwrap_or_else(|| Error::Unavailable("nothing is mounted".into())))
}
