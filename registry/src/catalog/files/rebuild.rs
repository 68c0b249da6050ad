//! Reading all links of a repository: to rebuild the index, and to verify.

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::index::{Change, Index, IndexError, Row};
use super::links::{Link, ManifestLink};
use crate::catalog::binding::TagLink;
use crate::disk::{Context as _, DiskError};
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
    /// Damaged links and manifests, a sentence each, of the first ten thousand. They are left as they are and not listed.
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
        let (links, mut linked) = (&self.links, Linked::default());
        for digest in links.blobs(repository)? {
            let digest = digest?;
            let size = linked.read(links.blob_size(repository, &digest))?;
            linked.blobs.extend(size.map(|size| (digest, size)));
        }
        for digest in links.manifests(repository)? {
            let digest = digest?;
            if !self.settling.read().is_unlinked(repository, &digest) {
                let link = linked.read(links.manifest(repository, &digest))?;
                linked.manifests.push((digest, link));
            }
        }
        for tag in links.tags(repository)? {
            let tag = tag?;
            let link = linked.read(links.tag(repository, &tag))?;
            linked.tags.extend(link.map(|link| (tag, link)));
        }
        Ok(linked)
    }

    /// Fills an empty index with what the links say. What is damaged is reported and skipped. One link is in memory at a
    /// time, however many there are.
    pub(super) fn fill(&self, index: Index) -> Result<(Index, RebuildReport), Error> {
        let mut report = RebuildReport::default();
        let filled = index.change(|change| {
            for repository in self.links.repositories()? {
                report.repositories += 1;
                self.say(&repository, &mut Into::One(change), &mut report)?;
            }
            self.say_settling(&mut Into::One(change), |_| true)
        });
        filled?;
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
            // The links are read between the changes: others have to make theirs meanwhile.
            self.say(repository, &mut Into::Each(index), &mut RebuildReport::default())?;
            index.sweep(repository, |row| Ok::<_, Error>(self.is_linked(repository, row)?))?;
            self.say_settling(&mut Into::Each(index), |settling| settling == repository)
        });
        self.caches.clear();
        reconciled.map_err(|error| match error {
            Error::Disk(error) => Error::Index(IndexError::Disk(error)),
            other => other,
        })
    }

    /// Whether there is a link for what a row of the index says.
    fn is_linked(&self, repository: &RepositoryName, row: &Row) -> Result<bool, DiskError> {
        let path = match row {
            Row::Manifest(digest) if self.settling.read().is_unlinked(repository, digest) => return Ok(false),
            Row::Blob(digest) => self.links.path(repository, Link::Blob(digest)),
            Row::Manifest(digest) => self.links.path(repository, Link::Manifest(digest)),
            Row::Tag(tag) => self.links.path(repository, Link::Tag(tag)),
        };
        path.try_exists().on("look at", &path)
    }

    /// Says the tags of a committed release that the disk has not accepted in the links yet.
    fn say_settling(&self, into: &mut Into<'_, '_>, of: impl Fn(&RepositoryName) -> bool) -> Result<(), Error> {
        let settling = self.settling.read();
        for ((repository, tag), link) in settling.tags.iter().filter(|((repository, _), _)| of(repository)) {
            into.say(|change| change.tag(repository, tag, link.as_ref().map(|link| &link.digest)))?;
        }
        Ok(())
    }

    /// Says what the links of a repository say.
    fn say(
        &self,
        repository: &RepositoryName,
        into: &mut Into<'_, '_>,
        report: &mut RebuildReport,
    ) -> Result<(), Error> {
        // Their sizes are read when they are asked for.
        for digest in self.links.blobs(repository)? {
            let digest = digest?;
            into.say(|change| change.blob(repository, &digest, true))?;
        }
        for digest in self.links.manifests(repository)? {
            let digest = digest?;
            if self.settling.read().is_unlinked(repository, &digest) {
                continue;
            }
            let found = match self.linked_manifest(repository, &digest) {
                Ok(None) => {
                    report.name(format!("manifest `{digest}` of `{repository}` is linked but missing"));
                    None
                }
                read => report.read(read)?,
            };
            match found {
                Some(manifest) => {
                    report.manifests += 1;
                    into.say(|change| change.manifest(repository, &digest, &manifest, true))?;
                }
                None => into.say(|change| change.no_manifest(repository, &digest))?,
            }
        }
        for tag in self.links.tags(repository)? {
            let tag = tag?;
            let link = report.read(self.links.tag(repository, &tag))?;
            report.tags += usize::from(link.is_some());
            into.say(|change| change.tag(repository, &tag, link.as_ref().map(|link| &link.digest)))?;
        }
        Ok(())
    }

    /// What a manifest's link names, re-hashed.
    fn linked_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Manifest>, DiskError> {
        let Some(link) = self.links.manifest(repository, digest)? else { return Ok(None) };
        let bytes = self.blobs.read_now(digest, MAX_MANIFEST_SIZE)?;
        Ok(bytes.and_then(|bytes| Manifest::parse(bytes, Some(link.media_type)).ok()))
    }
}

/// What rows go into.
enum Into<'a, 'b> {
    /// A change of many.
    One(&'a mut Change<'b>),
    /// A change of its own each.
    Each(&'a Index),
}

impl Into<'_, '_> {
    fn say(&mut self, row: impl FnOnce(&mut Change<'_>) -> Result<(), IndexError>) -> Result<(), IndexError> {
        match self {
            Self::One(change) => row(change),
            Self::Each(index) => index.change(row),
        }
    }
}

impl RebuildReport {
    /// The most damaged files that are named.
    const NAMED: usize = 10_000;

    fn name(&mut self, problem: String) {
        if self.problems.len() < Self::NAMED {
            self.problems.push(problem);
        }
    }

    /// What a link says, unless it is damaged: that is reported.
    fn read<T>(&mut self, link: Result<Option<T>, DiskError>) -> Result<Option<T>, DiskError> {
        match link {
            Err(error @ DiskError::Damaged { .. }) => {
                self.name(error.to_string());
                Ok(None)
            }
            read => read,
        }
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
