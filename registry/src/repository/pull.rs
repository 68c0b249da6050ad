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
    let (core, asked, digest) = (core.clone(), name.clone(), *digest);
    let unknown = || Error::BlobUnknown { repository: name.path.clone(), digest };
    composed(async move || find_blob(&core, &asked, &digest).await).await?.ok_or_else(unknown)
}

/// A digest has one content: in whichever repository it is visible, the nearest place serves it.
async fn find_blob(core: &Core, name: &RequestedName, digest: &Digest) -> Result<Option<Blob>, Error> {
    let mut failed = None;
    for repository in name.candidates() {
        let Some(size) = core.catalog.visible(repository, digest).await? else { continue };
        let mut found = core.blobs.find(digest, size).await;
        // A medium may state a wrong size for what the data folder has.
        if found.is_err()
            && let Some(stored) = core.catalog.files.visible(repository, digest).await?
            && stored != size
        {
            found = core.blobs.find(digest, stored).await;
        }
        match found {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            // In another repository it may have another stated size.
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(None), Err)
}
