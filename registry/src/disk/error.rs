//! Failures of the disk, naming the file.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A failure of the disk, naming the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
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
    /// A file does not hold what was written.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is less room than is needed. Nothing was written.
    #[error(
        "the disk of `{}` has too little space: {} needed and {} to be kept free make {}, {} are free, {} are missing; \
         make room there, or move the data folder to a larger disk",
        path.display(), amount(*needed), amount(*keep_free), amount(needed.saturating_add(*keep_free)), amount(*free),
        amount(needed.saturating_add(*keep_free).saturating_sub(*free))
    )]
    NoRoom {
        /// The data folder.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes that are to stay free.
        keep_free: u64,
        /// Bytes that are free, as `df` says.
        free: u64,
    },
}

/// Bytes for people, rounded up: freeing what is said to be missing must be enough.
fn amount(bytes: u64) -> String {
    let (unit, name) = if bytes < 10 << 30 { (1 << 20, "MiB") } else { (1 << 30, "GiB") };
    let tenths = (u128::from(bytes) * 10).div_ceil(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

impl DiskError {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// Whether the disk, the quota or the inodes are used up: a retry succeeds once there is room again.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => Self::is_no_space_error(source),
            Self::NoRoom { .. } => true,
            Self::Damaged { .. } => false,
        }
    }

    /// As [`DiskError::is_no_space`], for what the operating system said elsewhere.
    pub(crate) fn is_no_space_error(error: &io::Error) -> bool {
        // By its kind, too: the database passes on the error number only as text.
        error.kind() == io::ErrorKind::StorageFull
            || matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
    }
}

/// Adds the operation and the path to an error of the operating system.
pub(crate) trait Context<T> {
    fn on(self, operation: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn on(self, operation: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|error| DiskError::Io { operation, path: path.to_owned(), source: error.into() })
    }
}

/// `None` where the file is absent, and only then: any other failure to open is not "not found".
pub(crate) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A path component is a file instead of a folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None` where a file is damaged: for what does not count then.
pub(crate) fn damaged_is_none<T>(result: Result<Option<T>, DiskError>) -> Result<Option<T>, DiskError> {
    match result {
        Err(DiskError::Damaged { .. }) => Ok(None),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_full_and_never_too_small() {
        let error = DiskError::NoRoom {
            path: "/data".into(),
            needed: (200 << 30) + 1,
            keep_free: 64 << 20,
            free: (1 << 30) - 1,
        };
        assert!(error.is_no_space());
        assert_eq!(
            error.to_string(),
            "the disk of `/data` has too little space: 200.1 GiB needed and 64.0 MiB to be kept free make 200.1 GiB, \
             1024.0 MiB are free, 199.1 GiB are missing; make room there, or move the data folder to a larger disk"
        );
        assert_eq!([0, 1, 1 << 20, (1 << 20) + 1].map(amount), ["0.0 MiB", "0.1 MiB", "1.0 MiB", "1.1 MiB"]);
    }
}
