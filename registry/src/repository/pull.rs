//! Reading manifests and blobs (end-2, end-3). A hit in the cache touches neither disk nor index.

use std::sync::Arc;

use crate::blobs::Blob;
use crate::catalog::{Layer as _, ServedManifest};
use crate::core::Core;
use crate::disk::threads::composed;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{Digest, TagOrDigest};

/// See [`Registry::manifest`](crate::Registry::manifest).
pub(crate) async fn manifest(
    core: &Core,
    name: &RequestedName,
    reference: &TagOrDigest,
) -> Result<ServedManifest, Error> {
    let unknown = || Error::ManifestUnknown { repository: name.path.clone(), reference: reference.to_string() };
    core.catalog.pull(name, reference).await?.ok_or_else(unknown)
}

/// See [`Registry::blob`](crate::Registry::blob).
pub(crate) async fn blob(core: &Arc<Core>, name: &RequestedName, digest: &Digest) -> Result<Blob, Error> {
    let open = name.candidates().find_map(|repository| {
        let size = core.catalog.seen(repository, digest)?;
        core.blobs.find_open(digest, size)
    });
    if let Some(blob) = open {
        return Ok(blob);
    }
    if !core.catalog.is_shown_by_medium(name, digest) {
        core.catalog.files.ready().await?;
    }
    let (files, asked, digest) = (core.clone(), name.clone(), *digest);
    let looked = composed(async move || look(&files, &asked, &digest).await).await?;
    if let Some(blob) = looked.blob {
        return Ok(blob);
    }
    // Not on the thread above: a medium that hangs must not hold what the data folder is read with.
    let mut failed = looked.failed;
    for size in looked.sizes {
        match core.blobs.find_on_media(&digest, size).await {
            Ok(None) => {}
            Ok(Some(blob)) => return Ok(blob),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    Err(failed.unwrap_or_else(|| Error::BlobUnknown { repository: name.path.clone(), digest }))
}

/// What the data folder has of a blob.
#[derive(Default)]
struct Looked {
    blob: Option<Blob>,
    /// The sizes it is said to have, for the media.
    sizes: Vec<u64>,
    failed: Option<Error>,
}

impl Looked {
    /// Each size once: a medium that hangs costs its wait each time it is asked.
    fn also(&mut self, size: u64) {
        if !self.sizes.contains(&size) {
            self.sizes.push(size);
        }
    }
}

/// A digest has one content: in whichever repository it is visible, the nearest place serves it.
async fn look(core: &Core, name: &RequestedName, digest: &Digest) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    for repository in name.candidates() {
        let Some(size) = core.catalog.visible(repository, digest).await? else { continue };
        let mut found = core.blobs.find_stored(digest, size).await;
        // A medium may state a wrong size for what the data folder has.
        if found.is_err()
            && let Some(stored) = core.catalog.files.visible(repository, digest).await?
            && stored != size
        {
            found = core.blobs.find_stored(digest, stored).await;
            looked.also(stored);
        }
        match found {
            Ok(None) => {}
            Ok(blob) => return Ok(Looked { blob, ..looked }),
            // In another repository it may have another stated size.
            Err(error) => drop(looked.failed.get_or_insert(error)),
        }
        looked.also(size);
    }
    Ok(looked)
}
