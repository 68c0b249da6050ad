//! The names of a data folder: links and the release log as files, which are the truth, and the index derived from them.
//!
//! Everything here blocks; [`Files`](super::Files) is the asynchronous face.

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::index::Index;
use super::links::Links;
use super::log::ReleaseLog;
use super::sequence::Sequence;
use super::settling::Settling;
use crate::blobs;
use crate::catalog::binding::TagLink;
use crate::catalog::caches::Caches;
use crate::catalog::layer::ServedManifest;
use crate::catalog::release::{ManifestName, ReleaseError, ReleaseKind, ReleaseRecord};
use crate::disk::{DiskError, Layout};
use crate::error::Error;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, RepositoryName, Tag};
use std::sync::Arc;

/// How far the index is.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    /// Being opened, or rebuilt from the links.
    Pending,
    Ready(Arc<Index>),
    Closed,
}

/// The names of one data folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(super) layout: Layout,
    /// Where the bytes of manifests are.
    pub(crate) blobs: blobs::Files,
    pub(crate) links: Links,
    pub(crate) log: ReleaseLog,
    pub(crate) sequence: Sequence,
    pub(super) caches: Arc<Caches>,
    /// What a committed release says that is not yet in the tags' links.
    pub(super) settling: RwLock<Settling>,
    /// That release, as long as the disk refuses to write it to them.
    pub(super) unsettled: Mutex<Option<ReleaseRecord>>,
    /// The release in effect, once it was read from the log.
    pub(super) in_effect: Mutex<Option<Option<u64>>>,
    pub(super) index: watch::Sender<Opening>,
}

impl Folder {
    /// Opens the folder's names and finishes what a crash left half applied. The index is opened later.
    pub(super) fn open(layout: Layout, blobs: blobs::Files, caches: Arc<Caches>) -> Result<Self, DiskError> {
        let folder = Self {
            blobs,
            links: Links { layout: layout.clone() },
            log: ReleaseLog { layout: layout.clone() },
            sequence: Sequence::open(&layout)?,
            layout,
            caches,
            settling: RwLock::default(),
            unsettled: Mutex::default(),
            in_effect: Mutex::default(),
            index: watch::Sender::new(Opening::Pending),
        };
        for release in folder.log.pending()? {
            folder.settle(&release)?;
        }
        Ok(folder)
    }

    /// Where a tag points: by the release that is being settled, else by its own link.
    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagLink>, DiskError> {
        let settling = self.settling.read().tags.get(&(repository.clone(), tag.clone())).cloned();
        settling.map_or_else(|| self.links.tag(repository, tag), Ok)
    }

    /// A linked manifest, re-hashed.
    pub(super) fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ServedManifest>, DiskError> {
        if self.settling.read().is_unlinked(repository, digest) {
            return Ok(None);
        }
        let Some(link) = self.links.manifest(repository, digest)? else { return Ok(None) };
        let bytes = self.blobs.read_now(digest, MAX_MANIFEST_SIZE)?;
        let served = |bytes| ServedManifest { digest: *digest, media_type: link.media_type, bytes, provenance: None };
        Ok(bytes.map(served))
    }

    /// The size a blob of this repository must have: the one counted when it was pushed, else the one a manifest gives
    /// it. `None` when it may not be seen here.
    pub(super) fn visible(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        index: &Index,
    ) -> Result<Option<u64>, Error> {
        if index.is_linked(repository, digest)?
            && let Some(size) = self.links.blob_size(repository, digest)?
        {
            return Ok(Some(size));
        }
        Ok(index.named_size(repository, digest)?)
    }

    /// A release that may be gone back to, pinned or removed.
    pub(crate) fn release_record(&self, id: u64) -> Result<ReleaseRecord, Error> {
        let record = self.log.read(id)?.ok_or(ReleaseError::Unknown(id))?;
        if record.kind == ReleaseKind::Ingest { Ok(record) } else { Err(ReleaseError::NotARelease(id).into()) }
    }

    /// The release in effect, by the last entry that can be read: a damaged one must not keep the next bundle out.
    pub(crate) fn in_effect(&self) -> Result<Option<u64>, Error> {
        let mut known = self.in_effect.lock();
        if let Some(known) = *known {
            return Ok(known);
        }
        let mut found = None;
        for id in self.log.ids()?.into_iter().rev() {
            match self.log.read(id) {
                Ok(Some(record)) => {
                    found = record.in_effect;
                    break;
                }
                Ok(None) => {}
                Err(error @ DiskError::Damaged { .. }) => tracing::warn!("{error}; the entry before it counts"),
                Err(error) => return Err(error.into()),
            }
        }
        *known = Some(found);
        Ok(found)
    }

    /// The entry that is committed and that the disk refused to write to its tags' links.
    pub(crate) fn unsettled(&self) -> Option<ReleaseRecord> {
        self.unsettled.lock().clone()
    }

    /// Which of these manifests no entry of the log says that it brought. The last entries are read first, and nearly
    /// always they say so.
    pub(super) fn unknown_to_log(&self, mut unknown: Vec<ManifestName>) -> Result<Vec<ManifestName>, Error> {
        for id in self.log.ids()?.into_iter().rev() {
            if unknown.is_empty() {
                break;
            }
            let entry = match self.log.read(id) {
                // The list of releases says that it is damaged.
                Err(DiskError::Damaged { .. }) => None,
                read => read?,
            };
            let known: std::collections::HashSet<_> = entry.iter().flat_map(|entry| &entry.manifests).collect();
            unknown.retain(|manifest| !known.contains(manifest));
        }
        Ok(unknown)
    }
}
