//! Lists of tags (end-8) and of repositories.

use std::sync::Arc;

use crate::core::Core;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{RepositoryName, Tag};

/// A page of a repository's tags, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// Their repository, which the requested name meant.
    pub repository: RepositoryName,
    /// The tags.
    pub tags: Vec<Tag>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// A page of the repositories that have a manifest, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPage {
    /// Their names.
    pub names: Vec<RepositoryName>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// See [`Registry::tags`](crate::Registry::tags).
pub(crate) async fn tags(
    core: &Arc<Core>,
    name: &RequestedName,
    after: Option<&str>,
    limit: usize,
) -> Result<TagPage, Error> {
    let (asked, after) = (name.clone(), after.map(str::to_owned));
    let page = core.run(async move |core| {
        for repository in asked.candidates() {
            if core.catalog.has_repository(repository).await? {
                let page = core.catalog.tags(repository, after.as_deref(), limit).await?;
                return Ok(Some(TagPage { repository: repository.clone(), tags: page.entries, more: page.more }));
            }
        }
        Ok(None)
    });
    page.await?.ok_or_else(|| Error::NameUnknown(name.path.clone()))
}

/// See [`Registry::repositories`](crate::Registry::repositories).
pub(crate) async fn repositories(core: &Arc<Core>, after: Option<&str>, limit: usize) -> Result<RepositoryPage, Error> {
    let after = after.map(str::to_owned);
    let page = core.run(async move |core| core.catalog.repositories(after.as_deref(), limit).await).await?;
    Ok(RepositoryPage { names: page.entries, more: page.more })
}
