//! From a mounted medium into the store: what a client was told is there has to stay there once something that outlives
//! the medium is built on it.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Digest, Manifest, Reference, RepositoryName};
use crate::registry::{Shared, blocking};
use crate::store::{Adopted, Context as _, MediumBlob, WriteBehind, Writer};

use super::mounted::first;

/// Read and written at a time.
const PIECE: usize = 256 * 1024;

/// How deep indexes within indexes are followed.
const DEPTH: usize = 8;

/// Manifests of a medium whose blobs are in the store, to be linked before what names them; children first.
#[derive(Debug, Default)]
pub(super) struct Carried(Vec<(Digest, Arc<Manifest>)>);

impl Shared {
    /// Copies into the store what `manifest` names, `name` shows, and only a medium has. Nothing is linked yet. Without
    /// mounts this does nothing.
    ///
    /// # Errors
    /// [`Error::Medium`] when the medium cannot give it; the failures of the disk.
    ///
    /// # Durability
    /// Copied blobs are durable when it returns.
    pub(super) async fn carry(self: &Arc<Self>, name: &RepositoryName, manifest: &Manifest) -> Result<Carried, Error> {
        if self.mounts.is_empty() {
            return Ok(Carried::default());
        }
        let mut carried = Carried::default();
        let mut blobs = BTreeSet::new();
        self.follow(name, manifest, &mut carried, &mut blobs, 0);
        let places: Vec<_> = blobs.iter().map(|digest| self.mounts.blobs(name, digest)).collect();
        let shared = self.clone();
        blocking(move || {
            for places in places.iter().filter(|places| !places.is_empty()) {
                shared.carry_blob(places)?;
            }
            Ok(carried)
        })
        .await
    }

    /// What a manifest names: its blobs, and of manifests that only a medium has those too, children first.
    fn follow(
        &self,
        name: &RepositoryName,
        manifest: &Manifest,
        carried: &mut Carried,
        blobs: &mut BTreeSet<Digest>,
        depth: usize,
    ) {
        for reference in manifest.references() {
            match reference {
                Reference::Blob(blob) => drop(blobs.insert(blob.digest)),
                Reference::Manifest(child, _) => {
                    let known = carried.0.iter().any(|(digest, _)| *digest == child.digest);
                    let mounted = self.mounts.manifest(name, &child.digest);
                    if let Some(mounted) = mounted.filter(|_| !known && depth < DEPTH) {
                        self.follow(name, &mounted, carried, blobs, depth + 1);
                        carried.0.push((child.digest, mounted));
                    }
                }
                Reference::ForeignBlob(_) => {}
            }
        }
    }

    /// Puts one blob into the store, from the first of `places` that gives it, unless it is there.
    pub(super) fn carry_blob(&self, places: &[Arc<MediumBlob>]) -> Result<(), Error> {
        let Some(place) = places.first() else { return Ok(()) };
        let digest = place.digest();
        if self.store.blobs.size(&digest)? != Some(place.size()) {
            first(places, |place| self.copy(place))?;
        }
        // Whoever put it there may not have come to its own sync yet.
        Ok(self.store.blobs.sync(digest.algorithm())?)
    }

    fn copy(&self, place: &Arc<MediumBlob>) -> Result<(), Error> {
        let opened = place.open()?;
        let writing = WriteBehind::start().on("start a thread for a blob in", self.store.data())?;
        let mut writer = Writer::create(&self.store.blobs, place.digest().algorithm(), writing)?;
        let mut piece = vec![0; PIECE];
        while writer.size() < place.size() {
            let wanted = usize::try_from(place.size() - writer.size()).map_or(PIECE, |left| left.min(PIECE));
            match opened.file().read_at(&mut piece[..wanted], opened.offset() + writer.size()) {
                Ok(0) => return Err(place.unreadable(&std::io::ErrorKind::UnexpectedEof.into()).into()),
                Ok(read) => writer.write(&piece[..read])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(place.stuck(writer.size(), &error).into()),
            }
        }
        let sealed = writer.seal()?;
        place.found(&sealed.digest)?;
        if sealed.adopt(&self.store.blobs)? == Adopted::Mended {
            // Somebody may hold the damaged file open.
            self.blobs.clear();
        }
        Ok(())
    }
}

impl Carried {
    /// Links the manifests, each durable before the next.
    pub(super) fn link(&self, shared: &Shared, name: &RepositoryName, metadata: &Metadata) -> Result<(), Error> {
        for (digest, manifest) in &self.0 {
            if shared.store.links.manifest(name, digest)?.is_some() {
                continue;
            }
            shared.store_manifest(name, digest, manifest)?;
            let mut changes = Changes::default();
            changes.add_manifest(name, digest, manifest);
            metadata.apply(changes)?;
            shared.manifests.remove(&(name.clone(), crate::oci::TagOrDigest::Digest(*digest)));
        }
        Ok(())
    }
}
