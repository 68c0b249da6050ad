//! Copying from a mounted medium into the data folder: what is pushed may depend on what only the medium has, and must
//! stay complete without it.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::blobs::{Blob, Depot, Lease, MediumBlob, Place};
use crate::core::Core;
use crate::disk::threads::composed;
use crate::error::Error;
use crate::oci::{Digest, Manifest, Reference, RepositoryName};

/// Bytes read and written at a time.
const PIECE: usize = 256 * 1024;

/// How deep indexes within indexes are followed.
const DEPTH: usize = 8;

/// Manifests of a medium, children first, and the blobs they name.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) manifests: Vec<(Digest, Arc<Manifest>)>,
    blobs: BTreeSet<Digest>,
    /// Keep the copied blobs, to be held until the manifest that names them is linked.
    pub(super) leases: Vec<Lease>,
}

/// Copies the blobs that `manifest` names, that are visible in the repository, and that only a medium has; they are durable
/// when it returns. Nothing is linked yet. Fails with [`Error::Medium`] when the medium cannot give one.
pub(super) async fn copy_named(core: &Arc<Core>, name: &RepositoryName, manifest: &Manifest) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    if core.catalog.mounted().is_empty() {
        return Ok(carried);
    }
    follow(core, name, manifest, &mut carried, 0);
    let shown = carried.blobs.iter().filter(|digest| core.catalog.shows_mounted(name, digest));
    let (core, shown) = (core.clone(), shown.copied().collect::<Vec<_>>());
    composed(async move || {
        for digest in shown {
            carried.leases.push(core.blobs.depot.leases.hold(digest));
            copy_blob(&core, &digest).await?;
        }
        Ok(carried)
    })
    .await
}

/// Collects the blobs of a manifest, and the manifests it lists that only a medium has, with their blobs.
fn follow(core: &Core, name: &RepositoryName, manifest: &Manifest, carried: &mut Carried, depth: usize) {
    for reference in manifest.references() {
        match reference {
            Reference::Blob(blob) => drop(carried.blobs.insert(blob.digest)),
            Reference::Manifest(child, _) => {
                let known = carried.manifests.iter().any(|(digest, _)| *digest == child.digest);
                let mounted = core.catalog.mounted_manifest(name, &child.digest);
                if let Some(mounted) = mounted.filter(|_| !known && depth < DEPTH) {
                    follow(core, name, &mounted, carried, depth + 1);
                    carried.manifests.push((child.digest, mounted));
                }
            }
            Reference::ForeignBlob(_) => {}
        }
    }
}

/// Copies one blob of a medium into the data folder, from the first position that can be read, unless it is there. The
/// caller holds a lease of it, from before this until it is linked. To be called on a thread that may block.
pub(super) async fn copy_blob(core: &Core, digest: &Digest) -> Result<(), Error> {
    let positions: Vec<_> = core.blobs.media().iter().flat_map(|medium| medium.positions(digest)).collect();
    let Some(first) = positions.first() else { return Ok(()) };
    let files = &core.blobs.depot;
    if files.sizes(&[*digest]).await? == [Some(first.size())] {
        // The request that stored it may not have synced the folder yet.
        return Ok(files.sync(digest.algorithm())?);
    }
    let mut failed = None;
    for position in &positions {
        match copy(core, position).await {
            Ok(()) => return Ok(()),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn copy(core: &Core, position: &Arc<MediumBlob>) -> Result<(), Error> {
    let open = |medium: &Arc<MediumBlob>| {
        let blob = Blob::open_on_medium(medium)?;
        let version = medium.version(blob.file());
        Ok((blob, version))
    };
    let ((mut blob, version), mut piece) = (position.ask(open).await?, vec![0; PIECE]);
    let mut writer = core.blobs.depot.begin(position.digest().algorithm()).await?;
    let mut at = 0;
    while at < position.size() {
        // On the medium's own threads, piece by piece: each has to come in time.
        let read = move |medium: &Arc<MediumBlob>| {
            let wanted = usize::try_from(medium.size() - at).unwrap_or(PIECE).min(PIECE);
            let read = blob.file().read_exact_at(&mut piece[..wanted], blob.offset() + at);
            read.map_err(|error| medium.read_failed(at, &error)).map(|()| (blob, piece, wanted))
        };
        let length;
        (blob, piece, length) = position.ask(read).await?;
        writer.write(&piece[..length])?;
        at += length as u64;
    }
    let (sealed, _) = writer.seal()?;
    position.found(&sealed.digest, version)?;
    core.blobs.adopted(&position.digest(), core.blobs.depot.store(sealed).await?);
    Ok(())
}
