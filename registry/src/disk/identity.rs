//! The data folder itself: that it is ours and of which version, and that only one process uses it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checked_text::read;
use super::durable::{Batch, create_folder};
use super::error::{Context, DiskError};
use super::layout::Layout;
use crate::oci::Algorithm;

/// The version of the layout this program reads and writes.
const VERSION: u32 = 1;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error("`{}` is in use by another airdock process; stop it, or let it do the work", .0.display())]
    Locked(PathBuf),
    /// It is not empty and has no `store.json`.
    #[error(
        "`{}` is not empty and has no `store.json`, so it is not a store of ours; is the volume mounted? \
         Give an empty folder, or restore `store.json`", .0.display()
    )]
    NotAStore(PathBuf),
    /// Another version wrote it.
    #[error(
        "`{}` has layout version {found} and this program knows {VERSION}; use the version that wrote it", data.display()
    )]
    Version {
        /// The data folder.
        data: PathBuf,
        /// The version found.
        found: u32,
    },
    /// One of its folders is missing.
    #[error(
        "`{}` is missing from a store that exists; restore it from a copy, nothing is created in its place", .0.display()
    )]
    Incomplete(PathBuf),
    /// The runtime stopped before it was open.
    #[error("the process is stopping")]
    Stopping,
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

#[derive(Serialize, Deserialize)]
struct Identity {
    version: u32,
    id: String,
}

/// Locks the folder for this process, checks it, and fills it when it is empty.
pub(crate) fn open(layout: &Layout) -> Result<File, OpenError> {
    let root = layout.root();
    create_folder(root)?;
    let lock = lock(layout)?;
    let identity = layout.identity();
    match read::<Identity>(&identity)? {
        Some(found) if found.version != VERSION => {
            return Err(OpenError::Version { data: root.to_owned(), found: found.version });
        }
        Some(_) => check(layout)?,
        None if is_empty(root)? => create(layout)?,
        None => return Err(OpenError::NotAStore(root.to_owned())),
    }
    empty(&layout.incoming())?;
    Ok(lock)
}

fn lock(layout: &Layout) -> Result<File, OpenError> {
    let path = layout.lock();
    let file = File::options().create(true).truncate(false).write(true).open(&path).on("open", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(layout.root().to_owned())),
        Err(TryLockError::Error(error)) => Err(error).on("lock", &path).map_err(Into::into),
    }
}

/// Whether there is nothing in it but our lock, what a file system itself creates, and the empty folders of a first start
/// that was interrupted before it wrote `store.json`.
fn is_empty(root: &Path) -> Result<bool, DiskError> {
    for entry in fs::read_dir(root).on("list", root)? {
        let entry = entry.on("list", root)?;
        let name = entry.file_name();
        let ours = matches!(name.to_str(), Some("blobs" | "uploads" | "repositories" | "releases"));
        if !(name == "lock" || name == "lost+found" || name == "incoming" || ours && has_no_file(&entry.path())?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_no_file(folder: &Path) -> Result<bool, DiskError> {
    for entry in fs::read_dir(folder).on("list", folder)? {
        let entry = entry.on("list", folder)?;
        if !entry.file_type().on("look at", folder)?.is_dir() || !has_no_file(&entry.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn folders(layout: &Layout) -> Vec<PathBuf> {
    let mut folders: Vec<_> = Algorithm::ALL.iter().map(|algorithm| layout.blobs(*algorithm)).collect();
    folders.extend([layout.uploads(), layout.repositories(), layout.pending_releases()]);
    folders
}

fn check(layout: &Layout) -> Result<(), OpenError> {
    create_folder(&layout.incoming())?;
    match folders(layout).into_iter().find(|folder| !folder.is_dir()) {
        Some(missing) => Err(OpenError::Incomplete(missing)),
        None => Ok(()),
    }
}

/// `store.json` comes last and makes it a store: a start that was interrupted before it is repeated.
fn create(layout: &Layout) -> Result<(), DiskError> {
    create_folder(&layout.incoming())?;
    for folder in folders(layout) {
        create_folder(&folder)?;
    }
    let identity = Identity { version: VERSION, id: uuid::Uuid::new_v4().to_string() };
    let mut batch = Batch::new(layout);
    batch.write_record(&layout.identity(), &identity)?;
    batch.commit()
}

/// Removes what an earlier process was writing when it ended.
fn empty(incoming: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(incoming).on("list", incoming)? {
        let path = entry.on("list", incoming)?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.on("remove", &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &tempfile::TempDir) -> Layout {
        Layout::new(folder.path().join("data"))
    }

    #[test]
    fn s10_a_second_process_is_refused_while_the_first_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = open(&layout(&folder)).unwrap();
        assert!(matches!(open(&layout(&folder)), Err(OpenError::Locked(_))));
        drop(held);
        open(&layout(&folder)).unwrap();
    }

    #[test]
    fn s09_a_folder_with_something_else_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/photos")).unwrap();
        assert!(matches!(open(&layout(&folder)), Err(OpenError::NotAStore(_))));
        assert!(!folder.path().join("data/blobs").exists());
    }

    #[test]
    fn s09_a_store_whose_store_json_is_gone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder)).unwrap());
        fs::write(folder.path().join("data/blobs/sha256/x"), b"content").unwrap();
        fs::remove_file(folder.path().join("data/store.json")).unwrap();
        assert!(matches!(open(&layout(&folder)), Err(OpenError::NotAStore(_))));
    }

    #[test]
    fn s09_a_store_that_lost_its_blobs_folder_is_refused_and_not_created_anew() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder)).unwrap());
        fs::remove_dir_all(folder.path().join("data/blobs")).unwrap();
        assert!(matches!(open(&layout(&folder)), Err(OpenError::Incomplete(_))));
        assert!(!folder.path().join("data/blobs").exists());
    }

    #[test]
    fn a_first_start_that_was_cut_off_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/blobs/sha256")).unwrap();
        open(&layout(&folder)).unwrap();
    }

    #[test]
    fn what_was_being_written_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder)).unwrap());
        fs::write(folder.path().join("data/incoming/half"), b"x").unwrap();
        drop(open(&layout(&folder)).unwrap());
        assert_eq!(fs::read_dir(folder.path().join("data/incoming")).unwrap().count(), 0);
    }

    #[test]
    fn another_layout_version_is_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder)).unwrap());
        let later = super::super::checked_text::render(&Identity { version: 2, id: String::new() });
        fs::write(folder.path().join("data/store.json"), later).unwrap();
        assert!(matches!(open(&layout(&folder)), Err(OpenError::Version { found: 2, .. })));
    }
}
