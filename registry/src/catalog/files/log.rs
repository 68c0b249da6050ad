//! The release log: an entry for every change of many tags at once.
//!
//! All tags of an entry change at one moment: its rename into `releases/pending`. Then they are written to their links,
//! again at the next start if that was interrupted, and the entry moves to `releases`, where it stays.

use std::fs;
use std::path::{Path, PathBuf};

use crate::catalog::release::ReleaseRecord;
use crate::disk::{Batch, Context, DiskError, Layout, absent_is_none, open_file, parse, render, sync_folder};

/// The largest entry written or read, in bytes: several hundred thousand tags.
pub(crate) const MAX_RECORD: u64 = 256 << 20;

/// The entries of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseLog {
    pub(super) layout: Layout,
}

impl ReleaseLog {
    /// Commits an entry, durably. From here on it overrides the links of its tags. An error means that it is not committed.
    pub(crate) fn commit(&self, record: &ReleaseRecord) -> Result<(), DiskError> {
        let path = self.layout.pending_release(record.id);
        let Err(error) = self.write(&path, record) else { return Ok(()) };
        // An entry that was refused must not be applied at the next start.
        let removed = absent_is_none(fs::remove_file(&path));
        if removed.is_err() && matches!(read(&path), Ok(Some(_))) {
            // It can neither be made durable nor be taken back, and a start would apply it: so it counts.
            tracing::error!(entry = record.id, %error, "a release is in effect, but a power cut may undo it");
            return Ok(());
        }
        // Best effort: the disk has just refused something.
        let _ = sync_folder(&self.layout.pending_releases());
        Err(error)
    }

    /// Moves an entry out of `pending`, durably: its links are written and synced.
    pub(crate) fn settle(&self, id: u64) -> Result<(), DiskError> {
        let settled = self.layout.release(id);
        // It is there already if only the syncing failed the last time.
        absent_is_none(fs::rename(self.layout.pending_release(id), &settled)).on("put in place", &settled)?;
        sync_folder(&self.layout.releases())?;
        sync_folder(&self.layout.pending_releases())
    }

    /// Replaces a settled entry, durably. A crash leaves the old one or the new one.
    pub(crate) fn replace(&self, record: &ReleaseRecord) -> Result<(), DiskError> {
        self.write(&self.layout.release(record.id), record)
    }

    /// Removes a settled entry, if it is there, durably.
    pub(crate) fn forget(&self, id: u64) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        batch.remove(&self.layout.release(id))?;
        batch.commit()
    }

    /// The entries that are committed and not settled, in order.
    pub(crate) fn pending(&self) -> Result<Vec<ReleaseRecord>, DiskError> {
        let folder = self.layout.pending_releases();
        ids(&folder)?.into_iter().filter_map(|id| read(&self.layout.pending_release(id)).transpose()).collect()
    }

    /// The numbers of the settled entries, in order.
    pub(crate) fn ids(&self) -> Result<Vec<u64>, DiskError> {
        ids(&self.layout.releases())
    }

    /// A settled entry, if there is one of this number.
    pub(crate) fn read(&self, id: u64) -> Result<Option<ReleaseRecord>, DiskError> {
        read(&self.layout.release(id))
    }

    fn write(&self, path: &Path, record: &ReleaseRecord) -> Result<(), DiskError> {
        let text = render(record);
        if text.len() as u64 > MAX_RECORD {
            let source = std::io::Error::other(format!("it has more than {MAX_RECORD} bytes; take in fewer at once"));
            return Err(DiskError::Io { operation: "write the record", path: path.to_owned(), source });
        }
        let mut batch = Batch::new(&self.layout);
        batch.write(path, &text)?;
        batch.commit()
    }
}

/// The numbers that are files' names in a folder, in order. Files of other names are not ours.
fn ids(folder: &PathBuf) -> Result<Vec<u64>, DiskError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).on("list", folder)? {
        let name = entry.on("list", folder)?.file_name();
        let digits = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        found.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

fn read(path: &Path) -> Result<Option<ReleaseRecord>, DiskError> {
    let Some((file, _)) = open_file(path)? else { return Ok(None) };
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_RECORD), &mut text).on("read", path)?;
    parse(&text, path).map(Some)
}
