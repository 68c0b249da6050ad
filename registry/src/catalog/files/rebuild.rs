//! Reading all links of a repository: to rebuild the index, and to verify.

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::index::{Index, IndexError, Rows};
use super::links::ManifestLink;
use crate::catalog::binding::TagLink;
use crate::disk::DiskError;
use crate::error::Error;
use crate::oci::{Digest, MAX_MANIFEST_SIZE, Manifest, RepositoryName, Tag};

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Repositories with links.
    pub repositories: usize,
    /// Manifests linked in them.
    pub manifests: usize,
    /// Tags.
    pub tags: usize,
    /// Damaged links and manifests, a sentence each. They are left as they are and not listed.
    pub problems: Vec<String>,
}

/// What the links of one repository say.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    /// Blobs that were pushed or mounted, with their sizes in bytes.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// Manifests; `None` where the link is damaged.
    pub(crate) manifests: Vec<(Digest, Option<ManifestLink>)>,
    pub(crate) tags: Vec<(Tag, TagLink)>,
    /// Damaged links. They stay as they are.
    pub(crate) damaged: Vec<DiskError>,
}

impl Folder {
    /// Reads every link of a repository. A damaged one is reported and skipped.
    pub(super) fn linked(&self, repository: &RepositoryName) -> Result<Linked, DiskError> {
        let mut linked = self.linked_manifests(repository)?;
        for digest in self.links.blobs(repository)? {
            let size = linked.read(self.links.blob_size(repository, &digest))?;
            linked.blobs.extend(size.map(|size| (digest, size)));
        }
        Ok(linked)
    }

    fn linked_manifests(&self, repository: &RepositoryName) -> Result<Linked, DiskError> {
        let (links, mut linked) = (&self.links, Linked::default());
        for digest in links.manifests(repository)? {
            if !self.settling.read().is_unlinked(repository, &digest) {
                let link = linked.read(links.manifest(repository, &digest))?;
                linked.manifests.push((digest, link));
            }
        }
        for tag in links.tags(repository)? {
            let link = linked.read(links.tag(repository, &tag))?;
            linked.tags.extend(link.map(|link| (tag, link)));
        }
        Ok(linked)
    }

    /// Fills an empty index with what the links say. What is damaged is reported and skipped.
    pub(super) fn fill(&self, index: Index) -> Result<(Index, RebuildReport), Error> {
        let mut report = RebuildReport::default();
        for repository in self.links.repositories()? {
            report.repositories += 1;
            index.apply(self.rows_of(&repository, &mut report)?)?;
        }
        let mut settling = Rows::default();
        self.add_settling(&mut settling, |_| true);
        index.apply(settling)?;
        for problem in &report.problems {
            tracing::warn!("{problem}");
        }
        Ok((index, report))
    }

    /// After a change that the disk refused halfway: reads again what the links of these repositories say, and clears the
    /// caches. To be called before others may change them. Fails with [`Error::Index`], as the index is then worthless.
    pub(super) fn reconcile<'a>(
        &self,
        repositories: impl IntoIterator<Item = &'a RepositoryName>,
        index: &Index,
    ) -> Result<(), Error> {
        let reconciled = repositories.into_iter().try_for_each(|repository| {
            let mut found = self.rows_of(repository, &mut RebuildReport::default())?;
            self.add_settling(&mut found, |settling| settling == repository);
            Ok(index.replace(repository, found)?)
        });
        self.caches.clear();
        reconciled.map_err(|error| match error {
            Error::Disk(error) => Error::Index(IndexError::Disk(error)),
            other => other,
        })
    }

    /// Adds the tags of a committed release that the disk has not accepted in the links yet.
    fn add_settling(&self, rows: &mut Rows, of: impl Fn(&RepositoryName) -> bool) {
        let settling = self.settling.read();
        for ((repository, tag), link) in settling.tags.iter().filter(|((repository, _), _)| of(repository)) {
            rows.tag(repository, tag, link.as_ref().map(|link| &link.digest));
        }
    }

    fn rows_of(&self, repository: &RepositoryName, report: &mut RebuildReport) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        // Their sizes are read when they are asked for.
        self.links.blobs(repository)?.iter().for_each(|digest| rows.blob(repository, digest, true));
        let linked = self.linked_manifests(repository)?;
        for (digest, link) in linked.manifests {
            let Some(link) = link else { continue };
            let bytes = match self.blobs.read_now(&digest, MAX_MANIFEST_SIZE) {
                Err(error @ DiskError::Damaged { .. }) => {
                    report.problems.push(error.to_string());
                    continue;
                }
                read => read?,
            };
            match bytes.and_then(|bytes| Manifest::parse(bytes, Some(link.media_type)).ok()) {
                Some(manifest) => {
                    report.manifests += 1;
                    rows.manifest(repository, &digest, &manifest, true);
                }
                None => report.problems.push(format!("manifest `{digest}` of `{repository}` is linked but missing")),
            }
        }
        report.tags += linked.tags.len();
        linked.tags.iter().for_each(|(tag, link)| rows.tag(repository, tag, Some(&link.digest)));
        report.problems.extend(linked.damaged.iter().map(ToString::to_string));
        Ok(rows)
    }
}

impl Linked {
    /// What a link says, unless it is damaged: that is noted.
    fn read<T>(&mut self, link: Result<Option<T>, DiskError>) -> Result<Option<T>, DiskError> {
        match link {
            Err(error @ DiskError::Damaged { .. }) => {
                self.damaged.push(error);
                Ok(None)
            }
            read => read,
        }
    }
}
