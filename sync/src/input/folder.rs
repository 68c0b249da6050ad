//! Listing a folder: regular files by their relative path, with slashes. Symbolic links are followed only to files within
//! the folder, because a medium is untrusted and must not read other files of this machine.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::leftovers::{self, LeftOut, NOT_UTF8};
use super::links::dead;
use crate::problem::{Problem, Result};

/// Where a repair of a file system puts what it saves. Only root may look into it.
const LOST_AND_FOUND: &str = "lost+found";

/// A file of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Where it is; no link.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<String, Listed>,
    /// Other names of these files: links to them. A file that links lead to and that is not listed itself is listed under
    /// the first of them.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// What is said while a folder is listed, with the path it is about.
pub(crate) enum Said {
    /// It is left out, and why.
    LeftOut(&'static str),
    /// It cannot be read, with whatever is in it.
    Unreadable(io::Error),
}

/// The files below `root`, at most `max_files`. What is not among them is told.
pub(crate) fn list(root: &Path, max_files: u64, tell: &mut dyn FnMut(&Path, Said)) -> Result<Listing> {
    let real = root.canonicalize().map_err(Problem::Read)?;
    let mut walk = Walk { real, tell, found: BTreeMap::new(), links: BTreeMap::new() };
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Without the root there is nothing.
            Err(error) if depth == 0 => return Err(Problem::Read(error)),
            Err(error) => {
                (walk.tell)(&folder, Said::Unreadable(error));
                continue;
            }
        };
        for entry in entries {
            let (name, path) = match entry {
                Ok(entry) => (entry.file_name(), entry.path()),
                Err(error) => {
                    (walk.tell)(&folder, Said::Unreadable(error));
                    break;
                }
            };
            if let Some(key) = walk.entry(&name, path.clone(), &prefix, depth) {
                folders.push((path, format!("{key}/"), depth + 1));
            }
            if (walk.found.len() + walk.links.len()) as u64 > max_files {
                let cure = "give the bundle's own folder, or raise `ingest.limits.entries`";
                return Err(Problem::over("the number of files", max_files, cure));
            }
        }
    }
    Ok(walk.listing())
}

struct Walk<'w> {
    /// The root, without links.
    real: PathBuf,
    tell: &'w mut dyn FnMut(&Path, Said),
    /// With what tells whether two names are one file, where they may be.
    found: BTreeMap<String, (Listed, Option<(u64, u64)>)>,
    /// With the files that symbolic links lead to.
    links: BTreeMap<String, Listed>,
}

impl Walk<'_> {
    /// Takes one entry. Returns its key if it is a folder to be walked.
    fn entry(&mut self, name: &OsString, path: PathBuf, prefix: &str, depth: usize) -> Option<String> {
        let Some(name) = name.to_str() else {
            (self.tell)(&path, Said::LeftOut(NOT_UTF8));
            return None;
        };
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                (self.tell)(&path, Said::Unreadable(error));
                return None;
            }
        };
        match leftovers::judge(name, depth, metadata.is_dir()) {
            None => {}
            Some(LeftOut::Silently) => {
                // It may hold what a repair of the file system has saved.
                let lost = if name == LOST_AND_FOUND { fs::read_dir(&path).err() } else { None };
                if lost.is_some() {
                    (self.tell)(
                        &path,
                        Said::LeftOut("it cannot be read; a repair of the file system puts files there"),
                    );
                }
                return None;
            }
            Some(LeftOut::Because(why)) => {
                (self.tell)(&path, Said::LeftOut(why));
                return None;
            }
        }
        let key = format!("{prefix}{name}");
        let kind = metadata.file_type();
        match () {
            () if kind.is_dir() => return Some(key),
            () if kind.is_symlink() => match self.follow(&path) {
                Ok(file) => drop(self.links.insert(key, file)),
                Err(said) => (self.tell)(&path, said),
            },
            () if kind.is_file() => {
                let identity = (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()));
                self.found.insert(key, (Listed { path, size: metadata.len() }, identity));
            }
            () => (self.tell)(&path, Said::LeftOut(dead::SPECIAL)),
        }
        None
    }

    /// The file that a symbolic link leads to.
    fn follow(&self, path: &Path) -> Result<Listed, Said> {
        let looked = path.canonicalize().and_then(|target| Ok((fs::metadata(&target)?, target)));
        let (metadata, path): (Metadata, PathBuf) = looked.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if self.leaves(path) => Said::LeftOut(dead::OUTSIDE),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Said::LeftOut(dead::NOTHING),
            _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => Said::LeftOut(dead::LOOP),
            _ => Said::Unreadable(error),
        })?;
        match metadata.file_type() {
            _ if !path.starts_with(&self.real) => Err(Said::LeftOut(dead::OUTSIDE)),
            kind if kind.is_dir() => Err(Said::LeftOut(dead::FOLDER)),
            // Opened by this path: a link that changed since is not followed.
            kind if kind.is_file() => Ok(Listed { path, size: metadata.len() }),
            _ => Err(Said::LeftOut(dead::SPECIAL)),
        }
    }

    /// Whether a link that leads to nothing leads out of the root: what is there is none of the bundle's business.
    fn leaves(&self, path: &Path) -> bool {
        let Ok(target) = fs::read_link(path) else { return false };
        let Some(folder) = path.parent().and_then(|folder| folder.canonicalize().ok()) else { return false };
        let mut at = folder;
        for part in target.components() {
            match part {
                Component::ParentDir => drop(at.pop()),
                Component::Normal(name) => at.push(name),
                Component::RootDir | Component::Prefix(_) => return true,
                Component::CurDir => {}
            }
            if !at.starts_with(&self.real) {
                return true;
            }
        }
        false
    }

    fn listing(self) -> Listing {
        let mut listing = Listing::default();
        let mut names: HashMap<(u64, u64), String> = HashMap::new();
        for (key, (file, identity)) in self.found {
            match identity.map(|identity| names.entry(identity).or_insert_with(|| key.clone())) {
                Some(first) if *first != key => drop(listing.aliases.insert(key, first.clone())),
                _ => drop(listing.files.insert(key, file)),
            }
        }
        // By the real paths: those of the listed files are below the root as it was given.
        let mut unlisted: HashMap<PathBuf, String> = HashMap::new();
        for (key, file) in self.links {
            let inside = file.path.strip_prefix(&self.real).ok().and_then(Path::to_str);
            let listed = inside.and_then(|inside| match listing.aliases.get(inside) {
                Some(first) => Some(first.clone()),
                None => listing.files.contains_key(inside).then(|| inside.to_owned()),
            });
            match listed.or_else(|| unlisted.get(&file.path).cloned()) {
                Some(target) => drop(listing.aliases.insert(key, target)),
                None => {
                    unlisted.insert(file.path.clone(), key.clone());
                    listing.files.insert(key, file);
                }
            }
        }
        listing
    }
}
