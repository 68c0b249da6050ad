//! Listing a folder: regular files within it, by their path with slashes. Symbolic links are followed to files within
//! the folder and nowhere else, because a medium comes from a stranger and this machine's files are not on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::intake::Intake;
use super::problem::Problem;
use super::shelf::Spot;

const MAX_DEPTH: usize = 32;

/// The files below `root`, and their bytes together.
pub(crate) fn list(intake: &mut Intake<'_>, root: &Path) -> Result<(BTreeMap<String, Spot>, u64), Problem> {
    let real = root.canonicalize().map_err(Problem::Read)?;
    let mut files = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    let mut total = 0;
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Problem::Read)? {
            let entry = entry.map_err(Problem::Read)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                intake.warn(&folder.display().to_string(), "a file whose name is not UTF-8 is left out");
                continue;
            };
            // What desktops and version control leave behind.
            if name.starts_with('.') {
                continue;
            }
            let (path, key) = (entry.path(), format!("{prefix}{name}"));
            match kind(&entry, &real).map_err(Problem::Read)? {
                Sort::File(size) => {
                    total += size;
                    files.insert(key, Spot::File { path, size });
                }
                Sort::Folder if depth < MAX_DEPTH => folders.push((path, format!("{key}/"), depth + 1)),
                Sort::Folder => intake.warn(&path.display().to_string(), "a folder so deep is left out"),
                Sort::Left(why) => intake.warn(&path.display().to_string(), format!("left out: {why}")),
            }
            if files.len() as u64 > intake.limits.entries {
                return Err(Problem::OverLimit {
                    what: "the number of files".into(),
                    limit: intake.limits.entries.to_string(),
                    cure: "give the bundle's own folder, or raise `ingest.limits.entries`",
                });
            }
        }
    }
    Ok((files, total))
}

enum Sort {
    File(u64),
    Folder,
    Left(&'static str),
}

fn kind(entry: &fs::DirEntry, root: &Path) -> io::Result<Sort> {
    let mut metadata = entry.metadata()?;
    if metadata.is_symlink() {
        let target = match entry.path().canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sort::Left("it links to nothing")),
            Err(error) => return Err(error),
        };
        if !target.starts_with(root) {
            return Ok(Sort::Left("it links to outside the folder"));
        }
        metadata = fs::metadata(&target)?;
        if metadata.is_dir() {
            return Ok(Sort::Left("it links to a folder"));
        }
    }
    Ok(match metadata.file_type() {
        kind if kind.is_dir() => Sort::Folder,
        kind if kind.is_file() => Sort::File(metadata.len()),
        _ => Sort::Left("it is a device or a named pipe"),
    })
}

/// Where a chart's provenance file lies: beside it, as `helm push` looks for it.
pub(crate) fn beside(chart: &Path) -> Option<PathBuf> {
    let mut name = chart.file_name()?.to_owned();
    name.push(".prov");
    Some(chart.with_file_name(name))
}
