//! The path of the administration socket. A socket address holds 107 bytes; a longer path goes through `/proc/self/fd`.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// The socket's name in the data folder.
const NAME: &str = "control.sock";

/// What `sockaddr_un` holds without the terminating zero.
const LONGEST: usize = 107;

/// A path to the socket that fits into an address, valid until this is dropped.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl Address {
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(NAME);
        if path.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(Self { path, _folder: None });
        }
        let folder = rustix::fs::open(data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_length_has_an_address_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        for data in [folder.path(), &deep] {
            let address = Address::of(data).unwrap();
            assert!(address.path.as_os_str().len() <= LONGEST);
            std::fs::write(&address.path, "here").unwrap();
            assert_eq!(std::fs::read_to_string(data.join(NAME)).unwrap(), "here");
        }
    }
}
