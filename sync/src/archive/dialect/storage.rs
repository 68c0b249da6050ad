//! The storage of a registry (distribution's `registry:2`), as a folder or in an archive: written by mindthegap and
//! oc-mirror, and found in backups of such registries.
//!
//! `repositories/<name>/_manifests/{tags/<tag>/current,revisions/<algorithm>/<hex>}/link` list tags and manifests; the blobs
//! are in `blobs/`. Names are taken as they stand. Manifests without a tag, such as signatures, come in by digest.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use airdock_registry::oci::{Digest, RepositoryName, Tag};

use super::arrangement::Arrangement;
use super::layout;
use super::layout_index::Root;
use crate::archive::found::{Found, FoundName};
use crate::archive::intake::Intake;
use crate::archive::names::Names;
use crate::archive::parts::{Folder, Parts, join};
use crate::problem::{Problem, Result};
use crate::text::printable;

/// The largest link file, which holds a digest.
pub(crate) const MAX_LINK: u64 = 1024;

/// The folder beside `blobs`.
const REPOSITORIES: &str = "repositories/";

/// What the path of a link file states.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link<'p> {
    /// The folder of `repositories` and `blobs`.
    root: &'p str,
    repository: &'p str,
    target: Target<'p>,
}

#[derive(Debug, PartialEq, Eq)]
enum Target<'p> {
    Tag(&'p str),
    Revision(Digest),
}

impl<'p> Link<'p> {
    /// Reads a folder such as `docker/registry/v2/repositories/team/app/_manifests/tags/1/current`.
    pub(crate) fn of(folder: &'p str) -> Option<Self> {
        let (left, right) = folder.split_once("/_manifests/")?;
        let at = match left.find("docker/registry/v2/repositories/") {
            Some(at) => at + "docker/registry/v2/".len(),
            None if left.starts_with(REPOSITORIES) => 0,
            None => left.find("/repositories/")? + 1,
        };
        let (root, repository) = (left[..at].trim_end_matches('/'), left[at..].strip_prefix(REPOSITORIES)?);
        let mut parts = right.split('/');
        let target = match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
            ("tags", tag, "current", None) => Target::Tag(tag),
            ("revisions", algorithm, hex, None) => Target::Revision(format!("{algorithm}:{hex}").parse().ok()?),
            _ => return None,
        };
        Some(Self { root, repository, target })
    }
}

/// The content of one repository.
#[derive(Default)]
struct Repository {
    tags: BTreeSet<String>,
    revisions: BTreeSet<Digest>,
}

/// Reads every repository of every storage in `parts`. Returns the folders of the storages.
pub(crate) fn read(parts: &mut dyn Parts, intake: &mut Intake<'_>, file: &str, separator: &str) -> Result<Vec<String>> {
    let mut storages: BTreeMap<String, BTreeMap<String, Repository>> = BTreeMap::new();
    for folder in parts.folders_with("link") {
        let Some(link) = Link::of(&folder) else { continue };
        let repositories = storages.entry(link.root.to_owned()).or_default();
        let repository = repositories.entry(link.repository.to_owned()).or_default();
        match link.target {
            Target::Tag(tag) => drop(repository.tags.insert(tag.to_owned())),
            Target::Revision(digest) => drop(repository.revisions.insert(digest)),
        }
    }
    for (root, repositories) in &storages {
        let shown = if root.is_empty() { file.to_owned() } else { format!("{file}{separator}{root}") };
        for (name, held) in repositories {
            match name.parse::<RepositoryName>() {
                Ok(parsed) => {
                    let folder = Folder { parts: &mut *parts, intake: &mut *intake, path: root, shown: &shown };
                    Reader { folder, name: &parsed }.read(held)?;
                }
                Err(error) => {
                    let problem = Problem::Unusable(format!("a repository cannot have this name: {error}"));
                    intake.fail(&format!("{shown}: {}", printable(name)), problem)?;
                }
            }
        }
    }
    Ok(storages.into_keys().collect())
}

struct Reader<'r, 'a> {
    folder: Folder<'r, 'a>,
    name: &'r RepositoryName,
}

impl Reader<'_, '_> {
    fn read(mut self, held: &Repository) -> Result<()> {
        let mut by_digest: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for text in &held.tags {
            match self.tag(text) {
                Ok((tag, digest)) => by_digest.entry(digest).or_default().push(tag),
                Err(problem) => self.folder.fail(&format!("{}:{}", self.name, printable(text)), problem)?,
            }
        }
        let mut covered = HashSet::new();
        for (digest, tags) in by_digest {
            let name = |tag| FoundName::stored(self.name.clone(), Some(tag), &digest);
            let names = Names::given(tags.into_iter().map(name));
            let label = names.label(&digest);
            match self.image(digest, names) {
                Ok(found) => {
                    covered.extend(found.manifests.iter().map(|(digest, _)| *digest));
                    self.folder.intake.add(found)?;
                }
                Err(problem) => self.folder.fail(&label, problem)?,
            }
        }
        self.untagged(held, covered)
    }

    fn untagged(&mut self, held: &Repository, mut covered: HashSet<Digest>) -> Result<()> {
        let (mut untagged, mut waiting) = (Vec::new(), 0);
        for digest in &held.revisions {
            if covered.contains(digest) {
                continue;
            }
            let name = FoundName::stored(self.name.clone(), None, digest);
            let shown = name.shown.clone();
            match self.image(*digest, Names::given([name])) {
                Ok(found) => {
                    covered.extend(found.manifests.iter().map(|(digest, _)| *digest).filter(|part| part != digest));
                    waiting += found.manifest_bytes();
                    self.folder.intake.require_memory(waiting)?;
                    untagged.push(found);
                }
                Err(problem) if problem.is_fatal() => return Err(problem),
                // Registries keep manifests of images whose other parts were deleted. No tag needs them.
                Err(problem) => {
                    let message = format!("`{shown}` is left out: {}", problem.sentence());
                    self.folder.intake.warn(self.folder.shown, message);
                }
            }
        }
        // An index may come after the manifests it lists.
        for found in untagged.into_iter().filter(|found| !covered.contains(&found.root)) {
            self.folder.intake.add(found)?;
        }
        Ok(())
    }

    fn tag(&self, text: &str) -> Result<(Tag, Digest)> {
        let tag = text.parse::<Tag>().map_err(|error| Problem::Unusable(format!("it is no tag: {error}")))?;
        let path = join(self.folder.path, &format!("{REPOSITORIES}{}/_manifests/tags/{text}/current/link", self.name));
        let link = self.folder.parts.document(&path, MAX_LINK)?;
        let link = link.ok_or_else(|| Problem::Missing("the tag's `link`".into()))?;
        let digest = std::str::from_utf8(&link).ok().and_then(|text| text.trim().parse().ok());
        Ok((tag, digest.ok_or_else(|| Problem::document(&path, "it holds no digest"))?))
    }

    fn image(&mut self, digest: Digest, names: Names) -> Result<Found> {
        let root = Root { digest, size: None, media_type: None, names };
        let at = Arrangement::Storage(self.folder.path);
        layout::image(&mut self.folder, at, root).map(|image| image.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_link_states_its_target() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = format!("sha256:{hex}").parse().unwrap();
        let tag = |root, repository| Some(Link { root, repository, target: Target::Tag("1") });
        for (folder, expected) in [
            ("docker/registry/v2/repositories/a/b/_manifests/tags/1/current", tag("docker/registry/v2", "a/b")),
            ("x/docker/registry/v2/repositories/a/_manifests/tags/1/current", tag("x/docker/registry/v2", "a")),
            ("repositories/a/_manifests/tags/1/current", tag("", "a")),
            ("v2/repositories/a/_manifests/tags/1/current", tag("v2", "a")),
            // A repository may have this name.
            (
                "docker/registry/v2/repositories/repositories/a/_manifests/tags/1/current",
                tag("docker/registry/v2", "repositories/a"),
            ),
            (
                &format!("repositories/a/_manifests/revisions/sha256/{hex}"),
                Some(Link { root: "", repository: "a", target: Target::Revision(digest) }),
            ),
            (&format!("repositories/a/_manifests/tags/1/index/sha256/{hex}"), None),
            (&format!("repositories/a/_layers/sha256/{hex}"), None),
            ("repositories/a/_manifests/revisions/sha256/x", None),
            ("repositories/_manifests/tags/1/current", None),
            ("a/_manifests/tags/1/current", None),
        ] {
            assert_eq!(Link::of(folder), expected, "{folder}");
        }
    }
}
