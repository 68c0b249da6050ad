//! The names of a data folder: links and the release log as files, which are the truth, and the index derived from them.
//!
//! Everything here blocks; [`Files`](super::Files) is the asynchronous face.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::index::Index;
use super::links::Links;
use super::log::ReleaseLog;
use super::sequence::Sequence;
use crate::blobs;
use crate::catalog::binding::TagLink;
use crate::catalog::caches::Caches;
use crate::catalog::layer::ServedManifest;
use crate::catalog::release::{ManifestName, ReleaseError, ReleaseKind, ReleaseRecord, TagChange};
use crate::disk::{DiskError, Layout, damaged_is_none};
use crate::error::Error;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, MediaType, RepositoryName, Tag};

/// The state of the index.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    /// It is being opened, or rebuilt from the links.
    Pending,
    Ready(Arc<Index>),
    Closed,
}

/// What a committed entry of the log says as long as the links do not say it yet. Read before the links.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Where tags point; `None` for removed ones.
    pub(super) tags: HashMap<(RepositoryName, Tag), Option<TagLink>>,
    /// Manifests that were removed from their repositories.
    unlinked: HashSet<ManifestName>,
    /// The repositories of these.
    repositories: HashSet<RepositoryName>,
}

impl Settling {
    pub(super) fn of(record: &ReleaseRecord) -> Self {
        let tag =
            |TagChange { repository, tag, after, .. }: &TagChange| ((repository.clone(), tag.clone()), after.clone());
        let tagged = record.changes.iter().map(|change| &change.repository);
        Self {
            tags: record.changes.iter().map(tag).collect(),
            unlinked: record.unlinked.iter().cloned().collect(),
            repositories: tagged.chain(record.unlinked.iter().map(|name| &name.repository)).cloned().collect(),
        }
    }

    /// Whether the manifest was removed from its repository.
    pub(super) fn is_unlinked(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        // Nearly always the set is empty, and no key has to be made.
        !self.unlinked.is_empty()
            && self.unlinked.contains(&ManifestName { repository: repository.clone(), digest: *digest })
    }
}

/// The names of one data folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(super) layout: Layout,
    /// Where the bytes of manifests are.
    pub(super) blobs: blobs::Files,
    pub(super) links: Links,
    pub(super) log: ReleaseLog,
    pub(super) sequence: Sequence,
    pub(super) caches: Arc<Caches>,
    /// What a committed release says that is not in the links yet.
    pub(super) settling: RwLock<Settling>,
    /// That release, until the disk has accepted the links.
    pub(super) unsettled: Mutex<Option<Arc<ReleaseRecord>>>,
    /// The repositories that were changed while a release was prepared, when one is.
    pub(super) changed: Mutex<Option<HashSet<RepositoryName>>>,
    /// The release in effect, once it was read from the log.
    pub(super) in_effect: Mutex<Option<Option<u64>>>,
    pub(super) index: watch::Sender<Opening>,
}

impl Folder {
    /// Opens the folder's names and applies releases that a crash left unsettled. The index is opened later.
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
            changed: Mutex::default(),
            in_effect: Mutex::default(),
            index: watch::Sender::new(Opening::Pending),
        };
        for release in folder.log.pending()? {
            folder.settle(&release)?;
        }
        Ok(folder)
    }

    /// Whether the links of a repository do not say yet what the log says.
    pub(super) fn is_settling(&self, repository: &RepositoryName) -> bool {
        self.settling.read().repositories.contains(repository)
    }

    /// Notes that a repository was changed. To be called after its links are: who watches before it reads them misses nothing.
    pub(super) fn note(&self, repository: &RepositoryName) {
        if let Some(changed) = &mut *self.changed.lock() {
            changed.insert(repository.clone());
        }
    }

    /// Where a tag points: by the release that is being settled, else by its own link.
    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagLink>, DiskError> {
        let settling = self.settling.read().tags.get(&(repository.clone(), tag.clone())).cloned();
        settling.map_or_else(|| self.links.tag(repository, tag), Ok)
    }

    /// Whether a manifest is linked; its bytes may be damaged.
    pub(super) fn names_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, DiskError> {
        Ok(self.manifest_type(repository, digest)?.is_some())
    }

    /// The media type of a linked manifest; its bytes may be damaged.
    pub(super) fn manifest_type(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<MediaType>, DiskError> {
        if self.settling.read().is_unlinked(repository, digest) {
            return Ok(None);
        }
        Ok(self.links.manifest(repository, digest)?.map(|link| link.media_type))
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
    /// it. `None` when it is not visible here.
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

    /// The entry of a release, which can be rolled back to, pinned or removed.
    pub(crate) fn release_record(&self, id: u64) -> Result<ReleaseRecord, Error> {
        let record = self.log.read(id)?.ok_or(ReleaseError::Unknown(id))?;
        if record.kind == ReleaseKind::Ingest { Ok(record) } else { Err(ReleaseError::NotARelease(id).into()) }
    }

    /// The release in effect, by the last entry that can be read: a damaged one must not block the next ingest.
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

    /// Which of these manifests no entry of the log lists. The newest entries are read first, and nearly always list them.
    pub(super) fn unknown_to_log(&self, mut unknown: Vec<ManifestName>) -> Result<Vec<ManifestName>, Error> {
        for id in self.log.ids()?.into_iter().rev() {
            if unknown.is_empty() {
                break;
            }
            // The list of releases reports a damaged one.
            let entry = damaged_is_none(self.log.read(id))?;
            let known: HashSet<_> = entry.iter().flat_map(|entry| &entry.manifests).collect();
            unknown.retain(|manifest| !known.contains(manifest));
        }
        Ok(unknown)
    }
}
