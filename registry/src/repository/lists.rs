//! Lists of tags (end-8) and of repositories.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{RepositoryName, Tag};
use crate::registry::Registry;

/// Some of a repository's tags, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// The repository they are of: the one the asked name meant.
    pub repository: RepositoryName,
    /// The tags.
    pub tags: Vec<Tag>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// Some of the repositories that have a manifest, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPage {
    /// Their names.
    pub names: Vec<RepositoryName>,
    /// Whether there are more after the last.
    pub more: bool,
}

impl Registry {
    /// Up to `limit` tags after `after`, which need not exist, of the first repository the name may mean that has a
    /// manifest.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] when none has.
    pub async fn tags(&self, name: &RequestedName, after: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        let candidates = name.candidates().cloned().collect::<Vec<_>>();
        let after = after.map(str::to_owned);
        let page = self.0.read(move |shared, metadata| {
            for repository in &candidates {
                if metadata.has_manifests(repository)? || shared.mounts.has_repository(repository) {
                    let page = metadata.tags(repository, after.as_deref(), limit)?;
                    let (tags, more) = merged(page, shared.mounts.tags(repository, after.as_deref()), limit);
                    return Ok(Some(TagPage { repository: repository.clone(), tags, more }));
                }
            }
            Ok(None)
        });
        page.await?.ok_or_else(|| Error::NameUnknown(name.path.clone()))
    }

    /// Up to `limit` repositories after `after`, which need not exist.
    ///
    /// # Errors
    /// When the metadata fails.
    pub async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<RepositoryPage, Error> {
        let after = after.map(str::to_owned);
        let page = self.0.read(move |shared, metadata| {
            let page = metadata.repositories(after.as_deref(), limit)?;
            let (names, more) = merged(page, shared.mounts.repositories(after.as_deref()), limit);
            Ok(RepositoryPage { names, more })
        });
        page.await
    }
}

/// A page with what is mounted put in where it belongs, each once.
pub(super) fn merged<T: Ord>((page, more): (Vec<T>, bool), mounted: BTreeSet<T>, limit: usize) -> (Vec<T>, bool) {
    if mounted.is_empty() {
        return (page, more);
    }
    let all: BTreeSet<T> = page.into_iter().chain(mounted).collect();
    let more = more || all.len() > limit;
    (all.into_iter().take(limit).collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_two_lists_is_the_first_of_both_in_order() {
        let mounted = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(merged((vec!["a", "c"], false), mounted(&["b", "c"]), 10), (vec!["a", "b", "c"], false));
        assert_eq!(merged((vec!["a", "c"], true), mounted(&["b"]), 2), (vec!["a", "b"], true));
        assert_eq!(merged((vec!["x", "y"], true), mounted(&[]), 2), (vec!["x", "y"], true));
        assert_eq!(merged((vec![], false), mounted(&["a", "b"]), 1), (vec!["a"], true));
        assert_eq!(merged((vec![], false), mounted(&["a"]), 0), (vec![], true));
    }
}
