//! The registry: a cheap handle over one data folder, with one method for each use case.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use crate::blobs::Blob;
use crate::catalog::release::Releases;
use crate::catalog::{Origin, Provenance, RebuildReport, ServedManifest};
use crate::charts::{ChartIndex, Charts};
use crate::core::Core;
use crate::disk::OpenError;
use crate::disk::threads::blocking;
use crate::error::Error;
use crate::mount::{self, MediumCheck, MountDraft, Mounted};
use crate::names::{self, RequestedName};
use crate::oci::{Digest, RepositoryName, Tag, TagOrDigest};
use crate::release::ReleaseDraft;
use crate::repository::{
    Description, Holder, ReferrersPage, Repository, RepositoryPage, TagPage, TaggedPage, describe, pull, referrers,
    tags,
};
use crate::settings::Settings;
use crate::verify::{self, VerifyProgress, VerifyReport};

/// A registry on one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    core: Arc<Core>,
    /// The charts as a classic Helm repository, made when they are asked for.
    charts: Arc<Charts>,
}

/// The life of a registry.
impl Registry {
    /// Takes the data folder, creating it where there is nothing. Manifests can be served when it returns; the index is
    /// opened, or rebuilt, beside it, and what needs it waits.
    ///
    /// # Errors
    /// [`OpenError`] when another process has the folder, it is not ours, or the disk refuses.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let core = match tokio::task::spawn_blocking(move || Core::open(settings)).await {
            Ok(core) => core?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(OpenError::Stopping),
            },
        };
        Ok(Self { core: Arc::new(core), charts: Arc::default() })
    }

    /// Writes out the index and seals it, so that the next start need not rebuild it. Nothing but time is lost without
    /// it. To be called when no request is running; later requests are refused.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn close(&self) -> Result<(), Error> {
        self.core.catalog.close().await
    }

    /// How requested names find stored ones.
    #[must_use]
    pub fn names(&self) -> &names::Settings {
        &self.core.settings.names
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.core.folder.root()
    }

    /// Removes uploads that nothing was added to for the configured time before `now`; says how many.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn sweep_uploads(&self, now: SystemTime) -> Result<usize, Error> {
        let core = self.core.clone();
        blocking(move || {
            let before = now.checked_sub(core.settings.upload_expiry).unwrap_or(SystemTime::UNIX_EPOCH);
            Ok(core.blobs.uploads.sweep(before)?)
        })
        .await
    }

    /// Rebuilds the index from the link files. What needs it waits meanwhile; manifests are served.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn rebuild(&self) -> Result<RebuildReport, Error> {
        self.core.catalog.rebuild().await
    }

    /// Reads every blob of the data folder and of mounted media, or what the manifests of `scope` need, and looks whether
    /// each manifest has what it names. Media are read for a `scope` as far as they alone have its manifests. With
    /// `remove_damaged`, files of the data folder that do not have their digest are moved to `damaged/` in it, so that
    /// the next ingest or push brings them anew: a blob that is there is not written again. Nothing of a medium is ever
    /// moved. `watch` is told of every piece and ends the work by saying no.
    ///
    /// Blocks for as long as reading takes, and needs the runtime the registry was opened in.
    ///
    /// # Errors
    /// When the disk cannot be read at all. What is damaged is in the report.
    pub fn verify(
        &self,
        scope: Option<&[(RepositoryName, Digest)]>,
        remove_damaged: bool,
        watch: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> Result<VerifyReport, Error> {
        verify::verify(&self.core, scope, remove_damaged, watch)
    }
}

/// Reading. A name is looked through for the repositories it may mean, best first.
impl Registry {
    /// The manifest of a tag or digest, from the first repository the name may mean that has it (end-3).
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when none has it.
    pub async fn manifest(&self, name: &RequestedName, reference: &TagOrDigest) -> Result<ServedManifest, Error> {
        pull::manifest(&self.core, name, reference).await
    }

    /// A blob, opened, from the nearest place, if any repository the name may mean shows it (end-2).
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] when it is visible in none of them, wherever else it may be; [`Error::Medium`] when only a
    /// mounted medium has it and can no longer give it.
    pub async fn blob(&self, name: &RequestedName, digest: &Digest) -> Result<Blob, Error> {
        pull::blob(&self.core, name, digest).await
    }

    /// Up to `limit` tags after `after`, which need not exist, of the first repository the name may mean that has a
    /// manifest (end-8).
    ///
    /// # Errors
    /// [`Error::NameUnknown`] when none has.
    pub async fn tags(&self, name: &RequestedName, after: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        tags::tags(&self.core, name, after, limit).await
    }

    /// Up to `limit` repositories after `after`, which need not exist.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<RepositoryPage, Error> {
        tags::repositories(&self.core, after, limit).await
    }

    /// The manifests about `subject`, of one of `artifact_types` when there are any, in the order of their digests,
    /// after `after` (end-12). Nothing is not an error: the subject, even the repository, need not be there.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub async fn referrers(
        &self,
        name: &RequestedName,
        subject: &Digest,
        artifact_types: &[String],
        after: Option<&Digest>,
    ) -> Result<ReferrersPage, Error> {
        referrers::referrers(&self.core, name, subject, artifact_types, after).await
    }

    /// The charts below `charts/` as they are now.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub async fn charts(&self) -> Result<Arc<ChartIndex>, Error> {
        self.charts.index(&self.core).await
    }

    /// Up to `limit` tags after `after` of exactly this repository, with what they point at. A tag that is removed
    /// meanwhile, or whose link is damaged, is passed over; a verification names the latter.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub async fn tagged(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<TaggedPage, Error> {
        describe::tagged(&self.core, repository, after, limit).await
    }

    /// Which manifest of which repository a name and a reference mean: what a pull would give.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn locate(
        &self,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<(RepositoryName, Digest), Error> {
        describe::locate(&self.core, name, reference).await
    }

    /// As [`Registry::locate`], by the names alone: the manifest itself may be damaged.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn locate_unread(
        &self,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<(RepositoryName, Digest), Error> {
        describe::locate_unread(&self.core, name, reference).await
    }

    /// Everything about a manifest of exactly this repository.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn describe(&self, repository: &RepositoryName, digest: &Digest) -> Result<Description, Error> {
        describe::description(&self.core, repository, digest).await
    }

    /// Who says where a tag of exactly this repository points.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn tag_origin(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Origin>, Error> {
        describe::tag_origin(&self.core, repository, tag).await
    }

    /// The repositories that have a manifest, up to `limit` of them, with their tags that point at it; and whether there
    /// are more.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn holders(&self, digest: &Digest, limit: usize) -> Result<(Vec<Holder>, bool), Error> {
        describe::holders(&self.core, digest, limit).await
    }
}

/// Changing. A write goes to exactly one repository, a release to many.
impl Registry {
    /// One repository, by its exact name. It need not exist.
    #[must_use]
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.core.clone(), name)
    }

    /// A release to be filled: nothing of it is seen before it is committed.
    #[must_use]
    pub fn release(&self, origin: Provenance) -> ReleaseDraft {
        ReleaseDraft::new(self.core.clone(), origin)
    }

    /// A medium to be described: nothing of it is seen before it is mounted. `root` is the folder or file that is served
    /// in place: errors name its files from there.
    #[must_use]
    pub fn medium(&self, root: &Path) -> MountDraft {
        MountDraft::new(self.core.clone(), root)
    }

    /// The release log.
    #[must_use]
    pub fn releases(&self) -> Releases {
        self.core.catalog.releases()
    }

    /// Serves what a medium holds from where it is, from now on and until the process ends. Nothing is written. A tag
    /// that was pushed goes before the medium's; the medium's goes before what was ingested or mirrored, unless its
    /// prefix is protected, and before what was mounted earlier.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`], [`Error::SizeInvalid`] or [`Error::DigestMismatch`] when a manifest does not fit
    /// its digest or its blobs; the failures of the disk. Then nothing is mounted.
    ///
    /// # Cancel safety
    /// Goes on to its end when dropped.
    #[allow(clippy::unused_self, reason = "beside the other use cases, where a caller looks for it")]
    pub async fn mount(&self, draft: MountDraft) -> Result<Mounted, Error> {
        mount::mount(draft).await
    }

    /// Reads every blob of every mounted medium once and re-hashes it, giving way to answers that are served from one:
    /// for up to a second before each piece of 1 MiB. Says what was found of each medium, by the name it was mounted by.
    /// Blocks for as long as reading all of them takes.
    pub fn check_media(&self, stop: &AtomicBool) -> Vec<(String, MediumCheck)> {
        mount::check_media(&self.core.blobs, stop)
    }
}
