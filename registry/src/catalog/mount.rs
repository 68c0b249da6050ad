//! The layer of names of a medium that is served in place.
//!
//! It never changes once it is mounted, ends with the process, and is never written. Its manifests were re-hashed when it
//! was mounted. As everywhere, a blob is visible in a repository only if a manifest names it there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::binding::{Binding, Origin};
use super::homes::{Homes, add_home};
use super::layer::{Layer, ServedManifest};
use super::page::Page;
use super::referrer::Referrer;
use crate::blobs::Answer;
use crate::oci::{Digest, Manifest, RepositoryName, Tag};

/// One repository of a medium.
#[derive(Debug, Default)]
pub(crate) struct MountedRepository {
    pub(crate) tags: BTreeMap<Tag, Digest>,
    pub(crate) manifests: HashMap<Digest, Arc<Manifest>>,
    /// What its manifests name, with sizes in bytes.
    pub(crate) blobs: HashMap<Digest, u64>,
    pub(crate) referrers: HashMap<Digest, BTreeSet<Digest>>,
    /// Whether stored tags go before its own: it is below a protected prefix.
    pub(crate) yields: bool,
}

/// The names of one medium.
#[derive(Debug)]
pub(crate) struct MountedNames {
    /// What was mounted.
    pub(crate) medium: String,
    pub(crate) repositories: BTreeMap<RepositoryName, MountedRepository>,
}

impl MountedNames {
    /// A manifest, if the repository has it.
    pub(crate) fn manifest_of(&self, repository: &RepositoryName, digest: &Digest) -> Option<&Arc<Manifest>> {
        self.repositories.get(repository)?.manifests.get(digest)
    }

    /// Whether a manifest of the repository names the blob.
    pub(crate) fn shows(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        self.repositories.get(repository).is_some_and(|mounted| mounted.blobs.contains_key(digest))
    }
}

fn now<'a, T: Send + 'a>(answer: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

/// Up to `limit` of `all`, which are in order, after `after`.
fn page<'a, T: Clone + 'a>(
    all: impl Iterator<Item = &'a T>,
    text: fn(&T) -> &str,
    after: Option<&str>,
    limit: usize,
) -> Page<T> {
    let mut rest = all.filter(|entry| after.is_none_or(|after| text(entry) > after));
    let entries: Vec<T> = rest.by_ref().take(limit).cloned().collect();
    Page { entries, more: rest.next().is_some() }
}

impl Layer for MountedNames {
    fn has_repository(&self, repository: &RepositoryName) -> Answer<'_, bool> {
        now(self.repositories.contains_key(repository))
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Answer<'_, Option<Binding>> {
        let binding = |mounted: &MountedRepository| {
            let origin = Origin::Mounted { medium: self.medium.clone(), yields: mounted.yields };
            Some(Binding { digest: *mounted.tags.get(tag)?, origin })
        };
        now(self.repositories.get(repository).and_then(binding))
    }

    fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<ServedManifest>> {
        now(self.manifest_of(repository, digest).map(|manifest| ServedManifest {
            digest: *digest,
            media_type: manifest.media_type().clone(),
            bytes: manifest.bytes().clone(),
            provenance: None,
        }))
    }

    fn names_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, bool> {
        now(self.manifest_of(repository, digest).is_some())
    }

    fn visible(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Option<u64>> {
        now(self.repositories.get(repository).and_then(|mounted| mounted.blobs.get(digest).copied()))
    }

    fn visible_anywhere(&self, digest: &Digest) -> Answer<'_, Option<u64>> {
        now(self.repositories.values().find_map(|mounted| mounted.blobs.get(digest).copied()))
    }

    fn tags(&self, repository: &RepositoryName, after: Option<&str>, limit: usize) -> Answer<'_, Page<Tag>> {
        let mounted = self.repositories.get(repository).into_iter();
        now(page(mounted.flat_map(|mounted| mounted.tags.keys()), Tag::as_str, after, limit))
    }

    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Answer<'_, Vec<Tag>> {
        let tags = self.repositories.get(repository).into_iter().flat_map(|mounted| &mounted.tags);
        now(tags.filter(|(_, target)| *target == digest).map(|(tag, _)| tag.clone()).collect())
    }

    fn repositories(&self, after: Option<&str>, limit: usize) -> Answer<'_, Page<RepositoryName>> {
        now(page(self.repositories.keys(), RepositoryName::as_str, after, limit))
    }

    fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Answer<'_, Homes> {
        let mut found = Homes::new();
        for (name, mounted) in &self.repositories {
            for digest in manifests.iter().filter(|digest| mounted.manifests.contains_key(digest)) {
                add_home(&mut found, *digest, name);
            }
        }
        now(found)
    }

    fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Answer<'_, Page<Referrer>> {
        let found = self.repositories.get(repository).and_then(|mounted| mounted.referrers.get(subject));
        let mut rest = found.into_iter().flatten().filter(|digest| after.is_none_or(|after| *digest > after));
        let entries = rest.by_ref().take(limit).map(|digest| Referrer { digest: *digest, entry: None }).collect();
        now(Page { entries, more: rest.next().is_some() })
    }
}
