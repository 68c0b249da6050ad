//! Writing so that it survives a power cut: temporary file, content, fsync, rename, fsync of the folder.
//!
//! The rename is the commit point; without the folder's fsync it can be undone by a power cut (measured: ext4 brings the
//! temporary name back).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checked_text::render;
use super::entry::{create_file, is_folder, make_folder};
use super::error::{Context, DiskError, absent_is_none};
use super::layout::Layout;

/// Syncs a folder, making the names in it durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DiskError> {
    // The parent of a relative name is an empty path and means the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).on("open", path)?.sync_all().on("sync", path)
}

/// Creates a folder and its missing parents, each durable in its own parent.
pub(crate) fn create_folder(path: &Path) -> Result<(), DiskError> {
    match make_folder(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
                return Err(error).on("create folder", path);
            };
            create_folder(parent)?;
            create_folder(path)
        }
        Err(error) => Err(error).on("create folder", path),
    }
}

/// Files that are put in place one by one and become durable together, in [`Batch::commit`]: one fsync per folder rather
/// than one per file. A power cut before leaves each file as it was or as it will be, never in between.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    layout: &'a Layout,
    folders: BTreeSet<PathBuf>,
}

impl<'a> Batch<'a> {
    /// An empty batch. Temporary files go to the layout's `incoming` folder.
    pub(crate) const fn new(layout: &'a Layout) -> Self {
        Self { layout, folders: BTreeSet::new() }
    }

    /// Puts `content` at `path`, replacing what is there.
    pub(crate) fn write(&mut self, path: &Path, content: &[u8]) -> Result<(), DiskError> {
        let temporary = self.layout.temporary();
        let written = Self::write_temporary(&temporary, content).and_then(|()| {
            let folder = path.parent().unwrap_or(path);
            if !is_folder(self.layout.root(), folder)? {
                create_folder(folder)?;
            }
            fs::rename(&temporary, path).on("put in place", path)?;
            self.folders.insert(folder.to_owned());
            Ok(())
        });
        if written.is_err() {
            // Best effort: the next start removes what is left.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Puts the text of a record at `path`, replacing what is there.
    pub(crate) fn write_record(&mut self, path: &Path, record: &impl Serialize) -> Result<(), DiskError> {
        self.write(path, &render(record))
    }

    fn write_temporary(temporary: &Path, content: &[u8]) -> Result<(), DiskError> {
        let mut file = create_file(temporary)?;
        file.write_all(content).on("write", temporary)?;
        file.sync_all().on("sync", temporary)
    }

    /// Removes the file at `path`; says whether there was one.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<bool, DiskError> {
        if let Some(folder) = path.parent()
            && !is_folder(self.layout.root(), folder)?
        {
            return Ok(false);
        }
        let removed = absent_is_none(fs::remove_file(path)).on("remove", path)?.is_some();
        if removed && let Some(folder) = path.parent() {
            self.folders.insert(folder.to_owned());
        }
        Ok(removed)
    }

    /// Syncs a folder with the others although nothing of this batch is in it.
    pub(crate) fn also_sync(&mut self, folder: &Path) {
        self.folders.insert(folder.to_owned());
    }

    /// Makes everything since the start durable.
    pub(crate) fn commit(self) -> Result<(), DiskError> {
        self.folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_temporary_one() {
        let data = tempfile::tempdir().unwrap();
        let layout = Layout::new(data.path().to_owned());
        create_folder(&layout.incoming()).unwrap();
        let path = data.path().join("a/b/link");
        for content in [&b"first"[..], b"second"] {
            let mut batch = Batch::new(&layout);
            batch.write(&path, content).unwrap();
            batch.commit().unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(layout.incoming()).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_names_the_file_and_leaves_the_old_one() {
        let data = tempfile::tempdir().unwrap();
        let layout = Layout::new(data.path().to_owned());
        create_folder(&layout.incoming()).unwrap();
        // A folder stands where the file would go.
        let path = data.path().join("taken");
        create_folder(&path.join("inside")).unwrap();
        let error = Batch::new(&layout).write(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(layout.incoming()).unwrap().count(), 0);
    }
}
