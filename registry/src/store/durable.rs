//! Writing so that it survives a power cut: temporary file, content, fsync, rename, fsync of the folder.
//!
//! The rename is the commit point; without the folder's fsync it can be undone by a power cut (measured: ext4 brings the
//! temporary name back).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::error::{Context, StoreError, absent_is_none};

/// Syncs a folder, making the names in it durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    // The parent of a relative name is written as nothing, and is the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).on("open", path)?.sync_all().on("sync", path)
}

/// Creates a folder and its missing parents, each durable in its own parent.
pub(crate) fn create_folder(path: &Path) -> Result<(), StoreError> {
    match fs::create_dir(path) {
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

/// Creates a file that must not exist yet.
pub(crate) fn create_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).create_new(true).mode_0600().open(path).on("create", path)
}

trait Mode {
    fn mode_0600(&mut self) -> &mut Self;
}

impl Mode for OpenOptions {
    /// What a registry holds is served after its own checks, not by the file system's grace.
    fn mode_0600(&mut self) -> &mut Self {
        std::os::unix::fs::OpenOptionsExt::mode(self, 0o600)
    }
}

/// Files with their contents, to be put in place one by one, durable together at the end: one fsync per folder rather
/// than one per file.
///
/// # Durability
/// Nothing is promised before [`Batch::commit`] returned. A power cut before leaves each file as it was or as it will
/// be, never in between.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    incoming: &'a Path,
    folders: std::collections::BTreeSet<std::path::PathBuf>,
}

impl<'a> Batch<'a> {
    /// Temporary files go to `incoming`, which must be on the same file system.
    pub(crate) const fn new(incoming: &'a Path) -> Self {
        Self { incoming, folders: std::collections::BTreeSet::new() }
    }

    /// Puts `content` at `path`, replacing what is there.
    pub(crate) fn write(&mut self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let temporary = self.incoming.join(uuid::Uuid::new_v4().to_string());
        let written = Self::write_temporary(&temporary, content).and_then(|()| {
            let folder = path.parent().unwrap_or(path);
            create_folder(folder)?;
            fs::rename(&temporary, path).on("put in place", path)?;
            self.folders.insert(folder.to_owned());
            Ok(())
        });
        if written.is_err() {
            // Best effort: what stays is swept at the next start.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn write_temporary(temporary: &Path, content: &[u8]) -> Result<(), StoreError> {
        let mut file = create_file(temporary)?;
        file.write_all(content).on("write", temporary)?;
        file.sync_all().on("sync", temporary)
    }

    /// Removes the file at `path`; says whether there was one.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<bool, StoreError> {
        let removed = absent_is_none(fs::remove_file(path)).on("remove", path)?.is_some();
        if removed && let Some(folder) = path.parent() {
            self.folders.insert(folder.to_owned());
        }
        Ok(removed)
    }

    /// Makes everything since the start durable.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        self.folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_temporary_one() {
        let data = tempfile::tempdir().unwrap();
        let incoming = data.path().join("incoming");
        create_folder(&incoming).unwrap();
        let path = data.path().join("a/b/link");
        for content in [&b"first"[..], b"second"] {
            let mut batch = Batch::new(&incoming);
            batch.write(&path, content).unwrap();
            batch.commit().unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_names_the_file_and_leaves_the_old_one() {
        let data = tempfile::tempdir().unwrap();
        let incoming = data.path().join("incoming");
        create_folder(&incoming).unwrap();
        // A folder stands where the file would go.
        let path = data.path().join("taken");
        create_folder(&path.join("inside")).unwrap();
        let error = Batch::new(&incoming).write(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    }
}
