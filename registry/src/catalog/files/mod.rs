//! The layer of names in the data folder. Link files are the truth; the index is derived from them.
//!
//! ```text
//!   links · log · sequence     the truth, as files          index      derived, in redb, sealed at a clean stop
//!        └───────── folder ────────┘                                       │
//!   commit (truth → index → caches) · rebuild · opening (the index's life) · write (locks) · release (the log's use cases)
//! ```

mod commit;
mod folder;
mod index;
mod links;
mod log;
mod opening;
mod rebuild;
mod release;
mod sequence;
mod untagged;
mod write;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

pub(crate) use index::CHARTS;
pub use index::IndexError;
pub use links::ManifestLink;
pub(crate) use rebuild::Linked;
pub use rebuild::RebuildReport;
pub use release::{ReleaseList, ReleaseState, ReleaseSummary, Releases, Rollback};
pub(crate) use write::{Exclusive, Logging, Right, Write};

use folder::Folder;
use index::Index;
use log::ReleaseLog;
use write::Locks;

use super::binding::Binding;
use super::caches::Caches;
use super::homes::Homes;
use super::layer::{Layer, ServedManifest};
use super::page::Page;
use super::referrer::Referrer;
use crate::blobs::{self, Answer};
use crate::disk::threads::blocking;
use crate::disk::{DiskError, Layout};
use crate::error::Error;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// How often a question is asked while the index fails under it: the disk may fail the rebuilt one, too.
const ATTEMPTS: usize = 3;

/// The asynchronous face: each question is one hop to a thread that may block. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: Arc<Folder>,
    locks: Arc<Locks>,
}

impl Files {
    /// Opens the names of a data folder. Manifests can be served when this returns; what needs the index waits for it.
    pub(crate) fn open(layout: Layout, blobs: blobs::Files, caches: Arc<Caches>) -> Result<Self, DiskError> {
        let folder = Arc::new(Folder::open(layout, blobs, caches)?);
        folder.clone().open_index(true, Weak::new());
        Ok(Self { folder, locks: Arc::default() })
    }

    /// Waits until the index is ready.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        self.folder.index().await.map(drop)
    }

    /// Seals the index, so that the next start need not rebuild it. Later questions are refused.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let folder = self.folder.clone();
        blocking(move || folder.close()).await
    }

    /// Rebuilds the index from the links. What needs it waits meanwhile.
    pub(crate) async fn rebuild(&self) -> Result<RebuildReport, Error> {
        // Nothing may be linked between the walk and the moment the new index is in place.
        let alone = self.locks.alone(self.locks.log().await).await;
        let (folder, old) = (self.folder.clone(), self.folder.take_index().await?);
        blocking(move || {
            let _alone = alone;
            folder.replace_index(old)
        })
        .await
    }

    /// The right to change one repository. No other change of it, and no commit of a release, happens while the value
    /// lives. Waits for a release whose tags are not all in the links of the repository.
    pub(crate) async fn write(&self, repository: &RepositoryName) -> Result<Write, Error> {
        loop {
            let lock = self.locks.of(repository).await;
            if !self.folder.is_settling(repository) {
                return self.right(lock).await;
            }
            drop(lock);
            drop(self.logging().await?);
        }
    }

    /// The right to add to the release log. No other entry is added while the value lives, and the last one is settled.
    pub(crate) async fn logging(&self) -> Result<Logging, Error> {
        let logging = self.right(self.locks.log().await).await?;
        if self.folder.unsettled.lock().is_some() {
            logging.run(|folder, _| folder.settle_again()).await?;
        }
        Ok(logging)
    }

    /// The right to change everything. No other change happens while the value lives.
    pub(crate) async fn exclusive(&self) -> Result<Exclusive, Error> {
        self.logging().await?.alone().await
    }

    async fn right<L>(&self, lock: L) -> Result<Right<L>, Error> {
        // Waited for here, where no blocking thread is held, and after the lock was taken: a rebuild holds that while it
        // replaces the index.
        self.ready().await?;
        Ok(Right { folder: self.folder.clone(), locks: self.locks.clone(), lock: Arc::new(lock) })
    }

    /// Reads the release log while nothing changes it.
    pub(crate) async fn read_log<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (folder, shared) = (self.folder.clone(), self.locks.shared().await);
        blocking(move || {
            let _shared = shared;
            question(&folder)
        })
        .await
    }

    /// A number that changes whenever a tag below [`CHARTS`] does.
    pub(crate) async fn chart_changes(&self) -> Result<u64, Error> {
        Ok(self.folder.index().await?.chart_changes())
    }

    /// A manifest of the repository that names the blob.
    pub(crate) async fn user(&self, repository: &RepositoryName, blob: &Digest) -> Result<Option<Digest>, Error> {
        let (repository, blob) = (repository.clone(), *blob);
        self.ask(move |_, index| Ok(index.user(&repository, &blob)?)).await
    }

    /// The media type of a manifest of the repository, by its link: its bytes may be damaged.
    pub(crate) async fn manifest_type(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<MediaType>, Error> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask_links(move |folder| folder.manifest_type(&repository, &digest)).await
    }

    /// The manifests of a repository that no tag, no index and no subject leads to.
    pub(crate) async fn untagged(&self, repository: &RepositoryName) -> Result<Vec<Digest>, Error> {
        let repository = repository.clone();
        self.ask(move |folder, index| folder.untagged(&repository, index)).await
    }

    /// An index of the repository that lists the manifest. The lists of referrers that clients without the API keep under
    /// the fallback tag do not count: such a client removes a referrer first, and then its entry.
    pub(crate) async fn parent(&self, repository: &RepositoryName, child: &Digest) -> Result<Option<Digest>, Error> {
        let (repository, child) = (repository.clone(), *child);
        self.ask(move |_, index| {
            let mut parent = index.parent(&repository, &child, None)?;
            while let Some(found) = parent {
                let tags = index.tags_of(&repository, &found)?;
                if tags.is_empty() || !tags.iter().all(Tag::is_referrers_fallback) {
                    break;
                }
                parent = index.parent(&repository, &child, Some(&found))?;
            }
            Ok(parent)
        })
        .await
    }

    /// Every repository that has links, in no order; read from the links, not from the index.
    pub(crate) async fn linked_repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        self.ask_links(|folder| folder.links.repositories()).await
    }

    /// What the links of a repository say, and which are damaged; read from the links, not from the index.
    pub(crate) async fn linked(&self, repository: &RepositoryName) -> Result<Linked, Error> {
        let repository = repository.clone();
        self.ask_links(move |folder| folder.linked(&repository)).await
    }

    /// Asks the folder, and the index once it is ready. A question that meets an index whose disk has just failed does not
    /// fail with it: it waits for the new index and asks again (S08).
    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Folder, &Index) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Answer<'_, T> {
        let question = Arc::new(question);
        Box::pin(async move {
            let mut attempts = ATTEMPTS;
            loop {
                let (folder, index, question) = (self.folder.clone(), self.folder.index().await?, question.clone());
                attempts -= 1;
                match blocking(move || folder.guarded(&index, |folder, index| question(folder, index))).await {
                    Err(Error::Index(_)) if attempts > 0 => {}
                    done => return done,
                }
            }
        })
    }

    /// Asks the links alone, which need no index.
    fn ask_links<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Folder) -> Result<T, DiskError> + Send + 'static,
    ) -> Answer<'static, T> {
        let folder = self.folder.clone();
        Box::pin(blocking(move || Ok(question(&folder)?)))
    }
}

impl Layer for Files {
    fn has_repository(&self, repository: &RepositoryName) -> Answer<'_, bool> {
        let repository = repository.clone();
        self.ask(move |_, index| Ok(index.has_manifests(&repository)?))
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Answer<'_, Option<Binding>> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.ask_links(move |folder| Ok(folder.tag(&repository, &tag)?.map(Binding::from)))
    }

    fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<ServedManifest>> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask_links(move |folder| folder.manifest(&repository, &digest))
    }

    fn names_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, bool> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask_links(move |folder| folder.names_manifest(&repository, &digest))
    }

    fn visible(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<u64>> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask(move |folder, index| folder.visible(&repository, &digest, index))
    }

    fn visible_anywhere(&self, digest: &Digest) -> Answer<'_, Option<u64>> {
        let digest = *digest;
        self.ask(move |folder, index| match index.find_blob(&digest)? {
            Some(repository) => folder.visible(&repository, &digest, index),
            None => Ok(None),
        })
    }

    fn tags(&self, repository: &RepositoryName, after: Option<&str>, limit: usize) -> Answer<'_, Page<Tag>> {
        let (repository, after) = (repository.clone(), after.map(str::to_owned));
        self.ask(move |_, index| Ok(index.tags(&repository, after.as_deref(), limit)?))
    }

    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Vec<Tag>> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask(move |_, index| Ok(index.tags_of(&repository, &digest)?))
    }

    fn repositories(&self, after: Option<&str>, limit: usize) -> Answer<'_, Page<RepositoryName>> {
        let after = after.map(str::to_owned);
        self.ask(move |_, index| Ok(index.repositories(after.as_deref(), limit)?))
    }

    fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Answer<'_, Homes> {
        let manifests = manifests.clone();
        self.ask(move |_, index| Ok(index.repositories_of(&manifests)?))
    }

    fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Answer<'_, Page<Referrer>> {
        let (repository, subject, after) = (repository.clone(), *subject, after.copied());
        self.ask(move |_, index| Ok(index.referrers(&repository, &subject, after.as_ref(), limit)?))
    }
}
