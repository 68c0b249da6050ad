//! The right to change names: of one repository, or of all.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::folder::Folder;
use super::index::Index;
use super::links::ManifestLink;
use crate::catalog::binding::TagLink;
use crate::catalog::changes::Changes;
use crate::catalog::release::{ManifestName, ReleaseRecord};
use crate::disk::threads::blocking;
use crate::error::Error;
use crate::oci::{Manifest, RepositoryName, Tag};

/// How many locks all repositories share.
const STRIPES: usize = 64;

/// The locks of writers.
#[derive(Debug)]
pub(super) struct Locks {
    stripes: Vec<Arc<Mutex<()>>>,
    /// Write-locked by what changes many repositories at once, read-locked by every other change.
    all: Arc<RwLock<()>>,
}

impl Default for Locks {
    fn default() -> Self {
        Self { stripes: std::iter::repeat_with(Arc::default).take(STRIPES).collect(), all: Arc::default() }
    }
}

/// Prevents other changes of one repository, and releases, as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _stripe: OwnedMutexGuard<()>,
    _all: OwnedRwLockReadGuard<()>,
}

impl Locks {
    pub(super) async fn of(&self, repository: &RepositoryName) -> Lock {
        let stripe = crc32fast::hash(repository.as_str().as_bytes()) as usize % STRIPES;
        let all = self.all.clone().read_owned().await;
        Lock { _stripe: self.stripes[stripe].clone().lock_owned().await, _all: all }
    }

    pub(super) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        self.all.clone().write_owned().await
    }

    pub(super) async fn shared(&self) -> OwnedRwLockReadGuard<()> {
        self.all.clone().read_owned().await
    }
}

/// The right to change names, as long as this lives, with the lock that gives it.
#[derive(Debug)]
pub(crate) struct Right<L> {
    pub(super) folder: Arc<Folder>,
    pub(super) lock: Arc<L>,
}

/// The right to change one repository.
pub(crate) type Write = Right<Lock>;

/// The right to change everything.
pub(crate) type Exclusive = Right<OwnedRwLockWriteGuard<()>>;

impl<L: Send + Sync + 'static> Right<L> {
    /// What a change needs. The index is asked for each time: one that failed is replaced only when nothing holds it any
    /// more.
    async fn parts(&self) -> Result<(Arc<Folder>, Arc<Index>, Arc<L>), Error> {
        Ok((self.folder.clone(), self.folder.index().await?, self.lock.clone()))
    }

    /// Runs `work` once a release that was left unsettled is settled. Goes on to its end when dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder, &Index) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (folder, index, lock) = self.parts().await?;
        blocking(move || {
            let _lock = lock;
            folder.guarded(&index, |folder, index| {
                folder.settle_again()?;
                work(folder, index)
            })
        })
        .await
    }
}

impl Write {
    /// Commits the changes, durably: truth, then index, then caches. Says whether anything was there that was to be
    /// unlinked. When the disk refuses, what is on the disk counts, and is what every later read sees. Goes on to its end
    /// when dropped.
    pub(crate) async fn commit(&self, changes: Changes) -> Result<bool, Error> {
        let (folder, index, lock) = self.parts().await?;
        blocking(move || {
            let _lock = lock;
            folder.commit(&changes, &index)
        })
        .await
    }
}

impl Exclusive {
    /// The links of manifests.
    pub(crate) async fn manifests(&self, names: Vec<ManifestName>) -> Result<Vec<Option<ManifestLink>>, Error> {
        let link = |folder: &Folder, name: &ManifestName| folder.links.manifest(&name.repository, &name.digest);
        self.run(move |folder, _| Ok(names.iter().map(|name| link(folder, name)).collect::<Result<_, _>>()?)).await
    }

    /// The links of tags.
    pub(crate) async fn tags(&self, names: Vec<(RepositoryName, Tag)>) -> Result<Vec<Option<TagLink>>, Error> {
        let link = |folder: &Folder, (repository, tag): &(RepositoryName, Tag)| folder.links.tag(repository, tag);
        self.run(move |folder, _| Ok(names.iter().map(|name| link(folder, name)).collect::<Result<_, _>>()?)).await
    }

    /// Links the manifests that are not linked yet, as an ingest's; says whether there were any. The blobs they name must
    /// be stored; their names are made durable here.
    pub(crate) async fn link(&self, manifests: Vec<(ManifestName, Arc<Manifest>)>) -> Result<bool, Error> {
        self.run(move |folder, index| {
            let linked = folder.link_ingested(&manifests, index);
            if matches!(linked, Err(Error::Disk(_))) {
                let concerned: BTreeSet<_> = manifests.iter().map(|(name, _)| &name.repository).collect();
                folder.reconcile(concerned, index)?;
            }
            linked
        })
        .await
    }

    /// Whether an entry of the log says of each of these manifests that it brought it.
    pub(crate) async fn are_in_log(&self, manifests: Vec<ManifestName>) -> Result<bool, Error> {
        self.run(move |folder, _| Ok(folder.unknown_to_log(manifests)?.is_empty())).await
    }

    /// The next number of a change.
    pub(crate) async fn next_number(&self) -> Result<u64, Error> {
        self.run(|folder, _| Ok(folder.sequence.next()?)).await
    }

    /// The release in effect.
    pub(crate) async fn in_effect(&self) -> Result<Option<u64>, Error> {
        self.run(|folder, _| folder.in_effect()).await
    }

    /// Commits an entry of the log, durably: all its tags change together. See [`Folder::commit_entry`].
    pub(crate) async fn commit(&self, record: ReleaseRecord) -> Result<(), Error> {
        self.run(move |folder, index| folder.commit_entry(&record, index)).await
    }
}
