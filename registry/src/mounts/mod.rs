//! What media hold that are served in place: repositories, tags, manifests, and where the blobs lie.
//!
//! Invariants: a description never changes once it is mounted, and is gone with the process; nothing of it is written; a
//! blob is visible in a repository only if a manifest names it there, as in the store; of what is believed, a manifest's
//! bytes were hashed when it was mounted, and a blob's are before the last of them goes out.

mod draft;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::MediumBlob;

pub use draft::MountDraft;
pub use verify::Verification;

pub(crate) use verify::verify;

/// One repository of a medium.
#[derive(Debug, Default)]
struct MountedRepository {
    tags: BTreeMap<Tag, Digest>,
    manifests: HashMap<Digest, Arc<Manifest>>,
    blobs: HashMap<Digest, Arc<MediumBlob>>,
    referrers: HashMap<Digest, BTreeSet<Digest>>,
}

/// What one medium holds.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) name: String,
    repositories: BTreeMap<RepositoryName, MountedRepository>,
    /// Every blob once, in the order in which they lie.
    pub(crate) blobs: Vec<Arc<MediumBlob>>,
    /// Where else some of them lie.
    further: HashMap<Digest, Vec<Arc<MediumBlob>>>,
}

impl Mount {
    /// Every place of a blob, the one to be asked first first.
    fn places_of<'a>(&'a self, first: &'a Arc<MediumBlob>) -> impl Iterator<Item = &'a Arc<MediumBlob>> {
        std::iter::once(first).chain(self.further.get(&first.digest()).into_iter().flatten())
    }
}

/// Everything that is mounted.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// The one asked first stands first: what was mounted last.
    mounted: RwLock<Arc<[Arc<Mount>]>>,
}

impl Mounts {
    pub(crate) fn add(&self, mount: Arc<Mount>) {
        let mut mounted = self.mounted.write();
        *mounted = std::iter::once(mount).chain(mounted.iter().cloned()).collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mounted.read().is_empty()
    }

    /// What is mounted now, best first.
    pub(crate) fn all(&self) -> Arc<[Arc<Mount>]> {
        self.mounted.read().clone()
    }

    pub(crate) fn tag(&self, name: &RepositoryName, tag: &Tag) -> Option<Digest> {
        self.find(|mount| mount.repositories.get(name)?.tags.get(tag).copied())
    }

    /// Where a tag points, and the name of the medium that says so.
    pub(crate) fn tag_and_medium(&self, name: &RepositoryName, tag: &Tag) -> Option<(Digest, String)> {
        self.find(|mount| Some((*mount.repositories.get(name)?.tags.get(tag)?, mount.name.clone())))
    }

    /// Every repository that has this manifest, with its tags that point at it.
    pub(crate) fn places(&self, digest: &Digest) -> BTreeMap<RepositoryName, BTreeSet<Tag>> {
        let mut found: BTreeMap<RepositoryName, BTreeSet<Tag>> = BTreeMap::new();
        for mount in self.all().iter() {
            for (name, repository) in &mount.repositories {
                if repository.manifests.contains_key(digest) {
                    let tags = repository.tags.iter().filter(|(_, target)| *target == digest);
                    found.entry(name.clone()).or_default().extend(tags.map(|(tag, _)| tag.clone()));
                }
            }
        }
        found
    }

    pub(crate) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> Option<Arc<Manifest>> {
        self.find(|mount| mount.repositories.get(name)?.manifests.get(digest).cloned())
    }

    /// Every place the blob can be had from in this repository.
    pub(crate) fn blobs(&self, name: &RepositoryName, digest: &Digest) -> Vec<Arc<MediumBlob>> {
        self.blobs_in(|mount| mount.repositories.get(name)?.blobs.get(digest))
    }

    /// The same in any repository.
    pub(crate) fn blobs_anywhere(&self, digest: &Digest) -> Vec<Arc<MediumBlob>> {
        self.blobs_in(|mount| mount.repositories.values().find_map(|repository| repository.blobs.get(digest)))
    }

    /// Every place the blob can be had from in this repository, and which medium that is on.
    pub(crate) fn blob_places(&self, name: &RepositoryName, digest: &Digest) -> Vec<(Arc<Mount>, Arc<MediumBlob>)> {
        let all = self.all();
        let shown = all.iter().filter_map(|mount| Some((mount, mount.repositories.get(name)?.blobs.get(digest)?)));
        shown.flat_map(|(mount, first)| mount.places_of(first).map(|place| (mount.clone(), place.clone()))).collect()
    }

    /// Every place of every blob, in the order in which they lie.
    pub(crate) fn every_place(&self) -> Vec<(Arc<Mount>, Arc<MediumBlob>)> {
        let mut all = Vec::new();
        for mount in self.all().iter() {
            let mut places: Vec<_> = mount.blobs.iter().flat_map(|first| mount.places_of(first)).collect();
            places.sort_by(|a, b| a.position().cmp(&b.position()));
            all.extend(places.into_iter().map(|place| (mount.clone(), place.clone())));
        }
        all
    }

    /// The manifests of a repository.
    pub(crate) fn manifests(&self, name: &RepositoryName) -> BTreeSet<Digest> {
        let all = self.all();
        all.iter()
            .filter_map(|mount| mount.repositories.get(name))
            .flat_map(|of| of.manifests.keys().copied())
            .collect()
    }

    fn blobs_in(&self, first: impl Fn(&Mount) -> Option<&Arc<MediumBlob>>) -> Vec<Arc<MediumBlob>> {
        let mounted = self.mounted.read();
        mounted.iter().filter_map(|mount| Some(mount.places_of(first(mount)?))).flatten().cloned().collect()
    }

    pub(crate) fn has_repository(&self, name: &RepositoryName) -> bool {
        self.find(|mount| mount.repositories.contains_key(name).then_some(())).is_some()
    }

    /// The tags of a repository after `after`.
    pub(crate) fn tags(&self, name: &RepositoryName, after: Option<&str>) -> BTreeSet<Tag> {
        let after = |tag: &&Tag| after.is_none_or(|after| tag.as_str() > after);
        let all = self.all();
        all.iter()
            .filter_map(|mount| mount.repositories.get(name))
            .flat_map(|repository| repository.tags.keys().filter(after))
            .cloned()
            .collect()
    }

    /// The repositories after `after`.
    pub(crate) fn repositories(&self, after: Option<&str>) -> BTreeSet<RepositoryName> {
        let after = |name: &&RepositoryName| after.is_none_or(|after| name.as_str() > after);
        self.all().iter().flat_map(|mount| mount.repositories.keys().filter(after)).cloned().collect()
    }

    pub(crate) fn referrers(&self, name: &RepositoryName, subject: &Digest) -> BTreeSet<Digest> {
        let all = self.all();
        all.iter().filter_map(|mount| mount.repositories.get(name)?.referrers.get(subject)).flatten().copied().collect()
    }

    fn find<T>(&self, wanted: impl Fn(&Mount) -> Option<T>) -> Option<T> {
        self.mounted.read().iter().find_map(|mount| wanted(mount))
    }
}
