//! All names as one: what the layers say, merged by rank.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::binding::{self, Binding};
use super::caches::Caches;
use super::files::{Files, Releases};
use super::homes::{Homes, add_home};
use super::layer::{Layer, ServedManifest};
use super::mount::MountedNames;
use super::page::{Page, merged};
use super::referrer::Referrer;
use crate::blobs;
use crate::disk::threads::composed;
use crate::disk::{DiskError, Layout};
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{Digest, Manifest, RepositoryName, Tag, TagOrDigest};

/// What a cached manifest weighs besides its bytes.
const ENTRY: usize = 512;

/// The names of a registry: the data folder's and those of mounted media.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// The layer that can be changed: the data folder's.
    pub(crate) files: Files,
    /// What was mounted last comes first.
    mounted: RwLock<Arc<[Arc<MountedNames>]>>,
    caches: Arc<Caches>,
    /// Pulls of manifests that are not cached and are looked up now.
    looking_up: Semaphore,
}

/// How many manifests are looked up at once. Each may have the largest size, and is in memory before it is known how much of
/// that its client may have.
const LOOKING_UP: usize = 8;

impl Catalog {
    /// Opens the names of a data folder.
    pub(crate) fn open(layout: Layout, blobs: blobs::Files) -> Result<Self, DiskError> {
        let caches = Arc::<Caches>::default();
        let files = Files::open(layout, blobs, caches.clone())?;
        Ok(Self { files, mounted: RwLock::default(), caches, looking_up: Semaphore::new(LOOKING_UP) })
    }

    /// The release log.
    pub(crate) fn releases(&self) -> Releases {
        Releases { files: self.files.clone() }
    }

    /// Changes whenever a tag below [`CHARTS`](super::CHARTS) does, in whatever layer.
    pub(crate) async fn chart_generation(&self) -> Result<(u64, usize), Error> {
        Ok((self.files.chart_changes().await?, self.mounted().len()))
    }

    /// Adds the names of a medium.
    pub(crate) fn mount(&self, names: Arc<MountedNames>) {
        let mut mounted = self.mounted.write();
        *mounted = std::iter::once(names).chain(mounted.iter().cloned()).collect();
        drop(mounted);
        // What these names meant before may be cached.
        self.caches.clear();
    }

    /// The names of media, what was mounted last first.
    pub(crate) fn mounted(&self) -> Arc<[Arc<MountedNames>]> {
        self.mounted.read().clone()
    }

    /// The answers of every layer, media first: they need no disk.
    async fn all<T>(&self, ask: impl AsyncFn(&dyn Layer) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut said = Vec::new();
        for names in self.mounted().iter() {
            said.push(ask(names.as_ref()).await?);
        }
        said.push(ask(&self.files).await?);
        Ok(said)
    }

    /// The first answer that is something, media first: they need no disk.
    async fn first<T>(&self, ask: impl AsyncFn(&dyn Layer) -> Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        for names in self.mounted().iter() {
            if let Some(found) = ask(names.as_ref()).await? {
                return Ok(Some(found));
            }
        }
        ask(&self.files).await
    }

    /// Whether a layer says yes.
    async fn any(&self, ask: impl AsyncFn(&dyn Layer) -> Result<bool, Error>) -> Result<bool, Error> {
        Ok(self.first(async |layer| Ok(ask(layer).await?.then_some(()))).await?.is_some())
    }

    /// The manifest of the first repository the name may mean that has it. One that is cached costs no hop, any other
    /// one hop.
    pub(crate) async fn pull(
        self: &Arc<Self>,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<Option<ServedManifest>, Error> {
        for repository in name.candidates() {
            match self.caches.manifests.get(&(repository.clone(), reference.clone())) {
                Some(None) => {}
                Some(found) => return Ok(found),
                None => {
                    let (catalog, name, reference) = (self.clone(), name.clone(), reference.clone());
                    // Until its answer is taken from the thread that reads it.
                    let _turn = self.looking_up.acquire().await.expect("the semaphore is never closed");
                    return composed(async move || catalog.look_up(&name, &reference).await).await;
                }
            }
        }
        Ok(None)
    }

    async fn look_up(&self, name: &RequestedName, reference: &TagOrDigest) -> Result<Option<ServedManifest>, Error> {
        for repository in name.candidates() {
            if let Some(found) = self.manifest(repository, reference).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The manifest of exactly this repository.
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &TagOrDigest,
    ) -> Result<Option<ServedManifest>, Error> {
        let key = (repository.clone(), reference.clone());
        if let Some(cached) = self.caches.manifests.get(&key) {
            return Ok(cached);
        }
        let ticket = self.caches.manifests.ticket(&key);
        let (digest, provenance) = match reference {
            TagOrDigest::Digest(digest) => (Some(*digest), None),
            TagOrDigest::Tag(tag) => match self.resolve(repository, tag).await? {
                Some(Binding { digest, origin }) => (Some(digest), Some(visible_ascii(&origin.to_string()))),
                None => (None, None),
            },
        };
        let mut found = None;
        if let Some(digest) = digest {
            let read = self.by_digest(repository, &digest).await?;
            if read.is_none() && self.names_manifest(repository, &digest).await? {
                // Its bytes are gone. A push to any repository brings them back, so that is not cached.
                return Ok(None);
            }
            found = read.map(|read| ServedManifest { provenance, ..read });
        }
        let weight = found.as_ref().map_or(0, |manifest| manifest.bytes.len()) + ENTRY;
        self.caches.manifests.insert(ticket, key, found.clone(), weight);
        Ok(found)
    }

    /// A manifest of the repository by its digest, without the cache.
    pub(crate) async fn by_digest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ServedManifest>, Error> {
        self.first(async |layer| layer.manifest(repository, digest).await).await
    }

    /// Whether the data folder names a manifest in the repository.
    pub(crate) async fn is_stored(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        self.files.names_manifest(repository, digest).await
    }

    /// Where a tag of the data folder points.
    pub(crate) async fn stored_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Binding>, Error> {
        self.files.tag(repository, tag).await
    }

    /// Whether a medium shows the blob under one of the names: the index need not be ready then.
    pub(crate) fn is_shown_by_medium(&self, name: &RequestedName, digest: &Digest) -> bool {
        name.candidates().any(|repository| self.shows_mounted(repository, digest))
    }

    /// Whether a medium shows the blob in the repository.
    pub(crate) fn shows_mounted(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        self.mounted.read().iter().any(|names| names.shows(repository, digest))
    }

    /// A manifest of the repository that is on a medium.
    pub(crate) fn mounted_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Option<Arc<Manifest>> {
        self.mounted().iter().find_map(|names| names.manifest_of(repository, digest).cloned())
    }

    /// A manifest of the repository, checked.
    pub(crate) async fn parsed(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Manifest>, Error> {
        Ok(self.by_digest(repository, digest).await?.map(ServedManifest::parse).transpose()?)
    }

    /// Where a tag points for a pull, and which layer says so.
    pub(crate) async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Binding>, Error> {
        let said = self.all(async |layer| layer.tag(repository, tag).await).await?;
        Ok(binding::greatest(said.into_iter().flatten()))
    }

    /// Whether the repository has a manifest, by the names alone: its bytes may be damaged.
    pub(crate) async fn names_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        self.any(async |layer| layer.names_manifest(repository, digest).await).await
    }

    /// The size of a blob that is cached as visible in the repository. Asks no layer.
    pub(crate) fn seen(&self, repository: &RepositoryName, digest: &Digest) -> Option<u64> {
        self.caches.visible.get(&(repository.clone(), *digest))
    }

    /// The size, in bytes, of a blob that is visible in the repository.
    pub(crate) async fn visible(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, Error> {
        let key = (repository.clone(), *digest);
        if let Some(size) = self.caches.visible.get(&key) {
            return Ok(Some(size));
        }
        let ticket = self.caches.visible.ticket(&key);
        let found = self.first(async |layer| layer.visible(repository, digest).await).await?;
        if let Some(size) = found {
            self.caches.visible.insert(ticket, key, size, 1);
        }
        Ok(found)
    }

    /// The size, in bytes, of a blob that is visible in any repository.
    pub(crate) async fn visible_anywhere(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.first(async |layer| layer.visible_anywhere(digest).await).await
    }

    /// Whether the repository has a manifest at all.
    pub(crate) async fn has_repository(&self, repository: &RepositoryName) -> Result<bool, Error> {
        self.any(async |layer| layer.has_repository(repository).await).await
    }

    /// Up to `limit` tags after `after`, which need not exist, in bytewise order.
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Tag>, Error> {
        Ok(merged(self.all(async |layer| layer.tags(repository, after, limit).await).await?, limit))
    }

    /// Up to `limit` repositories after `after`, which need not exist, in bytewise order.
    pub(crate) async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Page<RepositoryName>, Error> {
        Ok(merged(self.all(async |layer| layer.repositories(after, limit).await).await?, limit))
    }

    /// The tags of any layer that point at a manifest, also those that another layer overrides.
    pub(crate) async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<BTreeSet<Tag>, Error> {
        Ok(self.all(async |layer| layer.tags_of(repository, digest).await).await?.into_iter().flatten().collect())
    }

    /// The repositories of these manifests in any layer, by the names alone.
    pub(crate) async fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Result<Homes, Error> {
        let said = self.all(async |layer| layer.repositories_of(manifests).await).await?;
        let mut found = Homes::new();
        for (digest, repositories) in said.into_iter().flatten() {
            repositories.iter().for_each(|repository| add_home(&mut found, digest, repository));
        }
        Ok(found)
    }

    /// Up to `limit` manifests about `subject` after `after`: those that say so, and those a client without the API listed
    /// under the fallback tag (distribution-spec, "Enabling the Referrers API").
    pub(crate) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Referrer>, Error> {
        let mut said = self.all(async |layer| layer.referrers(repository, subject, after, limit).await).await?;
        let fallback = TagOrDigest::Tag(Tag::referrers_fallback(subject));
        if let Some(Ok(index)) = self.manifest(repository, &fallback).await?.map(ServedManifest::parse) {
            let listed: BTreeSet<Digest> = index.children().map(|(child, _)| child.digest).collect();
            let rest = listed.into_iter().filter(|digest| after.is_none_or(|after| digest > after));
            said.push(Page { entries: rest.map(|digest| Referrer { digest, entry: None }).collect(), more: false });
        }
        Ok(merged(said, limit))
    }

    /// Forgets cached manifests: the file of one is gone.
    pub(crate) fn forget_manifests(&self) {
        self.caches.manifests.clear();
    }
}

/// The text with everything replaced that a header may not hold.
fn visible_ascii(text: &str) -> Bytes {
    // A bundle is named after its file, which may have any characters.
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::binding::{Origin, Provenance};

    #[test]
    fn where_a_tag_came_from_breaks_no_header() {
        let stored = |provenance| visible_ascii(&Origin::Stored { sequence: 7, at: 0, provenance }.to_string());
        let bundle = "b\u{fc}ndel\r\nSet-Cookie: a=b".to_owned();
        let text = stored(Provenance::Ingested { bundle, release: Some(7) });
        assert_eq!(text, "ingested from b?ndel??Set-Cookie: a=b; release=7");
        assert_eq!(stored(Provenance::Pushed { by: "anonymous".into() }), "pushed by anonymous");
    }
}
