//! Whether each manifest has what it names, and which tags cannot be pulled because one has not.

use std::collections::{BTreeMap, BTreeSet};

use super::Pass;
use super::findings::Subject;
use crate::error::Error;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::store::StoreError;

impl Pass<'_> {
    pub(super) fn repository(&mut self, repository: &RepositoryName) -> Result<(), Error> {
        let links = &self.shared.store.links;
        for digest in links.blobs(repository)? {
            match links.blob_size(repository, &digest) {
                Ok(Some(size)) => {
                    self.names(&digest, size, false)?;
                }
                Ok(None) => {}
                Err(error) => self.link(&error),
            }
        }
        self.links(repository, &|_| true)
    }

    /// Looks at the manifests and tags of a repository that are wanted, and at what they name.
    pub(super) fn links(&mut self, repository: &RepositoryName, wanted: &dyn Fn(&Digest) -> bool) -> Result<(), Error> {
        let links = &self.shared.store.links;
        // What cannot be pulled here, and because of which findings.
        let mut broken: BTreeMap<Digest, Vec<Subject>> = BTreeMap::new();
        let mut indexes = Vec::new();
        let mut manifests: BTreeSet<_> = links.manifests(repository)?.into_iter().collect();
        manifests.extend(self.shared.mounts.manifests(repository));
        for digest in manifests {
            if !wanted(&digest) {
                continue;
            }
            self.report.manifests += 1;
            let Some(manifest) = self.manifest(repository, &digest)? else {
                broken.insert(digest, vec![Subject::stored(&digest)]);
                continue;
            };
            let mut because = Vec::new();
            for reference in manifest.references() {
                if let Reference::Blob(blob) | Reference::ForeignBlob(blob) = reference {
                    let foreign = matches!(reference, Reference::ForeignBlob(_));
                    let mounted = !self.shared.mounts.blobs(repository, &blob.digest).is_empty();
                    let is_stored = self.names(&blob.digest, blob.size, foreign || mounted)?;
                    because.extend(self.lost(repository, &blob.digest, is_stored));
                }
            }
            if manifest.children().next().is_some() {
                indexes.push(digest);
            }
            if !because.is_empty() {
                broken.insert(digest, because);
            }
        }
        // An index is broken by its manifests; several levels are as many rounds.
        let mut again = !broken.is_empty();
        while again {
            again = false;
            for index in &indexes {
                let Some(manifest) = self.manifest(repository, index)? else { continue };
                let children = manifest.children().filter_map(|(child, _)| broken.get(&child.digest));
                let because: Vec<Subject> = children.flatten().cloned().collect();
                if !because.is_empty() && !broken.contains_key(index) {
                    broken.insert(*index, because);
                    again = true;
                }
            }
        }
        self.tags(repository, broken, wanted)
    }

    /// Which tags point at what is broken; a broken manifest without a tag is named by its digest.
    fn tags(
        &mut self,
        repository: &RepositoryName,
        mut broken: BTreeMap<Digest, Vec<Subject>>,
        wanted: &dyn Fn(&Digest) -> bool,
    ) -> Result<(), Error> {
        let links = &self.shared.store.links;
        let mut tagged: BTreeMap<Digest, BTreeSet<Tag>> = BTreeMap::new();
        for tag in links.tags(repository)? {
            match links.tag(repository, &tag) {
                Ok(Some(link)) if broken.contains_key(&link.digest) => {
                    tagged.entry(link.digest).or_default().insert(tag);
                }
                Ok(Some(link)) if wanted(&link.digest) && links.manifest(repository, &link.digest)?.is_none() => {
                    let subject = Subject::stored(&format!("tag {repository}:{tag}"));
                    self.findings.of(subject, format!("it points at `{}`, which is not there", link.digest));
                }
                Ok(_) => {}
                Err(error) => self.link(&error),
            }
        }
        for tag in self.shared.mounts.tags(repository, None) {
            let target = self.shared.mounts.tag(repository, &tag).filter(|target| broken.contains_key(target));
            if let Some(target) = target {
                tagged.entry(target).or_default().insert(tag);
            }
        }
        for (digest, because) in std::mem::take(&mut broken) {
            let tags = tagged.remove(&digest).unwrap_or_default();
            let mut names: Vec<String> = tags.iter().map(|tag| format!("{repository}:{tag}")).collect();
            if names.is_empty() {
                names.push(format!("{repository}@{digest}"));
            }
            for subject in because {
                names.iter().for_each(|name| self.findings.breaks(&subject, name));
            }
        }
        Ok(())
    }

    /// A manifest of the repository, or nothing and a finding.
    pub(super) fn manifest(&mut self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Manifest>, Error> {
        match self.shared.parsed(repository, digest) {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) => {
                if self.shared.store.links.manifest(repository, digest).is_ok_and(|link| link.is_some()) {
                    self.findings.of(Subject::stored(digest), "it is not there".to_owned());
                }
            }
            // A link's damage is the link's; the content's is found when it is read, and said once.
            Err(Error::Store(error @ StoreError::Damaged { .. })) => {
                if self.shared.store.links.manifest(repository, digest).is_err() {
                    self.link(&error);
                }
            }
            Err(Error::ManifestInvalid(error)) => {
                self.findings.of(Subject::stored(digest), error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Somebody names a blob of this size. Says whether the store has it.
    fn names(&mut self, digest: &Digest, size: u64, may_be_absent: bool) -> Result<bool, Error> {
        let found = self.shared.store.blobs.size(digest)?;
        match found {
            Some(found) if found != size && !self.findings.has(&Subject::stored(digest)) => {
                self.findings.of(Subject::stored(digest), format!("it has {found} bytes where {size} belong"));
            }
            None if !may_be_absent => {
                self.findings.of(Subject::stored(digest), "it is not there".to_owned());
            }
            _ => {}
        }
        Ok(found.is_some())
    }

    fn link(&mut self, error: &StoreError) {
        let StoreError::Damaged { path, reason } = error else { return };
        let path = path.strip_prefix(self.shared.store.data()).unwrap_or(path);
        let problem = format!("{reason}; push or ingest again what it names");
        self.findings.of(Subject::stored(&format!("link {}", path.display())), problem);
    }
}
