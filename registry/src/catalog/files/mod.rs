//! The layer of names in the data folder. Link files are the truth; the index is derived from them.
//!
//! ```text
//!   links · log · sequence     the truth, as files          index      derived, in sled, sealed at a clean stop
//!        └───────── folder ────────┘                                       │
//!   commit (truth → index → caches) · settling · rebuild · opening (the index's life)
//! ```

mod commit;
mod folder;
mod index;
mod links;
mod log;
mod opening;
mod rebuild;
mod sequence;
mod settling;
mod write;

use std::sync::{Arc, Weak};

pub(crate) use folder::Folder;
pub use index::IndexError;
pub(crate) use index::{CHARTS, Index};
pub use links::ManifestLink;
pub(crate) use log::ReleaseLog;
pub(crate) use rebuild::Linked;
pub use rebuild::RebuildReport;
pub(crate) use write::{Exclusive, Write};

use write::Locks;

use super::binding::Binding;
use super::caches::Caches;
use super::layer::{Layer, Page, ServedManifest};
use crate::blobs::{self, Answer};
use crate::disk::threads::blocking;
use crate::disk::{DiskError, Layout};
use crate::error::Error;
use crate::oci::{Digest, RepositoryName, Tag};

/// How often a question is asked that the index fails under: the disk that failed one may fail the next as it is made.
const ATTEMPTS: usize = 3;

/// The asynchronous face: one hop to a thread that may block for each question. Cheap to clone.
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
        // Nothing may be linked between the walk and the moment the new index counts.
        let alone = self.locks.alone().await;
        let (folder, old) = (self.folder.clone(), self.folder.take_index().await?);
        blocking(move || {
            let _alone = alone;
            folder.replace_index(old)
        })
        .await
    }

    /// Keeps other changes of one repository, and releases, away until the value is dropped.
    pub(crate) async fn write(&self, repository: &RepositoryName) -> Result<Write, Error> {
        let lock = self.locks.of(repository).await;
        // After the lock: a rebuild holds it while it replaces the index.
        Ok(Write::new(self.folder.clone(), self.folder.index().await?, lock))
    }

    /// Keeps every other change away until the value is dropped.
    pub(crate) async fn exclusive(&self) -> Result<Exclusive, Error> {
        let alone = self.locks.alone().await;
        Ok(Exclusive::new(self.folder.clone(), self.folder.index().await?, alone))
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

    /// Every repository that has links, in no order; read from the links themselves.
    pub(crate) async fn linked_repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        let folder = self.folder.clone();
        blocking(move || Ok(folder.links.repositories()?)).await
    }

    /// What the links of a repository say, and which are damaged; read from the links themselves.
    pub(crate) async fn linked(&self, repository: &RepositoryName) -> Result<Linked, Error> {
        let (folder, repository) = (self.folder.clone(), repository.clone());
        blocking(move || Ok(folder.linked(&repository)?)).await
    }

    /// Asks the folder, and the index once it is ready. A question that comes upon an index whose disk has just failed
    /// does not fail with it: it waits for the new one and asks that (S08).
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Folder, &Index) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let question = Arc::new(question);
        let mut attempts = ATTEMPTS;
        loop {
            let (folder, index, question) = (self.folder.clone(), self.folder.index().await?, question.clone());
            attempts -= 1;
            match blocking(move || folder.guarded(&index, |folder, index| question(folder, index))).await {
                Err(Error::Index(_)) if attempts > 0 => {}
                done => return done,
            }
        }
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

impl Folder {
    /// Gives the index up when it fails under `work`.
    fn guarded<T>(
        self: &Arc<Self>,
        index: &Arc<Index>,
        work: impl FnOnce(&Self, &Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = work(self, index);
        if matches!(&result, Err(Error::Index(_))) {
            self.give_up(index);
        }
        result
    }
}

impl Layer for Files {
    fn has_repository<'a>(&'a self, repository: &'a RepositoryName) -> Answer<'a, bool> {
        let repository = repository.clone();
        Box::pin(self.ask(move |_, index| Ok(index.has_manifests(&repository)?)))
    }

    fn tag<'a>(&'a self, repository: &'a RepositoryName, tag: &'a Tag) -> Answer<'a, Option<Binding>> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.ask_links(move |folder| Ok(folder.tag(&repository, &tag)?.map(Binding::from)))
    }

    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, Option<ServedManifest>> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask_links(move |folder| folder.manifest(&repository, &digest))
    }

    fn names_manifest<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, bool> {
        let (repository, digest) = (repository.clone(), *digest);
        self.ask_links(move |folder| Ok(folder.links.manifest(&repository, &digest)?.is_some()))
    }

    fn visible<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<u64>> {
        let (repository, digest) = (repository.clone(), *digest);
        Box::pin(self.ask(move |folder, index| folder.visible(&repository, &digest, index)))
    }

    fn visible_anywhere<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<u64>> {
        let digest = *digest;
        Box::pin(self.ask(move |folder, index| match index.find_blob(&digest)? {
            Some(repository) => folder.visible(&repository, &digest, index),
            None => Ok(None),
        }))
    }

    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page<Tag>> {
        let (repository, after) = (repository.clone(), after.map(str::to_owned));
        Box::pin(self.ask(move |_, index| {
            let (entries, more) = index.tags(&repository, after.as_deref(), limit)?;
            Ok(Page { entries, more })
        }))
    }

    fn tags_of<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Vec<Tag>> {
        let (repository, digest) = (repository.clone(), *digest);
        Box::pin(self.ask(move |_, index| Ok(index.tags_of(&repository, &digest)?)))
    }

    fn repositories<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Answer<'a, Page<RepositoryName>> {
        let after = after.map(str::to_owned);
        Box::pin(self.ask(move |_, index| {
            let (entries, more) = index.repositories(after.as_deref(), limit)?;
            Ok(Page { entries, more })
        }))
    }

    fn referrers<'a>(&'a self, repository: &'a RepositoryName, subject: &'a Digest) -> Answer<'a, Vec<Digest>> {
        let (repository, subject) = (repository.clone(), *subject);
        Box::pin(self.ask(move |_, index| Ok(index.referrers(&repository, &subject)?)))
    }
}
