//! The registry: a cheap handle over the store, what is derived from it, and what was read lately.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, watch};

use crate::cache::Cache;
use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::mounts::Mounts;
use crate::oci::{Digest, RepositoryName, TagOrDigest};
use crate::repository::{Charts, ReleaseDraft, Releases, Repository, ServedManifest, Settling, rebuild};
use crate::settings::Settings;
use crate::store::{Blob, OpenError, Provenance, ReleaseRecord, Store};

pub use crate::repository::rebuild::RebuildReport;

/// Locks for writers: one per so many repositories.
const STRIPES: usize = 64;

/// How often a read is tried that metadata fails under: the disk that failed one may fail the next being made.
const READ_ATTEMPTS: usize = 3;

/// Manifests kept: their number and their bytes together.
const MANIFESTS: (usize, usize) = (8192, 8 * 1024 * 1024);

/// Blobs kept open, at most; and never more than one in so many of the files the process may open.
const BLOBS: usize = 256;
const BLOBS_SHARE: u64 = 4;

/// A registry on one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) manifests: Cache<(RepositoryName, TagOrDigest), Option<ServedManifest>>,
    pub(crate) blobs: Cache<(RepositoryName, Digest), Blob>,
    /// What is served from where it lies. Asked only where the caches have nothing.
    pub(crate) mounts: Mounts,
    /// The charts as a classic Helm repository, made when somebody asks.
    pub(crate) charts: Charts,
    /// What a release says that is committed and not yet in the tags' links.
    pub(crate) settling: RwLock<Settling>,
    /// That release, as long as the disk refuses to write it to them.
    pub(crate) unsettled: parking_lot::Mutex<Option<ReleaseRecord>>,
    metadata: watch::Sender<State>,
    stripes: Vec<Arc<Mutex<()>>>,
    /// Held for writing while a release changes many tags at once, for reading by every other change.
    pub(crate) releases: Arc<tokio::sync::RwLock<()>>,
}

#[derive(Clone, Debug)]
enum State {
    /// Being opened, or made anew from the store.
    Opening,
    Ready(Arc<Metadata>),
    Closed,
}

/// Keeps other changes of one repository, and releases, away as long as it lives.
#[derive(Debug)]
pub(crate) struct WriteGuard {
    _stripe: OwnedMutexGuard<()>,
    _releases: OwnedRwLockReadGuard<()>,
}

impl Registry {
    /// Takes the data folder, creating it where there is nothing. Manifests can be served when it returns; the metadata
    /// is opened, or made anew, beside it, and what needs it waits.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the folder, it is not ours, or the disk refuses.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let data = settings.data.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(data)).await.map_err(joined)??;
        let shared = Arc::new(Shared {
            settings,
            store,
            manifests: Cache::new(MANIFESTS.0, MANIFESTS.1),
            blobs: Cache::new(blobs_kept_open(), BLOBS),
            mounts: Mounts::default(),
            charts: Charts::default(),
            settling: RwLock::default(),
            unsettled: parking_lot::Mutex::default(),
            metadata: watch::Sender::new(State::Opening),
            stripes: std::iter::repeat_with(Arc::default).take(STRIPES).collect(),
            releases: Arc::default(),
        });
        shared.clone().open_metadata(true, Weak::new());
        Ok(Self(shared))
    }

    /// Writes out the metadata and seals it, so that the next start need not make it anew. Nothing but time is lost
    /// without it. To be called when no request is running; later requests are refused.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn close(&self) -> Result<(), Error> {
        let State::Ready(metadata) = self.0.metadata.send_replace(State::Closed) else { return Ok(()) };
        let (folder, seal) = self.0.store.metadata();
        let shared = self.0.clone();
        blocking(move || {
            // Only to keep numbers small: that it fails is no reason to leave the metadata unsealed.
            if let Err(error) = shared.store.sequence.give_back() {
                tracing::warn!("{error}");
            }
            // A request that still runs would write after the seal.
            outlive(&Arc::downgrade(&metadata), 1);
            match Arc::try_unwrap(metadata) {
                Ok(metadata) => metadata.close(&folder, &seal).map_err(Error::from),
                Err(_) => Ok(()),
            }
        })
        .await
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.0.store.data()
    }

    /// How the names in requests are resolved.
    #[must_use]
    pub fn names(&self) -> &crate::names::Settings {
        &self.0.settings.names
    }

    /// One repository, by its exact name. It need not exist.
    #[must_use]
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.0.clone(), name)
    }

    /// A release to be filled: nothing of it is seen before it is committed.
    #[must_use]
    pub fn release(&self, origin: Provenance) -> ReleaseDraft {
        ReleaseDraft::new(self.0.clone(), origin)
    }

    /// The releases there were.
    #[must_use]
    pub fn releases(&self) -> Releases {
        Releases::new(self.0.clone())
    }

    /// Removes uploads that nothing was added to for the configured time before `now`; says how many.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn sweep_uploads(&self, now: SystemTime) -> Result<usize, Error> {
        let shared = self.0.clone();
        blocking(move || {
            let before = now.checked_sub(shared.settings.upload_expiry).unwrap_or(SystemTime::UNIX_EPOCH);
            Ok(shared.store.uploads.sweep(before)?)
        })
        .await
    }

    /// Makes the metadata anew from the store. What needs it waits meanwhile; manifests are served.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn rebuild(&self) -> Result<RebuildReport, Error> {
        let shared = self.0.clone();
        // Nothing may be linked between the walk and the moment the new metadata counts.
        let guard = shared.releases.clone().write_owned().await;
        let old = shared.take_metadata().await?;
        blocking(move || {
            let _guard = guard;
            outlive(&Arc::downgrade(&old), 1);
            drop(old);
            let rebuilt = shared.make_metadata();
            match rebuilt {
                Ok((metadata, report)) => {
                    shared.metadata.send_replace(State::Ready(Arc::new(metadata)));
                    Ok(report)
                }
                Err(error) => {
                    shared.open_metadata(false, Weak::new());
                    Err(error)
                }
            }
        })
        .await
    }
}

impl Shared {
    /// Opens the metadata in a thread of its own, once nobody holds the old one any more, and keeps trying: a full disk
    /// passes.
    fn open_metadata(self: Arc<Self>, believe_seal: bool, old: Weak<Metadata>) {
        let opening = move || {
            outlive(&old, 0);
            let mut wait = std::time::Duration::from_millis(500);
            let mut believe_seal = believe_seal;
            loop {
                match self.try_metadata(believe_seal) {
                    Ok(metadata) => {
                        let ready = State::Ready(Arc::new(metadata));
                        // Not when the registry was closed meanwhile.
                        self.metadata.send_if_modified(|state| {
                            let opening = matches!(state, State::Opening);
                            if opening {
                                *state = ready;
                            }
                            opening
                        });
                        return;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the metadata cannot be opened; trying again");
                        believe_seal = false;
                        std::thread::sleep(wait);
                        wait = (wait * 2).min(std::time::Duration::from_secs(30));
                        if matches!(*self.metadata.borrow(), State::Closed) {
                            return;
                        }
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("metadata".into()).spawn(opening) {
            tracing::error!(%error, "no thread can be started to open the metadata");
        }
    }

    fn try_metadata(&self, believe_seal: bool) -> Result<Metadata, Error> {
        let (folder, seal) = self.store.metadata();
        if believe_seal && let Some(metadata) = Metadata::open_sealed(&folder, &seal)? {
            return Ok(metadata);
        }
        let (metadata, report) = self.make_metadata().or_else(|error| {
            tracing::warn!(%error, "the metadata is kept in memory until the next start");
            self.fill(Metadata::create_aside()?)
        })?;
        tracing::info!(
            repositories = report.repositories,
            manifests = report.manifests,
            tags = report.tags,
            problems = report.problems.len(),
            "made the metadata anew from the store"
        );
        Ok(metadata)
    }

    fn make_metadata(&self) -> Result<(Metadata, RebuildReport), Error> {
        let (folder, seal) = self.store.metadata();
        self.fill(Metadata::create(&folder, &seal)?)
    }

    fn fill(&self, metadata: Metadata) -> Result<(Metadata, RebuildReport), Error> {
        let report = rebuild::fill(&self.store, &self.settling.read(), &metadata)?;
        let mut settling = Changes::default();
        self.add_settling(&mut settling, |_| true);
        metadata.apply(settling)?;
        for problem in &report.problems {
            tracing::warn!("{problem}");
        }
        Ok((metadata, report))
    }

    /// The metadata, waiting until it is ready.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        if let State::Ready(metadata) = &*self.metadata.borrow() {
            return Ok(metadata.clone());
        }
        let mut changes = self.metadata.subscribe();
        let state = changes.wait_for(|state| !matches!(state, State::Opening)).await.map(|state| state.clone());
        match state {
            Ok(State::Ready(metadata)) => Ok(metadata),
            _ => Err(Error::Unavailable("it is stopping".into())),
        }
    }

    /// Takes the metadata away from everybody, waiting until there is some: while it is being opened another thread is at
    /// work in its folder.
    async fn take_metadata(&self) -> Result<Arc<Metadata>, Error> {
        loop {
            let current = self.metadata().await?;
            let taken = self.metadata.send_if_modified(|state| {
                let current = matches!(state, State::Ready(metadata) if Arc::ptr_eq(metadata, &current));
                if current {
                    *state = State::Opening;
                }
                current
            });
            if taken {
                return Ok(current);
            }
        }
    }

    /// Gives up metadata that failed and makes it anew: its database stays broken once it met an error of the disk.
    fn give_up(self: &Arc<Self>, failed: &Arc<Metadata>) {
        let given_up = self.metadata.send_if_modified(|state| {
            let current = matches!(state, State::Ready(metadata) if Arc::ptr_eq(metadata, failed));
            if current {
                *state = State::Opening;
            }
            current
        });
        if given_up {
            tracing::error!("the metadata failed and is made anew from the store");
            self.clone().open_metadata(false, Arc::downgrade(failed));
        }
    }

    /// Keeps other changes of `name`, and releases, away.
    pub(crate) async fn lock(&self, name: &RepositoryName) -> WriteGuard {
        let stripe = crc32fast::hash(name.as_str().as_bytes()) as usize % STRIPES;
        let releases = self.releases.clone().read_owned().await;
        WriteGuard { _stripe: self.stripes[stripe].clone().lock_owned().await, _releases: releases }
    }

    /// Reads with the metadata, off the runtime's threads. A read that comes upon metadata whose disk has just failed does
    /// not fail with it: it waits for the new one and reads that (S08).
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        use_case: impl Fn(&Self, &Metadata) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let use_case = Arc::new(use_case);
        let mut attempts = READ_ATTEMPTS;
        loop {
            let (metadata, use_case) = (self.metadata().await?, use_case.clone());
            attempts -= 1;
            match self.run(metadata, move |shared, metadata| use_case(shared, metadata)).await {
                Err(Error::Metadata(_)) if attempts > 0 => {}
                done => return done,
            }
        }
    }

    /// Changes one repository: alone, off the runtime's threads, and to the end even when the client hangs up.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        name: &RepositoryName,
        use_case: impl FnOnce(&Self, &Metadata) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let guard = self.lock(name).await;
        // After the lock: a rebuild holds the lock while it replaces the metadata.
        let metadata = self.metadata().await?;
        let repository = name.clone();
        self.run(metadata, move |shared, metadata| {
            let _guard = guard;
            shared.settle_again()?;
            let result = use_case(shared, metadata);
            if matches!(result, Err(Error::Store(_))) {
                shared.reconcile([&repository], metadata)?;
            }
            result
        })
        .await
    }

    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        metadata: Arc<Metadata>,
        use_case: impl FnOnce(&Self, &Metadata) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.clone();
        blocking(move || {
            let result = use_case(&shared, &metadata);
            if let Err(Error::Metadata(_)) = &result {
                shared.give_up(&metadata);
            }
            result
        })
        .await
    }
}

fn blobs_kept_open() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files / BLOBS_SHARE).ok()).map_or(BLOBS, |share| share.min(BLOBS))
}

/// Waits until at most `holders` hold the metadata: two databases on one folder would write into each other. Those who
/// do are reading and done within moments; after ten seconds something is wrong, and then the folder is made anew at the
/// next start.
fn outlive(metadata: &Weak<Metadata>, holders: usize) {
    for _ in 0..2000 {
        if metadata.strong_count() <= holders {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    tracing::error!("the old metadata is still in use");
}

/// Runs what blocks on the disk off the runtime's threads.
///
/// # Cancel safety
/// What was begun goes on to its end when the caller is dropped.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Unavailable("it is stopping".into())),
    }
}

fn joined(error: tokio::task::JoinError) -> OpenError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => OpenError::Incomplete { folder: "the runtime is stopping".into() },
    }
}
