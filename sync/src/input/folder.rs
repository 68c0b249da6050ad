//! Listing a folder: regular files by their relative path, with slashes. Symbolic links are followed only to files within
//! the folder, because a medium is untrusted and must not read other files of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};

const MAX_DEPTH: usize = 32;

/// A file of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Where it is; no link.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files below `root`, at most `max_files`. What is left out is reported to `warn`: its path and why.
pub(crate) fn list(
    root: &Path,
    max_files: u64,
    warn: &mut dyn FnMut(&Path, String),
) -> Result<BTreeMap<String, Listed>> {
    let real = root.canonicalize().map_err(Problem::Read)?;
    let mut files = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Problem::Read)? {
            let entry = entry.map_err(Problem::Read)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                warn(&folder, "a file whose name is not UTF-8 is left out".into());
                continue;
            };
            // Hidden files are left by desktops and version control.
            if name.starts_with('.') {
                continue;
            }
            let (path, key) = (entry.path(), format!("{prefix}{name}"));
            match classify(&entry, &real).map_err(Problem::Read)? {
                Class::File(size, target) => drop(files.insert(key, Listed { path: target.unwrap_or(path), size })),
                Class::Folder if depth < MAX_DEPTH => folders.push((path, format!("{key}/"), depth + 1)),
                Class::Folder => warn(&path, "a folder so deep is left out".into()),
                Class::LeftOut(why) => warn(&path, format!("left out: {why}")),
            }
            if files.len() as u64 > max_files {
                let cure = "give the bundle's own folder, or raise `ingest.limits.entries`";
                return Err(Problem::over("the number of files", max_files, cure));
            }
        }
    }
    Ok(files)
}

enum Class {
    /// Its size, and the file it links to.
    File(u64, Option<PathBuf>),
    Folder,
    LeftOut(&'static str),
}

fn classify(entry: &fs::DirEntry, root: &Path) -> io::Result<Class> {
    let mut metadata = entry.metadata()?;
    let mut linked = None;
    if metadata.is_symlink() {
        let target = match entry.path().canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Class::LeftOut("it links to nothing")),
            Err(error) => return Err(error),
        };
        if !target.starts_with(root) {
            return Ok(Class::LeftOut("it links to outside the folder"));
        }
        metadata = fs::metadata(&target)?;
        if metadata.is_dir() {
            return Ok(Class::LeftOut("it links to a folder"));
        }
        // Opened by this path: a link that changed since is not followed.
        linked = Some(target);
    }
    Ok(match metadata.file_type() {
        kind if kind.is_dir() => Class::Folder,
        kind if kind.is_file() => Class::File(metadata.len(), linked),
        _ => Class::LeftOut("it is a device or a named pipe"),
    })
}
