//! Links within an archive or a folder, resolved as the kernel resolves them, so that a tar has the files of the folder it
//! was made of. Nothing outside is ever reached.

use std::collections::{BTreeMap, BTreeSet};

use super::entry_name::components;

/// Links behind one another, as many as Linux follows.
const MAX_HOPS: usize = 40;
/// Components that are walked for one link: an honest one has a few.
const MAX_STEPS: usize = 512;

/// A link as it is written in a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The target of a symbolic link is relative to its folder, that of a hard link to the archive.
    pub(crate) symbolic: bool,
    pub(crate) target: String,
}

/// Why a link is left out. The same words for folders and archives.
pub(crate) mod dead {
    pub(crate) const OUTSIDE: &str = "it links to outside the bundle; put the file itself there";
    pub(crate) const NOTHING: &str = "it links to nothing";
    pub(crate) const LOOP: &str = "it links to itself, directly or not";
    pub(crate) const FOLDER: &str = "it links to a folder; to have what is in it under this name as well, copy the bundle with `cp -rL` or `tar -h`";
    pub(crate) const SPECIAL: &str = "it is a device, a socket or a named pipe";
}

/// What resolves links: all names of an archive.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<String, Link>,
    /// Folders with an entry of their own.
    folders: BTreeSet<String>,
}

impl Links {
    pub(crate) fn add(&mut self, path: String, link: Link) {
        self.links.insert(path, link);
    }

    pub(crate) fn add_folder(&mut self, path: String) {
        self.folders.insert(path);
    }

    /// Every link, with the file it leads to or why it leads to none.
    pub(crate) fn resolve<T>(&self, files: &BTreeMap<String, T>) -> Vec<(String, Result<String, &'static str>)> {
        self.links.keys().map(|path| (path.clone(), self.follow(path, files))).collect()
    }

    fn follow<T>(&self, path: &str, files: &BTreeMap<String, T>) -> Result<String, &'static str> {
        let mut todo: Vec<&str> = components(path).rev().collect();
        let (mut at, mut hops, mut steps) = (String::new(), 0, 0);
        while let Some(part) = todo.pop() {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(dead::LOOP);
            }
            if part == ".." {
                if at.is_empty() {
                    return Err(dead::OUTSIDE);
                }
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let folder = at.len();
            if folder > 0 {
                at.push('/');
            }
            at.push_str(part);
            let Some(link) = self.links.get(&at) else {
                // A file is no folder, and a name that is not there has nothing below it.
                if !todo.is_empty() && !self.is_folder(&at, files) {
                    return Err(dead::NOTHING);
                }
                continue;
            };
            hops += 1;
            if hops > MAX_HOPS {
                return Err(dead::LOOP);
            }
            if link.target.starts_with('/') {
                return Err(dead::OUTSIDE);
            }
            at.truncate(if link.symbolic { folder } else { 0 });
            todo.extend(components(&link.target).rev());
        }
        match () {
            () if files.contains_key(&at) => Ok(at),
            () if self.is_folder(&at, files) => Err(dead::FOLDER),
            () => Err(dead::NOTHING),
        }
    }

    fn is_folder<T>(&self, path: &str, files: &BTreeMap<String, T>) -> bool {
        let prefix = format!("{path}/");
        let below = |name: &String| name.starts_with(&prefix);
        path.is_empty()
            || self.folders.contains(path)
            || files.range(prefix.clone()..).next().is_some_and(|(name, _)| below(name))
            || self.links.range(prefix.clone()..).next().is_some_and(|(name, _)| below(name))
            || self.folders.range(prefix.clone()..).next().is_some_and(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_a_link_leads_where_the_kernel_would_lead() {
        let mut links = Links::default();
        let files: BTreeMap<String, ()> = ["a/f", "b/c/f", "top"].map(|path| (path.to_owned(), ())).into();
        for (path, target) in [
            ("b/up", "../a/f"),
            ("l", "a"),
            ("through", "l/f"),
            ("chain", "through"),
            ("self", "self"),
            ("x", "y"),
            ("y", "x"),
            ("out", "../f"),
            ("absolute", "/a/f"),
            ("nothing", "a/none"),
            ("below-a-file", "top/f"),
            ("up-from-nothing", "none/../top"),
            ("b/c/same", "./f"),
        ] {
            links.add(path.to_owned(), Link { symbolic: true, target: target.to_owned() });
        }
        links.add("b/hard".to_owned(), Link { symbolic: false, target: "./a/f".to_owned() });
        links.add("b/hard-of-a-link".to_owned(), Link { symbolic: false, target: "b/up".to_owned() });
        let resolved: BTreeMap<_, _> = links.resolve(&files).into_iter().collect();
        for (path, expected) in [
            ("b/up", Ok("a/f")),
            ("l", Err(dead::FOLDER)),
            ("through", Ok("a/f")),
            ("chain", Ok("a/f")),
            ("self", Err(dead::LOOP)),
            ("x", Err(dead::LOOP)),
            ("out", Err(dead::OUTSIDE)),
            ("absolute", Err(dead::OUTSIDE)),
            ("nothing", Err(dead::NOTHING)),
            ("below-a-file", Err(dead::NOTHING)),
            ("up-from-nothing", Err(dead::NOTHING)),
            ("b/c/same", Ok("b/c/f")),
            ("b/hard", Ok("a/f")),
            ("b/hard-of-a-link", Ok("a/f")),
        ] {
            assert_eq!(resolved[path], expected.map(str::to_owned), "{path}");
        }
    }
}
