//! The life of the index: opened while the first requests are served, rebuilt when its disk fails, sealed at the end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::folder::{Folder, Opening};
use super::index::Index;
use super::rebuild::RebuildReport;
use crate::error::Error;

impl Folder {
    /// Runs `work`, and gives the index up when it fails under it.
    pub(super) fn guarded<T>(
        self: &Arc<Self>,
        index: &Arc<Index>,
        work: impl FnOnce(&Self, &Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = work(self, index);
        let Err(Error::Index(error)) = &result else { return result };
        // Rebuilding it would need more descriptors, not fewer.
        if error.is_out_of_descriptors() && index.answers() {
            return result;
        }
        if self.withdraw(index) {
            // Its database stays broken once it met an error of the disk.
            tracing::error!("the index failed and is rebuilt from the data folder");
            self.clone().open_index(false, Arc::downgrade(index));
        }
        result
    }

    /// Opens the index in a thread of its own, once nothing holds the old one any more, and retries on failure: a full
    /// disk may have room again.
    pub(super) fn open_index(self: Arc<Self>, believe_seal: bool, old: Weak<Index>) {
        let opening = move || {
            outlive(&old, 0);
            let (mut wait, mut believe_seal) = (Duration::from_millis(500), believe_seal);
            loop {
                match self.try_index(believe_seal) {
                    Ok(index) => {
                        let ready = Opening::Ready(Arc::new(index));
                        // Not when the registry was closed meanwhile.
                        self.index.send_if_modified(|state| {
                            let pending = matches!(state, Opening::Pending);
                            if pending {
                                *state = ready;
                            }
                            pending
                        });
                        return;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the index cannot be opened; trying again");
                        believe_seal = false;
                        std::thread::sleep(wait);
                        wait = (wait * 2).min(Duration::from_secs(30));
                        if matches!(*self.index.borrow(), Opening::Closed) {
                            return;
                        }
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("index".into()).spawn(opening) {
            tracing::error!(%error, "no thread can be started to open the index");
        }
    }

    fn try_index(&self, believe_seal: bool) -> Result<Index, Error> {
        if believe_seal && let Some(index) = Index::open_sealed(&self.layout)? {
            return Ok(index);
        }
        let (index, report) = self.make_index().or_else(|error| {
            tracing::warn!(%error, "the index is kept in memory until the next start");
            self.fill(Index::create_aside()?)
        })?;
        tracing::info!(
            repositories = report.repositories,
            manifests = report.manifests,
            tags = report.tags,
            problems = report.problems.len(),
            "rebuilt the index from the data folder"
        );
        Ok(index)
    }

    fn make_index(&self) -> Result<(Index, RebuildReport), Error> {
        self.fill(Index::create(&self.layout)?)
    }

    /// Rebuilds the index in place of `old`; nothing may be linked meanwhile.
    pub(super) fn replace_index(self: &Arc<Self>, old: Arc<Index>) -> Result<RebuildReport, Error> {
        outlive(&Arc::downgrade(&old), 1);
        drop(old);
        match self.make_index() {
            Ok((index, report)) => {
                self.index.send_replace(Opening::Ready(Arc::new(index)));
                Ok(report)
            }
            Err(error) => {
                self.clone().open_index(false, Weak::new());
                Err(error)
            }
        }
    }

    /// The index, waiting until it is ready.
    pub(super) async fn index(&self) -> Result<Arc<Index>, Error> {
        if let Opening::Ready(index) = &*self.index.borrow() {
            return Ok(index.clone());
        }
        let mut changes = self.index.subscribe();
        let state = changes.wait_for(|state| !matches!(state, Opening::Pending)).await.map(|state| state.clone());
        match state {
            Ok(Opening::Ready(index)) => Ok(index),
            _ => Err(Error::Unavailable("it is stopping".into())),
        }
    }

    /// Takes the index away from every reader. Waits until there is one: while it is being opened, another thread works in
    /// its folder.
    pub(super) async fn take_index(&self) -> Result<Arc<Index>, Error> {
        loop {
            let current = self.index().await?;
            if self.withdraw(&current) {
                return Ok(current);
            }
        }
    }

    /// Takes the index away from later questions; says whether it was the current one.
    fn withdraw(&self, index: &Arc<Index>) -> bool {
        self.index.send_if_modified(|state| {
            let current = matches!(state, Opening::Ready(current) if Arc::ptr_eq(current, index));
            if current {
                *state = Opening::Pending;
            }
            current
        })
    }

    /// Writes out the index and seals it. Later questions are refused.
    pub(super) fn close(&self) -> Result<(), Error> {
        let Opening::Ready(index) = self.index.send_replace(Opening::Closed) else { return Ok(()) };
        // This only keeps numbers small: the index is sealed even if it fails.
        if let Err(error) = self.sequence.give_back() {
            tracing::warn!("{error}");
        }
        // A request that still runs would write after the seal.
        outlive(&Arc::downgrade(&index), 1);
        match Arc::try_unwrap(index) {
            Ok(index) => index.close(&self.layout).map_err(Error::from),
            Err(_) => Ok(()),
        }
    }
}

/// Waits until at most `holders` hold the index: two databases on one folder would corrupt each other. Readers are done
/// within moments, and a release that is being settled within a minute; after two something is wrong, and the next start
/// rebuilds the folder.
fn outlive(index: &Weak<Index>, holders: usize) {
    for _ in 0..24_000 {
        if index.strong_count() <= holders {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::error!("the old index is still in use");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};
    use std::time::Duration;

    use super::Folder;
    use crate::blobs;
    use crate::catalog::Changes;
    use crate::catalog::files::{Files, IndexError};
    use crate::disk::DataFolder;
    use crate::error::Error;
    use crate::oci::RepositoryName;

    #[tokio::test(flavor = "multi_thread")]
    async fn d09_a_process_without_descriptors_keeps_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path().join("data"), false).unwrap();
        let layout = data.layout.clone();
        let files = Files::open(layout.clone(), blobs::Files::new(layout), Arc::default()).unwrap();
        let index = files.folder.index().await.unwrap();
        let fail = |_: &Folder, _: &_| {
            let out = std::io::Error::from(rustix::io::Errno::MFILE);
            let source = Box::new(redb::Error::Io(out));
            Err::<(), _>(Error::Index(IndexError::Database { source, no_space: false }))
        };
        assert!(matches!(files.folder.guarded(&index, fail), Err(Error::Index(_))));
        assert!(Arc::ptr_eq(&index, &files.folder.index().await.unwrap()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_index_that_failed_is_replaced_while_a_right_to_write_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path().join("data"), false).unwrap();
        let layout = data.layout.clone();
        let files = Files::open(layout.clone(), blobs::Files::new(layout), Arc::default()).unwrap();
        let name: RepositoryName = "a".parse().unwrap();
        let write = files.write(&name).await.unwrap();
        let broken = files.folder.index().await.unwrap();
        let fail = |_: &Folder, _: &_| Err::<(), _>(Error::Index(IndexError::Panicked));
        assert!(matches!(files.folder.guarded(&broken, fail), Err(Error::Index(_))));
        let old = Arc::downgrade(&broken);
        drop(broken);
        // Another index on its folder, while this one is in use, would corrupt both.
        tokio::time::timeout(Duration::from_secs(8), files.ready()).await.expect("it waits for the writer").unwrap();
        assert_eq!(Weak::strong_count(&old), 0);
        write.commit(Changes { unlinked_tags: vec!["b".parse().unwrap()], ..Changes::of(name) }).await.unwrap();
    }
}
