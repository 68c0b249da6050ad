//! The data folder itself: that it is ours and of which version, and that only one process uses it.

use std::cell::LazyCell;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checked_text::read;
use super::durable::{Batch, create_folder};
use super::entry::{close_to_others, create_or_open, look_at_file, objection, owner_of_new};
use super::error::{Context, DiskError, absent_is_none};
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
    /// There is no store, and none is to be made.
    #[error(
        "there is no store in `{}`, and one must be there already; is its disk mounted?", .0.display()
    )]
    NoStore(PathBuf),
    /// One of its fixed entries is not ours, or not what it must be.
    #[error("`{}` {reason}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What it is, and what to do.
        reason: String,
    },
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

/// Locks the folder for this process, checks it, and fills it when it is empty, unless a store `must_exist`.
pub(crate) fn open(layout: &Layout, must_exist: bool) -> Result<Lock, OpenError> {
    let (root, identity) = (layout.root(), layout.identity());
    if must_exist && look_at_file(&identity)?.is_none() {
        return Err(OpenError::NoStore(root.to_owned()));
    }
    let was_there = root.is_dir();
    create_folder(root)?;
    require_ours(layout)?;
    let lock = lock(layout)?;
    match read::<Identity>(&identity)? {
        Some(found) if found.version != VERSION => {
            return Err(OpenError::Version { data: root.to_owned(), found: found.version });
        }
        Some(_) => check(layout)?,
        None if is_empty(root)? => {
            create(layout)?;
            let path = root.display();
            if was_there {
                tracing::warn!(%path, "the data folder was empty, and a new store was made in it; if one was here, its disk is not mounted");
            } else {
                tracing::info!(%path, "made a new store");
            }
        }
        None => return Err(OpenError::NotAStore(root.to_owned())),
    }
    close(layout);
    empty(&layout.incoming())?;
    Ok(lock)
}

/// The entries of a data folder that are always at the same place, outer ones first, and whether each is a folder.
/// `metadata` is not among them: anything in its place is removed.
fn fixed(layout: &Layout) -> Vec<(PathBuf, bool)> {
    let files = [layout.lock(), layout.identity(), layout.sequence(), layout.metadata_seal()];
    let mut folders = vec![layout.incoming(), layout.damaged(), layout.uploads(), layout.repositories()];
    folders.extend([layout.releases(), layout.pending_releases()]);
    folders.extend(layout.blobs(Algorithm::Sha256).parent().map(Path::to_owned));
    folders.extend(Algorithm::ALL.iter().map(|algorithm| layout.blobs(*algorithm)));
    let files = files.into_iter().map(|path| (path, false));
    files.chain(folders.into_iter().map(|path| (path, true))).collect()
}

/// Nothing that is opened, emptied or walked by its place alone may lead out of the folder, block, or be another user's.
fn require_ours(layout: &Layout) -> Result<(), OpenError> {
    let (root, own) = (layout.root(), rustix::process::geteuid().as_raw());
    // The operator names it, so the way to it may have links.
    let folder = fs::metadata(root).on("look at", root)?;
    // Root takes care of the folders of others, as a command that is run with `sudo` does.
    let known = [own, 0, if own == 0 { folder.uid() } else { own }];
    let of_new = LazyCell::new(|| owner_of_new(&layout.probe()));
    let of_another = |found: u32| {
        let is_foreign = !known.contains(&found) && *of_new != Some(found);
        is_foreign.then(|| {
            format!(
                "belongs to user {found}, and this process is user {own}; run it as user {found}, or give all of the data \
                 folder to user {own}"
            )
        })
    };
    let foreign = |path: &Path, reason| Err(OpenError::Foreign { path: path.to_owned(), reason });
    if let Some(reason) = of_another(folder.uid()) {
        return foreign(root, reason);
    }
    for (path, is_folder) in fixed(layout) {
        let Some(found) = absent_is_none(fs::symlink_metadata(&path)).on("look at", &path)? else { continue };
        if let Some(reason) = objection(&found, is_folder).or_else(|| of_another(found.uid())) {
            return foreign(&path, reason);
        }
        // A file gets its name by a rename, which does not cross from one file system to another.
        if is_folder && found.dev() != folder.dev() {
            let reason = "is on another file system than the data folder; mount that one at the data folder itself";
            return foreign(&path, reason.to_owned());
        }
    }
    Ok(())
}

/// Takes the data folder from the group and others. What is deeper cannot be reached then, whatever its own mode: earlier
/// versions made blobs for everyone to read.
fn close(layout: &Layout) {
    let entries = std::iter::once(layout.root().to_owned()).chain(fixed(layout).into_iter().map(|(path, _)| path));
    let closed = entries.filter(|path| close_to_others(path)).count();
    if closed > 0 {
        tracing::info!(path = %layout.root().display(), "other users of this machine could read the data folder; its modes are 0700 and 0600 now");
    }
}

/// Keeps other processes out of a data folder, however this one ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    /// The folder itself: removing the file does not let a second process in. `None` where the file system cannot
    /// lock folders, as some shares.
    _folder: Option<File>,
}

fn lock(layout: &Layout) -> Result<Lock, OpenError> {
    let root = layout.root();
    let folder = File::open(root).on("open", root)?;
    let folder = match folder.try_lock() {
        Ok(()) => Some(folder),
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(root.to_owned())),
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "the data folder itself cannot be locked; its lock file is");
            None
        }
    };
    let path = layout.lock();
    let file = create_or_open(File::options().truncate(false).write(true), &path)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file, _folder: folder }),
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
        let held = open(&layout(&folder), false).unwrap();
        assert!(matches!(open(&layout(&folder), false), Err(OpenError::Locked(_))));
        drop(held);
        open(&layout(&folder), false).unwrap();
    }

    #[test]
    fn s09_a_folder_with_something_else_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/photos")).unwrap();
        assert!(matches!(open(&layout(&folder), false), Err(OpenError::NotAStore(_))));
        assert!(!folder.path().join("data/blobs").exists());
    }

    #[test]
    fn s09_a_store_whose_store_json_is_gone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder), false).unwrap());
        fs::write(folder.path().join("data/blobs/sha256/x"), b"content").unwrap();
        fs::remove_file(folder.path().join("data/store.json")).unwrap();
        assert!(matches!(open(&layout(&folder), false), Err(OpenError::NotAStore(_))));
    }

    #[test]
    fn s09_a_store_that_lost_its_blobs_folder_is_refused_and_not_created_anew() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder), false).unwrap());
        fs::remove_dir_all(folder.path().join("data/blobs")).unwrap();
        assert!(matches!(open(&layout(&folder), false), Err(OpenError::Incomplete(_))));
        assert!(!folder.path().join("data/blobs").exists());
    }

    #[test]
    fn a_first_start_that_was_cut_off_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/blobs/sha256")).unwrap();
        open(&layout(&folder), false).unwrap();
    }

    #[test]
    fn what_was_being_written_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder), false).unwrap());
        fs::write(folder.path().join("data/incoming/half"), b"x").unwrap();
        drop(open(&layout(&folder), false).unwrap());
        assert_eq!(fs::read_dir(folder.path().join("data/incoming")).unwrap().count(), 0);
    }

    #[test]
    fn another_layout_version_is_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder), false).unwrap());
        let later = super::super::checked_text::render(&Identity { version: 2, id: String::new() });
        fs::write(folder.path().join("data/store.json"), later).unwrap();
        assert!(matches!(open(&layout(&folder), false), Err(OpenError::Version { found: 2, .. })));
    }

    /// A store, and a folder beside it with a file in it.
    fn store_and_outside() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&layout(&folder), false).unwrap());
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), b"x").unwrap();
        (folder, outside)
    }

    fn refused(layout: &Layout, name: &str, word: &str) {
        let error = open(layout, false).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(&format!("data/{name}`")) && error.to_string().contains(word), "{error}");
    }

    #[test]
    fn d14_a_data_folder_that_leads_elsewhere_is_refused_by_name_and_nothing_outside_is_touched() {
        use std::os::unix::fs::symlink;
        for (name, is_folder) in fixed(&Layout::new("".into())) {
            let name = name.to_str().unwrap();
            for there in [true, false] {
                let (folder, outside) = store_and_outside();
                let path = folder.path().join("data").join(name);
                if is_folder {
                    let _ = fs::remove_dir_all(&path);
                } else {
                    let _ = fs::remove_file(&path);
                }
                let target = match (there, is_folder) {
                    (true, true) => outside.clone(),
                    (true, false) => outside.join("precious"),
                    (false, _) => outside.join("nowhere"),
                };
                symlink(&target, &path).unwrap();
                refused(&layout(&folder), name, "a symbolic link");
                assert_eq!(fs::read(outside.join("precious")).unwrap(), b"x");
                assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{name}");
                // An operator may have put the data folder itself elsewhere.
                fs::remove_file(&path).unwrap();
                if matches!(name, "incoming" | "damaged" | "lock" | "sequence" | "metadata.seal") {
                    symlink(folder.path().join("data"), folder.path().join("way")).unwrap();
                    open(&Layout::new(folder.path().join("way")), false).unwrap();
                }
            }
        }
    }

    #[test]
    fn d14_a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_at_once() {
        for name in ["lock", "store.json", "sequence", "metadata.seal"] {
            let (folder, _) = store_and_outside();
            let path = folder.path().join("data").join(name);
            let _ = fs::remove_file(&path);
            let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
            rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
            refused(&layout(&folder), name, "a named pipe");
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            refused(&layout(&folder), name, "a folder");
        }
    }

    #[test]
    fn d14_what_belongs_to_another_user_is_refused_with_both_users() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("NOT RUN: only root can give a file away");
        }
        for name in ["lock", "incoming", "blobs/sha256"] {
            let (folder, _) = store_and_outside();
            let path = folder.path().join("data").join(name);
            std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
            refused(&layout(&folder), name, "belongs to user 4711");
            // All of one other user's: root may take care of it.
            std::os::unix::fs::chown(folder.path().join("data"), Some(4711), None).unwrap();
            open(&layout(&folder), false).unwrap();
        }
    }

    #[test]
    fn s12_a_part_of_the_data_folder_on_another_file_system_is_refused_before_anything_is_pushed() {
        let (folder, _) = store_and_outside();
        let blobs = folder.path().join("data/blobs");
        let run = |command: &mut std::process::Command| command.output().is_ok_and(|output| output.status.success());
        let mount = |kind| run(std::process::Command::new("mount").args(["-t", kind, kind]).arg(&blobs));
        if !mount("tmpfs") {
            return eprintln!("NOT RUN: mounting needs root");
        }
        let opened = open(&layout(&folder), false);
        assert!(run(std::process::Command::new("umount").arg(&blobs)));
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("data/blobs` is on another file system"), "{error}");
        open(&layout(&folder), false).unwrap();
    }

    #[test]
    fn d21_a_new_store_is_for_its_own_user_alone_and_one_of_an_earlier_version_is_closed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&folder);
        let modes = || {
            let fixed = fixed(&layout).into_iter().map(|(path, _)| path);
            let all = std::iter::once(layout.root().to_owned()).chain(fixed).filter(|path| path.exists());
            all.map(|path| (path.clone(), fs::metadata(path).unwrap().permissions().mode() & 0o777)).collect::<Vec<_>>()
        };
        let closed = |modes: Vec<(PathBuf, u32)>| modes.iter().all(|(_, mode)| mode & 0o077 == 0);
        drop(open(&layout, false).unwrap());
        assert!(closed(modes()), "{:?}", modes());
        for (path, mode) in modes() {
            fs::set_permissions(path, fs::Permissions::from_mode(mode | mode >> 3 & 0o055 | mode >> 6 & 0o055))
                .unwrap();
        }
        assert!(!closed(modes()));
        drop(open(&layout, false).unwrap());
        assert!(closed(modes()), "{:?}", modes());
    }

    #[test]
    fn d27_where_a_store_must_exist_none_is_made_and_one_that_is_there_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&folder);
        assert!(matches!(open(&layout, true), Err(OpenError::NoStore(_))));
        assert!(!layout.root().exists(), "nor is its folder");
        // The mount point of a disk that is not mounted.
        fs::create_dir(layout.root()).unwrap();
        let error = open(&layout, true).unwrap_err();
        assert!(
            matches!(error, OpenError::NoStore(_)) && error.to_string().contains("is its disk mounted?"),
            "{error}"
        );
        assert_eq!(fs::read_dir(layout.root()).unwrap().count(), 0);
        drop(open(&layout, false).unwrap());
        open(&layout, true).unwrap();
    }
}
