//! The store: blobs, uploads, links and releases as files. Everything that must not be lost is here, and it is all there
//! is: the metadata is derived from it.
//!
//! Invariant: a blob is absent or whole; a link is absent or whole; what a caller was told is durable is.
//! This room knows neither HTTP nor the metadata, nor who may see what. Its calls block on the disk: callers keep them
//! off the runtime's threads, but for the appending of bytes that have just arrived.

mod blobs;
mod durable;
mod error;
mod identity;
mod layout;
mod link;
mod links;
mod medium;
mod record;
mod releases;
mod sequence;
mod uploads;
mod write_back;
mod write_behind;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use blobs::Blob;
pub use error::StoreError;
pub use identity::OpenError;
pub use link::{ManifestLink, Provenance, TagLink};
pub use medium::MediumError;
pub use record::{
    ImageState, KeptTag, ManifestName, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource,
    SourceKind, TagChange, WhyKept,
};

pub(crate) use blobs::{Adopted, Blobs};
pub(crate) use durable::{Batch, sync_folder};
pub(crate) use error::{Context, absent_is_none};
pub(crate) use link::{parse as parse_link, render as render_link};
pub(crate) use links::Links;
pub(crate) use medium::{Medium, MediumBlob, Trust};
pub(crate) use record::RemovedRelease;
pub(crate) use releases::ReleaseLog;
pub(crate) use sequence::Sequence;
pub(crate) use uploads::{OpenUpload, Unavailable, Uploads};
pub(crate) use write_behind::WriteBehind;
pub(crate) use writer::{Sealed, Writer};

use crate::oci::Digest;
use layout::Layout;

/// One data folder, held by this process.
#[derive(Debug)]
pub(crate) struct Store {
    layout: Layout,
    pub(crate) blobs: Blobs,
    pub(crate) links: Links,
    pub(crate) uploads: Uploads,
    pub(crate) releases: ReleaseLog,
    pub(crate) sequence: Sequence,
    incoming: PathBuf,
    // Held as long as the store is; the operating system lets go of it however the process ends.
    _lock: File,
}

impl Store {
    /// Takes the folder, creates it where there is nothing yet, and finishes what a crash left half applied.
    pub(crate) fn open(data: PathBuf) -> Result<Self, OpenError> {
        let layout = Layout::new(data);
        let lock = identity::open(&layout)?;
        let store = Self {
            blobs: Blobs::new(layout.clone()),
            links: Links::new(layout.clone()),
            uploads: Uploads::new(layout.clone()),
            releases: ReleaseLog::new(layout.clone()),
            sequence: Sequence::open(&layout)?,
            incoming: layout.incoming(),
            layout,
            _lock: lock,
        };
        for release in store.releases.pending()? {
            store.apply(&release)?;
        }
        Ok(store)
    }

    /// Writes a committed release to its tags' links. Doing it twice does no harm: a tag that changed later stays.
    pub(crate) fn apply(&self, release: &ReleaseRecord) -> Result<(), StoreError> {
        let mut batch = self.batch();
        for TagChange { repository, tag, after, .. } in &release.changes {
            let later = match self.links.tag(repository, tag) {
                Ok(there) => there.is_some_and(|there| there.sequence >= release.id),
                // The disk lost what it said; the release says it anew.
                Err(StoreError::Damaged { .. }) => false,
                Err(error) => return Err(error),
            };
            match after {
                _ if later => {}
                Some(link) => self.links.link_tag(&mut batch, repository, tag, link)?,
                None => drop(self.links.unlink_tag(&mut batch, repository, tag)?),
            }
        }
        batch.commit()?;
        let mut batch = self.batch();
        for ManifestName { repository, digest } in &release.unlinked {
            self.links.unlink_manifest(&mut batch, repository, digest)?;
        }
        batch.commit()?;
        if let ReleaseKind::Removal { of } = release.kind {
            self.releases.forget(of)?;
        }
        self.releases.settle(release.id)
    }

    /// Puts a small blob in place, durably, unless it is there. The digest must be the content's.
    pub(crate) fn put_blob(&self, digest: &Digest, content: &[u8]) -> Result<(), StoreError> {
        if self.blobs.size(digest)? == Some(content.len() as u64) {
            // Whoever put it there may not have come to its own sync yet.
            return self.blobs.sync(digest.algorithm());
        }
        let mut batch = self.batch();
        batch.write(&self.layout.blob(digest), content)?;
        batch.commit()
    }

    /// Small files to be put in place together.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch::new(&self.incoming)
    }

    /// Whether `needed` more bytes fit on the data folder's disk and leave `keep_free` of it free. What fits may still
    /// not fit when it is written: others write, too.
    pub(crate) fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), StoreError> {
        let path = self.layout.root();
        let disk = rustix::fs::statvfs(path).on("ask for the free space of", path)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed == 0 || needed.saturating_add(keep_free) <= free {
            return Ok(());
        }
        Err(StoreError::NoRoom { path: path.to_owned(), needed, keep_free, free })
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        self.layout.root()
    }

    /// Where derived data lies, and the seal that says whether it can be believed.
    pub(crate) fn metadata(&self) -> (PathBuf, PathBuf) {
        (self.layout.metadata(), self.layout.metadata_seal())
    }
}
