//! Making the metadata anew from the store.

use crate::error::Error;
use crate::metadata::{Changes, Metadata, MetadataError};
use crate::oci::{Digest, MAX_MANIFEST_SIZE, Manifest, RepositoryName};
use crate::registry::Shared;
use crate::store::{Store, StoreError};

use super::release::Settling;

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RebuildReport {
    /// Repositories with links.
    pub repositories: usize,
    /// Manifests linked in them.
    pub manifests: usize,
    /// Tags.
    pub tags: usize,
    /// Links and manifests that could not be believed, a sentence each. They are left as they are and not listed.
    pub problems: Vec<String>,
}

/// Fills empty metadata with what the store's links say. A damaged link is reported and passed over: other repositories
/// are not concerned.
pub(crate) fn fill(store: &Store, settling: &Settling, metadata: &Metadata) -> Result<RebuildReport, Error> {
    let mut report = RebuildReport::default();
    for repository in store.links.repositories()? {
        report.repositories += 1;
        metadata.apply(read_repository(
            store,
            &repository,
            |digest| settling.is_unlinked(&repository, digest),
            &mut report,
        )?)?;
    }
    Ok(report)
}

impl Shared {
    /// After a change the disk refused halfway: what the store holds now is what is known of these repositories, and what
    /// was kept of them is forgotten. To be called before others may change them.
    ///
    /// # Errors
    /// [`Error::Metadata`] when it could not be found out; then the metadata is worth nothing.
    pub(crate) fn reconcile<'a>(
        &self,
        repositories: impl IntoIterator<Item = &'a RepositoryName>,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let reconciled = repositories.into_iter().try_for_each(|repository| {
            let gone = |digest: &Digest| self.settling.read().is_unlinked(repository, digest);
            let mut found = read_repository(&self.store, repository, gone, &mut RebuildReport::default())?;
            self.add_settling(&mut found, |settling| settling == repository);
            Ok(metadata.replace(repository, found)?)
        });
        self.manifests.clear();
        self.blobs.clear();
        reconciled.map_err(|error| match error {
            Error::Store(error) => Error::Metadata(MetadataError::Store(error)),
            other => other,
        })
    }

    /// A release that is committed counts, also while the disk refuses to write it to its tags' links.
    pub(crate) fn add_settling(&self, changes: &mut Changes, of: impl Fn(&RepositoryName) -> bool) {
        let settling = self.settling.read();
        for ((repository, tag), link) in settling.tags.iter().filter(|((repository, _), _)| of(repository)) {
            match link {
                Some(link) => changes.add_tag(repository, tag, &link.digest),
                None => changes.remove_tag(repository, tag),
            }
        }
    }
}

/// What the store's links say of one repository.
fn read_repository(
    store: &Store,
    repository: &RepositoryName,
    gone: impl Fn(&Digest) -> bool,
    report: &mut RebuildReport,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    for digest in store.links.blobs(repository)? {
        changes.add_blob(repository, &digest);
    }
    for digest in store.links.manifests(repository)?.into_iter().filter(|digest| !gone(digest)) {
        let read = || -> Result<Option<Manifest>, StoreError> {
            let Some(link) = store.links.manifest(repository, &digest)? else { return Ok(None) };
            let Some(bytes) = store.blobs.read(&digest, MAX_MANIFEST_SIZE)? else { return Ok(None) };
            Ok(Manifest::parse(bytes, Some(link.media_type)).ok())
        };
        match read() {
            Ok(Some(manifest)) => {
                report.manifests += 1;
                changes.add_manifest(repository, &digest, &manifest);
            }
            Ok(None) => report.problems.push(format!("manifest `{digest}` of `{repository}` is linked and not there")),
            Err(error @ StoreError::Damaged { .. }) => report.problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    for tag in store.links.tags(repository)? {
        match store.links.tag(repository, &tag) {
            Ok(Some(link)) => {
                report.tags += 1;
                changes.add_tag(repository, &tag, &link.digest);
            }
            Ok(None) => {}
            Err(error @ StoreError::Damaged { .. }) => report.problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(changes)
}
