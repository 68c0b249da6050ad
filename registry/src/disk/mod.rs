//! The data folder: its layout, writes that survive a power cut, and the lock of the one process that uses it.
//!
//! Knows nothing of what the files mean. Everything here blocks; [`threads`] keeps that off the runtime's threads, and [`own_threads`] what
//! may hang off the threads of the data folder.

mod checked_text;
mod durable;
mod entry;
mod error;
mod identity;
mod layout;
pub(crate) mod own_threads;
mod pieces;
pub(crate) mod threads;

use std::path::PathBuf;

pub(crate) use checked_text::{parse, read, render};
pub(crate) use durable::{Batch, create_folder, sync_folder};
pub(crate) use entry::{create_file, create_or_open, look_at_file, make_folder, open_file, open_file_with};
pub use error::DiskError;
pub(crate) use error::{Context, absent_is_none, damaged_is_none};
pub(crate) use identity::Lock;
pub use identity::OpenError;
pub(crate) use layout::{BLOBS, Layout, MANIFESTS, TAGS};
pub(crate) use pieces::{ReadFailed, hash_file, read_pieces};

/// A data folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    pub(crate) layout: Layout,
    // The operating system releases it however the process ends.
    _lock: Lock,
}

impl DataFolder {
    /// Locks the folder, and creates it where there is nothing yet, unless it `must_exist`.
    pub(crate) fn open(root: PathBuf, must_exist: bool) -> Result<Self, OpenError> {
        let layout = Layout::new(root);
        let lock = identity::open(&layout, must_exist)?;
        Ok(Self { layout, _lock: lock })
    }
}
