//! The database file: where it is, how much memory it may take, and that it is synced only when it is sealed.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, StorageBackend, TableDefinition};

use super::IndexError;
use crate::disk::{Context as _, DiskError, Layout, make_folder};

/// The most memory the database takes for pages, in bytes, whatever it holds. What is not in it is in the page cache.
const CACHE: usize = 32 * 1024 * 1024;

/// All rows; `keys` says which tables share it.
pub(super) const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");

/// Opens the database, creating what is not there.
pub(super) fn open(layout: &Layout) -> Result<Database, IndexError> {
    let (folder, path) = (layout.metadata(), layout.metadata_database());
    // Not its parents: a data folder that has gone is not made anew for its index.
    match make_folder(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).on("create folder", &folder)?,
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = FileBackend::new(file.on("open", &path)?).map_err(failed)?;
    with_rows(builder().create_with_backend(Unsynced(file)).map_err(failed)?)
}

/// Opens an empty database in memory.
pub(super) fn in_memory() -> Result<Database, IndexError> {
    with_rows(builder().create_with_backend(InMemoryBackend::new()).map_err(failed)?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// A reader fails where the table was never made.
fn with_rows(database: Database) -> Result<Database, IndexError> {
    let change = database.begin_write().map_err(failed)?;
    drop(change.open_table(ROWS).map_err(failed)?);
    change.commit().map_err(failed)?;
    Ok(database)
}

/// What the database said.
pub(super) fn failed(error: impl Into<redb::Error>) -> IndexError {
    let error = error.into();
    let no_space = matches!(&error, redb::Error::Io(error) if DiskError::is_no_space_error(error));
    IndexError::Database { source: error.into(), no_space }
}

/// A file that is not synced: nothing depends on what is written between a start and a clean stop, and the seal syncs it.
/// Nor is it locked: the data folder is.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}
