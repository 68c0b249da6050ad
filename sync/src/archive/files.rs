//! The files of an archive or a folder by their paths, and the other names they have.
//!
//! A link to a file is another name of it, whatever it is: a document, a blob, a layer. A file that is an archive of its own
//! is read once, however many names it has.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use airdock_registry::oci::Digest;

use super::intake::Intake;
use super::role::Role;
use crate::input::leftovers::{LeftOut, judge_path};
use crate::input::links::Links;
use crate::input::tar::{Entry, EntryKind};

/// Files by normalised path.
pub(crate) struct Files<T> {
    files: BTreeMap<String, T>,
    /// Other names, each with the name above.
    aliases: BTreeMap<String, String>,
    /// Blobs in a folder such as `shared/sha256`, which several layouts share (`skopeo copy --dest-shared-blob-dir`).
    shared: HashMap<Digest, String>,
    /// Links that were not resolved yet, and files that only links can lead to.
    links: Links,
    hidden: HashSet<String>,
    /// The files that were asked for.
    asked: RefCell<HashSet<String>>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is a file.
    File,
    /// It is a file that is left out, unless a link leads to it.
    Hidden,
    NoFile,
}

impl<T> Default for Files<T> {
    fn default() -> Self {
        let (files, aliases, shared) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { files, aliases, shared, links: Links::default(), hidden: HashSet::new(), asked: RefCell::default() }
    }
}

impl<T> Files<T> {
    /// The files of a folder, whose links are resolved.
    pub(crate) fn of(files: impl Iterator<Item = (String, T)>, aliases: BTreeMap<String, String>) -> Self {
        let mut all = Self { files: files.collect(), aliases, ..Self::default() };
        all.find_shared();
        all
    }

    /// Takes what an entry of a tar is besides a file's content, and tells what is left out.
    pub(crate) fn take(&mut self, intake: &mut Intake<'_>, entry: &Entry, archive: &str) -> Taken {
        let mut leave_out =
            |path: &str, why: &str| intake.warn(&format!("{archive}: {path}"), format!("left out: {why}"));
        if let Some((end, LeftOut::Because(why))) = entry.left_out {
            leave_out(&entry.path[..end], why);
        }
        match &entry.kind {
            EntryKind::File if entry.left_out.is_some() => {
                self.hidden.insert(entry.path.clone());
                return Taken::Hidden;
            }
            EntryKind::File => return Taken::File,
            EntryKind::Folder => self.links.add_folder(entry.path.clone()),
            EntryKind::Link(link) => self.links.add(entry.path.clone(), link.clone()),
            EntryKind::LeftOut(why) if entry.left_out.is_none() => leave_out(&entry.path, why),
            EntryKind::LeftOut(_) => {}
        }
        Taken::NoFile
    }

    pub(crate) fn insert(&mut self, path: String, file: T) {
        self.files.insert(path, file);
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<T> {
        self.files.remove(path)
    }

    /// Resolves the links, once every entry was seen. Those that lead to no file are told. A hidden file that links lead to
    /// has the first of their names.
    pub(crate) fn settle(&mut self, intake: &mut Intake<'_>, archive: &str) {
        let mut renamed: HashMap<String, String> = HashMap::new();
        for (path, target) in std::mem::take(&mut self.links).resolve(&self.files) {
            if judge_path(&path, false).is_some() {
                continue;
            }
            match target {
                Ok(target) if self.hidden.contains(&target) => match self.files.remove(&target) {
                    Some(file) => {
                        self.files.insert(path.clone(), file);
                        renamed.insert(target, path);
                    }
                    None => drop(renamed.get(&target).map(|first| self.aliases.insert(path, first.clone()))),
                },
                Ok(target) => drop(self.aliases.insert(path, target)),
                Err(why) => intake.warn(&format!("{archive}: {path}"), format!("left out: {why}")),
            }
        }
        for path in std::mem::take(&mut self.hidden) {
            self.files.remove(&path);
        }
        self.find_shared();
    }

    fn find_shared(&mut self) {
        let blob = |path: &String| {
            let mut parts = path.rsplit('/').skip(1);
            if parts.next() != Some("sha256") || parts.next() == Some("blobs") {
                return None;
            }
            match Role::of(path) {
                Role::Blob(digest) => Some((digest, path.clone())),
                _ => None,
            }
        };
        self.shared = self.files.keys().chain(self.aliases.keys()).filter_map(blob).collect();
    }

    /// The files that nothing has asked for, by any of their names.
    pub(crate) fn unasked(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        self.files.keys().filter(|path| !asked.contains(*path)).cloned().collect()
    }

    /// The file of this name.
    pub(crate) fn find(&self, path: &str) -> Option<(&String, &T)> {
        let found = self.look_up(path);
        if let Some((path, _)) = found {
            let mut asked = self.asked.borrow_mut();
            if !asked.contains(path) {
                asked.insert(path.clone());
            }
        }
        found
    }

    fn look_up(&self, path: &str) -> Option<(&String, &T)> {
        let find = |path: &str| self.files.get_key_value(self.aliases.get(path).map_or(path, String::as_str));
        find(path).or_else(|| match Role::of(path) {
            Role::Blob(digest) => find(self.shared.get(&digest)?),
            _ => None,
        })
    }

    /// The folders that have a file of this name; `""` is the archive itself.
    pub(crate) fn folders_with(&self, name: &str) -> Vec<String> {
        let folder = |path: &String| match path.strip_suffix(name)? {
            "" => Some(String::new()),
            folder => folder.strip_suffix('/').map(str::to_owned),
        };
        let mut folders: Vec<String> = self.files.keys().chain(self.aliases.keys()).filter_map(folder).collect();
        folders.sort();
        folders
    }

    /// All names, those of links last.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().chain(self.aliases.keys()).cloned().collect()
    }

    /// All files.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.files.iter()
    }
}
