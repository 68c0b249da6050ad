//! What may be in a data folder: folders and regular files, of the user that runs the registry.
//!
//! A folder that came from elsewhere may hold anything. A symbolic link would lead reads, writes and removals out of it, a
//! pipe would block whatever opens it, and what belongs to another user can be changed by that user at any time.

use std::fs::{self, DirBuilder, File, FileType, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::{Context, DiskError, absent_is_none};

/// What an operator can do about an entry that must not be there.
const CURE: &str = "move it away, and restore what belongs there from a copy";

/// The permissions of a file and of a folder: for its own user alone. The registry decides which client may read what, not
/// the file system.
const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;
const OTHERS: u32 = 0o077;

/// Opens a regular file for reading; `None` where there is nothing. Anything else in its place counts as damage.
pub(crate) fn open_file(path: &Path) -> Result<Option<(File, Metadata)>, DiskError> {
    open_file_with(OpenOptions::new().read(true), path)
}

/// As [`open_file`], with other options. A file that is created is for its own user alone.
pub(crate) fn open_file_with(options: &mut OpenOptions, path: &Path) -> Result<Option<(File, Metadata)>, DiskError> {
    // Not through a link, and without waiting for the other end of a pipe.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = match absent_is_none(options.mode(FILE).custom_flags(flags).open(path)) {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NXIO)) => {
            return Err(DiskError::damaged(path, format!("it is a link or a pipe and no file; {CURE}")));
        }
        opened => opened.on("open", path)?,
    };
    let Some(file) = opened else { return Ok(None) };
    let metadata = file.metadata().on("look at", path)?;
    if metadata.is_file() { Ok(Some((file, metadata))) } else { Err(not_a_file(path, metadata.file_type())) }
}

/// As [`open_file_with`], and creates the file where there is none.
pub(crate) fn create_or_open(options: &mut OpenOptions, path: &Path) -> Result<File, DiskError> {
    match open_file_with(options.create(true), path)? {
        Some((file, _)) => Ok(file),
        // Its folder is gone.
        None => Err(io::Error::from(io::ErrorKind::NotFound)).on("create", path),
    }
}

/// The metadata of a regular file; `None` where there is nothing. Anything else in its place counts as damage.
pub(crate) fn look_at_file(path: &Path) -> Result<Option<Metadata>, DiskError> {
    match absent_is_none(fs::symlink_metadata(path)).on("look for", path)? {
        Some(metadata) if !metadata.is_file() => Err(not_a_file(path, metadata.file_type())),
        found => Ok(found),
    }
}

fn not_a_file(path: &Path, found: FileType) -> DiskError {
    DiskError::damaged(path, format!("it is {} and no file; {CURE}", kind(found)))
}

/// Creates a file that must not exist yet. A link in its place counts as existing.
pub(crate) fn create_file(path: &Path) -> Result<File, DiskError> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(FILE).open(path).on("create", path)
}

/// Creates a folder in one that exists.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(path)
}

/// Whether the folder at `path`, below `root`, is there. A link, or anything else that is no folder, on the way to it
/// counts as damage. To be asked before something is written, removed or listed deep inside the data folder.
pub(crate) fn is_folder(root: &Path, path: &Path) -> Result<bool, DiskError> {
    let (mut current, below) = (root.to_owned(), path.strip_prefix(root).unwrap_or(path));
    for component in below {
        current.push(component);
        match absent_is_none(fs::symlink_metadata(&current)).on("look at", &current)? {
            Some(metadata) if !metadata.is_dir() => {
                let found = kind(metadata.file_type());
                return Err(DiskError::damaged(&current, format!("it is {found} and no folder; {CURE}")));
            }
            Some(_) => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Why what has this metadata cannot stand in the place of a folder, or of a file; `None` if it can.
pub(super) fn objection(found: &Metadata, is_folder: bool) -> Option<String> {
    let (fits, wanted) = if is_folder { (found.is_dir(), "folder") } else { (found.is_file(), "file") };
    (!fits).then(|| format!("is {} and no {wanted}; {CURE}", kind(found.file_type())))
}

/// The user that a new file belongs to. On a network share, the server may put another user in the place of this process's.
/// `None` where none can be made.
pub(super) fn owner_of_new(path: &Path) -> Option<u32> {
    let owner = create_file(path).ok()?.metadata().ok().map(|metadata| metadata.uid());
    let _ = fs::remove_file(path);
    owner
}

/// Takes the permissions of group and others from an entry; says whether there were any. It may belong to root, in a volume
/// that a group shares: then it stays as it is.
pub(super) fn close_to_others(path: &Path) -> bool {
    let mode = match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_symlink() => metadata.mode(),
        _ => return false,
    };
    mode & OTHERS != 0 && fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS)).is_ok()
}

fn kind(found: FileType) -> &'static str {
    if found.is_symlink() {
        "a symbolic link"
    } else if found.is_dir() {
        "a folder"
    } else if found.is_file() {
        "a file"
    } else if found.is_fifo() {
        "a named pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn damaged<T: std::fmt::Debug>(result: Result<T, DiskError>, word: &str) {
        let error = result.unwrap_err();
        assert!(matches!(error, DiskError::Damaged { .. }) && error.to_string().contains(word), "{error}");
    }

    #[test]
    fn d14_what_is_no_regular_file_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("outside"), "secret").unwrap();
        symlink(at("outside"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["link", "dangling", "pipe", "folder"] {
            damaged(open_file(&at(name)), name);
            damaged(look_at_file(&at(name)), name);
        }
        for name in ["link", "dangling", "pipe"] {
            damaged(open_file_with(OpenOptions::new().write(true).create(true), &at(name)), name);
            assert!(create_file(&at(name)).is_err(), "{name}");
        }
        assert!(!at("nowhere").exists());
        assert!(open_file(&at("absent")).unwrap().is_none() && look_at_file(&at("absent")).unwrap().is_none());
        assert_eq!(open_file(&at("outside")).unwrap().unwrap().1.len(), 6);
    }

    #[test]
    fn d14_a_folder_behind_a_link_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::create_dir_all(folder.path().join("outside/deep")).unwrap();
        symlink(folder.path().join("outside"), root.join("link")).unwrap();
        assert!(is_folder(&root, &root.join("real/deep")).unwrap());
        assert!(!is_folder(&root, &root.join("real/absent/deeper")).unwrap());
        damaged(is_folder(&root, &root.join("link/deep")), "data/link");
        // The operator's own way to the data folder may be a link.
        symlink(&root, folder.path().join("way")).unwrap();
        let way = folder.path().join("way");
        assert!(is_folder(&way, &way.join("real/deep")).unwrap());
    }

    #[test]
    fn d21_what_is_made_is_for_its_own_user_alone_and_what_was_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let (file, inside) = (folder.path().join("file"), folder.path().join("folder"));
        drop(create_file(&file).unwrap());
        make_folder(&inside).unwrap();
        assert_eq!((mode(&file), mode(&inside)), (0o600, 0o700));
        let probe = folder.path().join("probe");
        assert_eq!(owner_of_new(&probe), Some(rustix::process::geteuid().as_raw()));
        assert!(!probe.exists() && owner_of_new(&file).is_none() && file.exists());
        // A folder for a group keeps the bit that hands the group down.
        fs::set_permissions(&inside, Permissions::from_mode(0o2775)).unwrap();
        assert!(close_to_others(&inside) && !close_to_others(&inside));
        assert_eq!(mode(&inside), 0o2700);
    }
}
