//! The right to change names: of one repository, of all, or to add to the release log.
//!
//! A release changes any number of repositories, and writing and syncing their links takes seconds. Others may change what it
//! does not concern meanwhile: only between the last look at the tags and the commit is everything held.
//!
//! ```text
//!   log   ├─ check · link, one repository at a time ─┬─ look again at what changed · commit ─┬─ settle the tags' links ─┤
//!   all                                              ├───────────────────────────────────────┤
//! ```

use std::collections::HashSet;
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
    /// Held by what adds to the release log, until the tags' links say what the log says. Taken before the others.
    log: Arc<Mutex<()>>,
}

impl Default for Locks {
    fn default() -> Self {
        let stripes = std::iter::repeat_with(Arc::default).take(STRIPES).collect();
        Self { stripes, all: Arc::default(), log: Arc::default() }
    }
}

/// Prevents other changes of one repository, and releases, as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _stripe: OwnedMutexGuard<()>,
    _all: OwnedRwLockReadGuard<()>,
}

/// Prevents every other change as long as it lives.
#[derive(Debug)]
pub(crate) struct Alone {
    _all: OwnedRwLockWriteGuard<()>,
    log: OwnedMutexGuard<()>,
}

impl Locks {
    pub(super) async fn of(&self, repository: &RepositoryName) -> Lock {
        let stripe = crc32fast::hash(repository.as_str().as_bytes()) as usize % STRIPES;
        let all = self.all.clone().read_owned().await;
        Lock { _stripe: self.stripes[stripe].clone().lock_owned().await, _all: all }
    }

    pub(super) async fn log(&self) -> OwnedMutexGuard<()> {
        self.log.clone().lock_owned().await
    }

    pub(super) async fn alone(&self, log: OwnedMutexGuard<()>) -> Alone {
        Alone { _all: self.all.clone().write_owned().await, log }
    }

    pub(super) async fn shared(&self) -> OwnedRwLockReadGuard<()> {
        self.all.clone().read_owned().await
    }
}

/// The right to change names, as long as this lives, with the lock that gives it.
#[derive(Debug)]
pub(crate) struct Right<L> {
    pub(super) folder: Arc<Folder>,
    pub(super) locks: Arc<Locks>,
    pub(super) lock: Arc<L>,
}

/// The right to change one repository.
pub(crate) type Write = Right<Lock>;

/// A manifest that an ingest brings.
pub(crate) type Ingested = (ManifestName, Arc<Manifest>);

/// The right to add to the release log, and until then to link what it will name.
pub(crate) type Logging = Right<OwnedMutexGuard<()>>;

/// The right to change everything.
pub(crate) type Exclusive = Right<Alone>;

impl<L: Send + Sync + 'static> Right<L> {
    /// What a change needs. The index is asked for each time: one that failed is replaced only when nothing holds it any
    /// more.
    async fn parts(&self) -> Result<(Arc<Folder>, Arc<Index>, Arc<L>), Error> {
        Ok((self.folder.clone(), self.folder.index().await?, self.lock.clone()))
    }

    /// Runs `work`. Goes on to its end when dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder, &Index) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (folder, index, lock) = self.parts().await?;
        blocking(move || {
            let _lock = lock;
            folder.guarded(&index, work)
        })
        .await
    }

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

    /// Stores the manifests that are not linked yet, durably, and returns them.
    async fn store(&self, manifests: Vec<Ingested>) -> Result<Vec<Ingested>, Error> {
        self.run(move |folder, _| folder.store_ingested(manifests)).await
    }

    /// Links stored manifests of one repository, which nobody else may change meanwhile.
    async fn link_in(&self, repository: &RepositoryName, manifests: &[Ingested]) -> Result<(), Error> {
        let (repository, manifests) = (repository.clone(), manifests.to_vec());
        self.run(move |folder, index| {
            let linked = folder.link_ingested(&repository, &manifests, index);
            if matches!(linked, Err(Error::Disk(_))) {
                folder.reconcile([&repository], index)?;
            }
            linked
        })
        .await
    }

    /// Whether an entry of the log says of each of these manifests that it brought it.
    pub(crate) async fn are_in_log(&self, manifests: Vec<ManifestName>) -> Result<bool, Error> {
        self.run(move |folder, _| Ok(folder.unknown_to_log(manifests)?.is_empty())).await
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

impl Logging {
    /// Notes from now on in which repositories others change something.
    pub(crate) fn watch(&self) -> Watch {
        *self.folder.changed.lock() = Some(HashSet::new());
        Watch(self.folder.clone())
    }

    /// Links the manifests that are not linked yet, as an ingest's; says whether there were any. The blobs they name must
    /// be stored; their names are made durable here. One repository is held at a time.
    pub(crate) async fn link(&self, manifests: Vec<Ingested>) -> Result<bool, Error> {
        let fresh = self.store(manifests).await?;
        for group in fresh.chunk_by(of_one_repository) {
            let repository = &group[0].0.repository;
            let _lock = self.locks.of(repository).await;
            self.link_in(repository, group).await?;
        }
        Ok(!fresh.is_empty())
    }

    /// Goes on alone: from here on nobody else changes anything.
    pub(crate) async fn alone(self) -> Result<Exclusive, Error> {
        let Self { folder, locks, lock } = self;
        let log = Arc::into_inner(lock).ok_or_else(|| Error::Unavailable("the log is in use".into()))?;
        let lock = Arc::new(locks.alone(log).await);
        Ok(Right { folder, locks, lock })
    }
}

fn of_one_repository(one: &Ingested, next: &Ingested) -> bool {
    one.0.repository == next.0.repository
}

/// Notes which repositories are changed, as long as it lives.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Folder>);

impl Watch {
    /// The repositories that were changed so far.
    pub(crate) fn changed(&self) -> HashSet<RepositoryName> {
        self.0.changed.lock().clone().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.changed.lock() = None;
    }
}

impl Exclusive {
    /// As [`Logging::link`].
    pub(crate) async fn link(&self, manifests: Vec<Ingested>) -> Result<bool, Error> {
        let fresh = self.store(manifests).await?;
        for group in fresh.chunk_by(of_one_repository) {
            self.link_in(&group[0].0.repository, group).await?;
        }
        Ok(!fresh.is_empty())
    }

    /// The next number of a change.
    pub(crate) async fn next_number(&self) -> Result<u64, Error> {
        self.run(|folder, _| Ok(folder.sequence.next()?)).await
    }

    /// The release in effect.
    pub(crate) async fn in_effect(&self) -> Result<Option<u64>, Error> {
        self.run(|folder, _| folder.in_effect()).await
    }

    /// Commits an entry of the log, durably: all its tags change together. Others may change what it does not concern as soon
    /// as it is committed, while its links are written. See [`Folder::publish`]. Goes on to its end when dropped.
    pub(crate) async fn commit(self, record: Arc<ReleaseRecord>) -> Result<(), Error> {
        let (folder, index, lock) = self.parts().await?;
        drop(self);
        blocking(move || {
            folder.publish(&record, &index)?;
            // The log stays held, and with it what the entry concerns.
            let _log = Arc::into_inner(lock).map(|alone| alone.log);
            if let Err(error) = folder.follow(&record, &index) {
                // It was committed: to report a failure would say that nothing was changed.
                tracing::warn!(
                    entry = record.id,
                    %error,
                    "an entry of the release log is in effect, and its links are not written yet; the next change, or the \
                     next start, writes them"
                );
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Exclusive;
    use crate::blobs;
    use crate::catalog::binding::{Provenance, TagLink};
    use crate::catalog::files::Files;
    use crate::catalog::release::{ReleaseKind, ReleaseRecord, TagChange};
    use crate::catalog::{Changes, Layer as _};
    use crate::disk::DataFolder;
    use crate::oci::{Algorithm, RepositoryName};

    fn open(folder: &std::path::Path) -> Files {
        let data = DataFolder::open(folder.join("data"), false).unwrap();
        let layout = data.layout.clone();
        Files::open(layout.clone(), blobs::Files::new(layout), Arc::default()).unwrap()
    }

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    /// A release that sets a tag in `a`.
    async fn record(all: &Exclusive) -> Arc<ReleaseRecord> {
        let id = all.next_number().await.unwrap();
        let mut record = ReleaseRecord::new(id, ReleaseKind::Ingest, "a test".into());
        let provenance = Provenance::Ingested { bundle: "b".into(), release: Some(id) };
        let after = TagLink { digest: Algorithm::Sha256.digest(b"x"), sequence: id, at: 0, provenance };
        let change = TagChange { repository: name("a"), tag: "1".parse().unwrap(), before: None, after: Some(after) };
        record.changes.push(change);
        Arc::new(record)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_release_holds_only_what_it_concerns_once_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        let logging = files.logging().await.unwrap();
        // While it is checked and its manifests are linked, it holds nothing but the log.
        drop(files.write(&name("a")).await.unwrap());
        let all = logging.alone().await.unwrap();
        let record = record(&all).await;
        let index = files.folder.index().await.unwrap();
        files.folder.publish(&record, &index).unwrap();
        let lock = Arc::into_inner(all.lock).unwrap();
        let log = lock.log;
        drop(lock._all);
        // Its links are not written yet.
        drop(files.write(&name("b")).await.unwrap());
        let (other, folder) = (files.clone(), files.folder.clone());
        let mut waiting = tokio::spawn(async move { other.write(&name("a")).await.map(drop) });
        let long = std::time::Duration::from_millis(200);
        assert!(tokio::time::timeout(long, &mut waiting).await.is_err(), "what it concerns waits");
        folder.follow(&record, &index).unwrap();
        drop(log);
        waiting.await.unwrap().unwrap();
        assert!(!folder.is_settling(&name("a")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_of_others_while_a_release_is_prepared_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        let logging = files.logging().await.unwrap();
        let watch = logging.watch();
        let changes = Changes { unlinked_tags: vec!["1".parse().unwrap()], ..Changes::of(name("b")) };
        files.write(&name("b")).await.unwrap().commit(changes).await.unwrap();
        assert_eq!(watch.changed().into_iter().collect::<Vec<_>>(), [name("b")]);
        drop(watch);
        assert!(files.folder.changed.lock().is_none(), "nobody watches");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn d12_an_entry_whose_links_the_disk_refuses_is_in_effect_and_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        let all = files.logging().await.unwrap().alone().await.unwrap();
        let record = record(&all).await;
        // The disk takes the entry, and refuses the links: there is a file where their folder belongs.
        let in_the_way = folder.path().join("data/repositories/a");
        std::fs::write(&in_the_way, "in the way").unwrap();
        all.commit(record).await.expect("it was committed, so it is not a failure");
        let tag = "1".parse().unwrap();
        assert!(files.tag(&name("a"), &tag).await.unwrap().is_some(), "every read sees it");
        let pending = || std::fs::read_dir(folder.path().join("data/releases/pending")).unwrap().count();
        assert_eq!(pending(), 1);
        std::fs::remove_file(&in_the_way).unwrap();
        let changes = Changes { unlinked_tags: vec!["other".parse().unwrap()], ..Changes::of(name("a")) };
        files.write(&name("a")).await.unwrap().commit(changes).await.unwrap();
        assert_eq!(pending(), 0, "its links followed with the next change");
        assert!(files.tag(&name("a"), &tag).await.unwrap().is_some());
    }
}
