//! From a mounted medium into the data folder: what a client was told is there has to stay there once something that
//! outlives the medium is built on it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::blobs::{MediumBlob, Writer, WriteBehind};
use crate::core::Core;
use crate::disk::read_pieces;
use crate::disk::threads::blocking;
use crate::error::Error;
use crate::oci::{Digest, Manifest, Reference, RepositoryName};

/// Read and written at a time.
const PIECE: usize = 256 * 1024;

/// How deep indexes within indexes are followed.
const DEPTH: usize = 8;

/// Manifests of a medium, children first, and the blobs they name.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) manifests: Vec<(Digest, Arc<Manifest>)>,
    blobs: BTreeSet<Digest>,
}

/// Copies what `manifest` names, the repository shows, and only a medium has. Nothing is linked yet. Without media this
/// does nothing.
///
/// # Errors
/// [`Error::Medium`] when the medium cannot give it; the failures of the disk.
///
/// # Durability
/// Copied blobs are durable when it returns.
pub(super) async fn copy_named(
    core: &Arc<Core>,
    name: &RepositoryName,
    manifest: &Manifest,
) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    if core.catalog.mounted().is_empty() {
        return Ok(carried);
    }
    follow(core, name, manifest, &mut carried, 0);
    let shown: Vec<_> = carried.blobs.iter().filter(|digest| core.catalog.shows_mounted(name, digest)).copied().collect();
    for digest in shown {
        copy_blob(core, digest).await?;
    }
    Ok(carried)
}

/// What a manifest names: its blobs, and of manifests that only a medium has those too.
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

/// Puts one blob of a medium into the data folder, from the first position that gives it, unless it is there.
pub(super) async fn copy_blob(core: &Arc<Core>, digest: Digest) -> Result<(), Error> {
    let core = core.clone();
    blocking(move || {
        let positions: Vec<_> = core.blobs.media().iter().flat_map(|medium| medium.positions(&digest)).collect();
        let Some(first) = positions.first() else { return Ok(()) };
        let files = &core.blobs.files;
        if files.size(&digest)? != Some(first.size()) {
            let mut failed = None;
            let copied = positions.iter().any(|position| match copy(&core, position) {
                Ok(()) => true,
                Err(error) => {
                    failed.get_or_insert(error);
                    false
                }
            });
            if let Some(error) = failed.filter(|_| !copied) {
                return Err(error);
            }
        }
        // The request that put it there may not have synced the folder yet.
        Ok(files.sync(digest.algorithm())?)
    })
    .await
}

fn copy(core: &Core, position: &MediumBlob) -> Result<(), Error> {
    let (file, offset) = position.open()?;
    let files = &core.blobs.files;
    let behind = WriteBehind::start().map_err(|error| files.no_thread(error))?;
    let mut writer: Writer = files.writer(position.digest().algorithm(), behind)?;
    let read = read_pieces(&file, offset, Some(position.size()), &mut vec![0; PIECE], |piece| {
        writer.write(piece).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    });
    match read {
        Ok(ControlFlow::Continue(())) => {}
        Ok(ControlFlow::Break(error)) => return Err(error.into()),
        Err(failed) => return Err(position.read_failed(failed.at, &failed.error).into()),
    }
    let (mut sealed, _lease) = writer.seal()?;
    position.found(&sealed.digest)?;
    let adopted = files.adopt(&mut sealed)?;
    core.blobs.adopted(&position.digest(), adopted);
    Ok(())
}
