//! From a committed entry of the log to the tags' own links.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Error;
use crate::metadata::{Changes, Metadata};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::registry::Shared;
use crate::store::{ManifestName, ReleaseRecord, TagChange, TagLink};

/// What an entry that is committed says, as long as the links do not say it yet.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Where tags point; none of those that are gone.
    pub(crate) tags: HashMap<(RepositoryName, Tag), Option<TagLink>>,
    /// Manifests that are in their repositories no more.
    pub(crate) unlinked: HashSet<ManifestName>,
}

impl Settling {
    fn of(record: &ReleaseRecord) -> Self {
        let tag =
            |TagChange { repository, tag, after, .. }: &TagChange| ((repository.clone(), tag.clone()), after.clone());
        Self { tags: record.changes.iter().map(tag).collect(), unlinked: record.unlinked.iter().cloned().collect() }
    }

    /// Whether the manifest is there no more.
    pub(crate) fn is_unlinked(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        // Nearly always there is nothing to look for, and no name to be made for it.
        !self.unlinked.is_empty()
            && self.unlinked.contains(&ManifestName { repository: repository.clone(), digest: *digest })
    }
}

impl Shared {
    /// Commits an entry of the log: from its rename on it is what everybody sees. Nothing else may change meanwhile.
    ///
    /// # Errors
    /// When the disk refuses. Then nothing of it is seen, or all of it and the rest follows with the next change.
    ///
    /// # Durability
    /// Durable when it returns.
    pub(crate) fn commit_release(&self, record: &ReleaseRecord, metadata: &Metadata) -> Result<(), Error> {
        self.store.releases.commit(record)?;
        let mut changes = Changes::default();
        for TagChange { repository, tag, after, .. } in &record.changes {
            match after {
                Some(link) => changes.add_tag(repository, tag, &link.digest),
                None => changes.remove_tag(repository, tag),
            }
        }
        // From here every read finds all of it: first by name, then in the lists.
        *self.settling.write() = Settling::of(record);
        self.manifests.clear();
        *self.unsettled.lock() = Some(record.clone());
        let listed = metadata.apply(changes);
        self.settle_again()?;
        listed?;
        if record.unlinked.is_empty() {
            return Ok(());
        }
        // What the manifests made visible is found by looking at what is left.
        let concerned: BTreeSet<_> = record.unlinked.iter().map(|manifest| &manifest.repository).collect();
        self.reconcile(concerned, metadata)
    }

    /// Writes a committed entry to its tags' links. When the disk refuses, it stays what everybody sees; the next
    /// change, or the next start, tries again, for nothing may change a tag before.
    pub(crate) fn settle_again(&self) -> Result<(), Error> {
        let mut unsettled = self.unsettled.lock();
        if let Some(record) = &*unsettled {
            self.store.apply(record)?;
            *self.settling.write() = Settling::default();
            *unsettled = None;
        }
        Ok(())
    }
}
