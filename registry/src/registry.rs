//! The registry: a cheap handle over one data folder, with one method for each use case.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use crate::blobs::{Blob, UploadSummary};
use crate::catalog::Releases;
use crate::catalog::{Origin, Provenance, RebuildReport, ServedManifest};
use crate::charts::{ChartFile, ChartIndex, Charts};
use crate::core::Core;
use crate::disk::OpenError;
use crate::disk::threads::{blocking, composed};
use crate::error::Error;
use crate::mount::{self, MediumCheck, MountDraft, Mounted};
use crate::names::{self, RequestedName};
use crate::oci::{Digest, RepositoryName, Tag, TagOrDigest, UploadId};
use crate::release::ReleaseDraft;
use crate::repository::{
    Description, Holder, ReferrersPage, Repository, RepositoryPage, TagPage, Tagged, TaggedPage, describe, pull,
    referrers, tags,
};
use crate::settings::Settings;
use crate::verify::{self, VerifyProgress, VerifyReport};

/// A registry on one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    core: Arc<Core>,
    /// The charts as a classic Helm repository, built on request.
    charts: Arc<Charts>,
}

/// The life of a registry.
impl Registry {
    /// Locks the data folder, creating it where there is nothing. Manifests can be served when it returns; the index is
    /// opened, or rebuilt, in the background, and requests that need it wait.
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

    /// Writes out the index and seals it, so that the next start need not rebuild it: that only saves time. To be called
    /// when no request is running; later requests are refused.
    pub async fn close(&self) -> Result<(), Error> {
        self.core.catalog.files.close().await
    }

    /// How requested names find stored ones.
    #[must_use]
    pub fn names(&self) -> &names::Settings {
        &self.core.settings.names
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.core.folder.layout.root()
    }

    /// Removes uploads to which nothing was added for the configured time before `now`, and those without a byte after ten
    /// minutes; returns how many.
    pub async fn sweep_uploads(&self, now: SystemTime) -> Result<usize, Error> {
        let core = self.core.clone();
        blocking(move || Ok(core.blobs.uploads.sweep(now, core.settings.upload_expiry)?)).await
    }

    /// Every upload that is open, the oldest first.
    pub async fn uploads(&self) -> Result<Vec<UploadSummary>, Error> {
        let core = self.core.clone();
        blocking(move || Ok(core.blobs.uploads.list()?)).await
    }

    /// Removes an upload, whoever holds it; says whether there was one to remove. A request that adds to it is told that it
    /// is unknown. One whose content is becoming a blob is not removed.
    pub async fn remove_upload(&self, id: UploadId) -> Result<bool, Error> {
        let core = self.core.clone();
        blocking(move || Ok(core.blobs.uploads.remove(id)?)).await
    }

    /// Rebuilds the index from the link files. What needs it waits meanwhile; manifests are served.
    pub async fn rebuild(&self) -> Result<RebuildReport, Error> {
        self.core.catalog.files.rebuild().await
    }

    /// Re-hashes every blob of the data folder and of mounted media, or what the manifests of `scope` need, and checks that
    /// everything manifests name is there. For a `scope`, media are read only for manifests that no other place has. With
    /// `remove_damaged`, damaged files are moved to `damaged/` in the data folder, so that the next ingest or push stores
    /// them again; nothing on a medium is ever moved. `watch` gets the progress and stops the work by returning `false`.
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

/// Reading. A requested name may mean several repositories, which are tried in order.
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
    pub async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<RepositoryPage, Error> {
        tags::repositories(&self.core, after, limit).await
    }

    /// The manifests about `subject`, of one of `artifact_types` when there are any, in the order of their digests,
    /// after `after` (end-12). The subject, even the repository, need not exist.
    pub async fn referrers(
        &self,
        name: &RequestedName,
        subject: &Digest,
        artifact_types: &[String],
        after: Option<&Digest>,
    ) -> Result<ReferrersPage, Error> {
        referrers::referrers(&self.core, name, subject, artifact_types, after).await
    }

    /// The index of the charts in `charts/FOLDER/NAME` as they are now; for `""` of all charts below `charts/`, each name from
    /// one folder.
    ///
    /// # Errors
    /// [`Error::ChartFolderUnknown`] when the folder has no charts.
    pub async fn chart_index(&self, folder: &str) -> Result<ChartIndex, Error> {
        self.charts.index(&self.core, folder).await
    }

    /// The archive at a path of the Helm repository: `zenml-0.93.2.tgz`, `dev/zenml-0.93.2.tgz`.
    pub async fn chart_file(&self, path: &str) -> Result<Option<ChartFile>, Error> {
        self.charts.file(&self.core, path).await
    }

    /// Up to `limit` tags after `after` of exactly this repository, with what they point at. Tags that are removed meanwhile
    /// and tags with damaged links are skipped; a verification reports the latter.
    pub async fn tagged(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<TaggedPage, Error> {
        describe::tagged(&self.core, repository, after, limit).await
    }

    /// What these tags of exactly this repository point at; tags that are not there, or with damaged links, are left out.
    pub async fn look_at(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tagged>, Error> {
        describe::look_at(&self.core, repository, tags).await
    }

    /// The stored manifests of exactly this repository that no tag points at, no index lists, and that are not about another
    /// one there: what is left when tags were deleted or moved.
    pub async fn untagged(&self, repository: &RepositoryName) -> Result<Vec<Digest>, Error> {
        self.core.catalog.files.untagged(repository).await
    }

    /// The manifest, with its repository, that a pull of the name and the reference would get.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn locate(
        &self,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<(RepositoryName, Digest), Error> {
        describe::locate(&self.core, name, reference, true).await
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
        describe::locate(&self.core, name, reference, false).await
    }

    /// Everything about a manifest of exactly this repository.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn describe(&self, repository: &RepositoryName, digest: &Digest) -> Result<Description, Error> {
        describe::description(&self.core, repository, digest).await
    }

    /// Which layer decides where a tag of exactly this repository points.
    pub async fn tag_origin(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Origin>, Error> {
        let (core, repository, tag) = (self.core.clone(), repository.clone(), tag.clone());
        composed(async move || Ok(core.catalog.resolve(&repository, &tag).await?.map(|found| found.origin))).await
    }

    /// The repositories that have a manifest, up to `limit` of them, with their tags that point at it; and whether there
    /// are more.
    pub async fn holders(&self, digest: &Digest, limit: usize) -> Result<(Vec<Holder>, bool), Error> {
        let digest = *digest;
        self.core.run(async move |core| describe::holders(&core.catalog, &digest, limit).await).await
    }
}

/// Changing. A write goes to exactly one repository, a release to many.
impl Registry {
    /// One repository, by its exact name. It need not exist.
    #[must_use]
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.core.clone(), name)
    }

    /// A release to be filled: nothing of it is visible before it is committed.
    #[must_use]
    pub fn release(&self, origin: Provenance) -> ReleaseDraft {
        ReleaseDraft::new(self.core.clone(), origin)
    }

    /// A medium to be described: nothing of it is visible before it is mounted. `root` is the folder or file that is served
    /// in place: errors name its files relative to it.
    #[must_use]
    pub fn medium(&self, root: &Path) -> MountDraft {
        MountDraft::new(self.core.clone(), root)
    }

    /// The release log.
    #[must_use]
    pub fn releases(&self) -> Releases {
        self.core.catalog.releases()
    }

    /// Serves the content of a medium in place until the process ends. Nothing is written. A pushed tag goes before the
    /// medium's; the medium's goes before ingested and mirrored ones, unless its prefix is protected, and before media
    /// that were mounted earlier.
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

    /// Re-hashes every blob of every mounted medium once, and waits for answers that are served from one: up to a second
    /// before each piece of 1 MiB. Returns the result for each medium, by the name it was mounted by. Blocks until all are
    /// read.
    pub fn check_media(&self, stop: &AtomicBool) -> Vec<(String, MediumCheck)> {
        mount::check_media(&self.core.blobs, stop)
    }
}
