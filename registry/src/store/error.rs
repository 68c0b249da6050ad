//! What can go wrong between the registry and its disk.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A failure of the store, naming the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("could not {operation} `{}`", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is there and does not hold what was written.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// Whether the disk, the quota or the inodes are used up, which passes once somebody makes room.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => Self::is_no_space_error(source),
            Self::Damaged { .. } => false,
        }
    }

    /// As [`StoreError::is_no_space`], for what the operating system said elsewhere.
    pub(crate) fn is_no_space_error(error: &io::Error) -> bool {
        // By its kind too: the database passes on the number only as text.
        error.kind() == io::ErrorKind::StorageFull
            || matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
    }
}

/// Adds the operation and the path to an error of the operating system.
pub(crate) trait Context<T> {
    fn on(self, operation: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn on(self, operation: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::Io { operation, path: path.to_owned(), source: error.into() })
    }
}

/// `None` where the file is absent, and only then: any other failure to open is not "not found".
pub(crate) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A component that is a file where a folder would stand: the repository `a/b` beside nothing of that name.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
