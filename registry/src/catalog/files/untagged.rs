//! The manifests that nothing leads to any more: no tag, no index, no subject.

use std::collections::BTreeSet;

use super::folder::Folder;
use super::index::Index;
use crate::catalog::layer::ServedManifest;
use crate::error::Error;
use crate::oci::{Digest, Manifest, ManifestKind, RepositoryName};

/// How many manifests are listed at once.
const PAGE: usize = 1000;

impl Folder {
    /// The manifests of a repository that no tag points at, no index of it lists, and that are not about another of its
    /// manifests, in the order of their digests.
    pub(super) fn untagged(&self, repository: &RepositoryName, index: &Index) -> Result<Vec<Digest>, Error> {
        let mut found = BTreeSet::new();
        self.each_manifest(repository, index, |digest| {
            if index.tags_of(repository, digest)?.is_empty() && self.names_manifest(repository, digest)? {
                found.insert(*digest);
            }
            Ok(())
        })?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        // What an index lists is part of it: for it to go, the index goes first.
        self.each_manifest(repository, index, |digest| {
            let link = self.links.manifest(repository, digest)?;
            if link.is_some_and(|link| link.media_type.manifest_kind() == ManifestKind::Index) {
                for (child, _) in self.parsed(repository, digest).iter().flat_map(Manifest::children) {
                    found.remove(&child.digest);
                }
            }
            Ok(())
        })?;
        let mut alone = Vec::with_capacity(found.len());
        for digest in found {
            let subject = self.parsed(repository, &digest).and_then(|manifest| Some(manifest.subject()?.digest));
            match subject {
                Some(subject) if self.names_manifest(repository, &subject)? => {}
                _ => alone.push(digest),
            }
        }
        Ok(alone)
    }

    fn each_manifest(
        &self,
        repository: &RepositoryName,
        index: &Index,
        mut look: impl FnMut(&Digest) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = index.manifests(repository, after.as_ref(), PAGE)?;
            page.entries.iter().try_for_each(&mut look)?;
            after = page.entries.last().copied();
            if !page.more {
                return Ok(());
            }
        }
    }

    /// A manifest, if it can be read: a damaged one leads to nothing.
    fn parsed(&self, repository: &RepositoryName, digest: &Digest) -> Option<Manifest> {
        self.manifest(repository, digest).ok()?.map(ServedManifest::parse)?.ok()
    }
}
