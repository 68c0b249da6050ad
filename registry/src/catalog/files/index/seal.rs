//! The seal: whether the index's folder is byte for byte what the last clean stop left.
//!
//! The database detects much damage to its files, but not a missing tail, and after a power cut it may open without an
//! error and be empty. So only a folder that matches its seal is opened, and opening breaks the seal. A folder restored
//! from an older copy together with its seal matches in content but misses later changes; its inodes and ctimes show that
//! it is a copy.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{Context, DiskError, absent_is_none, create_file, hash_file, open_file, parse, render, sync_folder};
use crate::oci::{Algorithm, Digest};

/// The largest seal that is read, in bytes: some hundred for each file of the database.
const MAX_SIZE: u64 = 16 << 20;

/// The version of the keys and values in the folder.
const VERSION: u32 = 3;

#[derive(PartialEq, Serialize, Deserialize)]
struct Seal {
    /// Which keys and values this program writes; another version rebuilds the folder.
    version: u32,
    /// Which folder it is.
    folder: Original,
    /// Each file below the folder: its content, and which file it is.
    files: BTreeMap<String, (Digest, Original)>,
}

/// Tells a file or folder from every copy of it: no program can set these.
#[derive(PartialEq, Serialize, Deserialize)]
struct Original {
    inode: u64,
    changed: (i64, i64),
}

impl Original {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

/// Whether the folder is what was sealed. A folder that cannot be read is not.
pub(super) fn holds(folder: &Path, seal: &Path) -> bool {
    let Ok(Some((file, _))) = open_file(seal) else { return false };
    let mut text = Vec::new();
    if file.take(MAX_SIZE).read_to_end(&mut text).is_err() {
        return false;
    }
    let Ok(stated) = parse::<Seal>(&text, seal) else { return false };
    // A link to a folder is not the folder that was sealed.
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir());
    is_folder && take(folder, false).is_ok_and(|found| found == stated)
}

/// Syncs the folder's files and writes their seal.
pub(super) fn write(folder: &Path, seal: &Path) -> Result<(), DiskError> {
    let text = render(&take(folder, true)?);
    let temporary = seal.with_extension("new");
    // What a stop that was cut off left, or something that was put there.
    absent_is_none(fs::remove_file(&temporary)).on("remove", &temporary)?;
    let mut file = create_file(&temporary)?;
    file.write_all(&text).on("write", &temporary)?;
    file.sync_all().on("sync", &temporary)?;
    fs::rename(&temporary, seal).on("put in place", seal)?;
    seal.parent().map_or(Ok(()), sync_folder)
}

/// Breaks the seal, durably: after a power cut the folder must not look sealed.
pub(super) fn remove(seal: &Path) -> Result<(), DiskError> {
    match absent_is_none(fs::remove_file(seal)).on("remove", seal)? {
        Some(()) => seal.parent().map_or(Ok(()), sync_folder),
        None => Ok(()),
    }
}

/// Removes the folder, or a file in its place.
pub(super) fn remove_folder(folder: &Path) -> Result<(), DiskError> {
    match absent_is_none(fs::symlink_metadata(folder)).on("look at", folder)? {
        None => Ok(()),
        Some(metadata) if metadata.is_dir() => fs::remove_dir_all(folder).on("remove", folder),
        Some(_) => fs::remove_file(folder).on("remove", folder),
    }
}

fn take(folder: &Path, sync: bool) -> Result<Seal, DiskError> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).on("list", &current)? {
            let entry = entry.on("list", &current)?;
            let path = entry.path();
            if entry.file_type().on("look at", &path)?.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let Some((file, metadata)) = open_file(&path)? else { continue };
            let original = Original::of(&metadata);
            files.insert(name, (hash_file(&file, Algorithm::Sha256, &path)?.finish(), original));
            if sync {
                file.sync_all().on("sync", &path)?;
            }
        }
        if sync {
            sync_folder(&current)?;
        }
    }
    let original = Original::of(&fs::symlink_metadata(folder).on("look at", folder)?);
    Ok(Seal { version: VERSION, folder: original, files })
}
