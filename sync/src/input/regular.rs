//! Opening a regular file, and nothing else.
//!
//! A path beside or below what the operator named is untrusted: a link may lead to a file of this machine that clients must
//! not read, and opening a named pipe or a device may wait for ever. So the file is opened without waiting and looked at
//! before a byte of it is read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens the regular file at `path`, which is no symbolic link itself.
pub(crate) fn beside(path: &Path) -> io::Result<(File, Metadata)> {
    open(path, OFlags::NOFOLLOW).map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link"),
        _ => error,
    })
}

/// Opens the regular file at a path that the operator named, which may be a link.
pub(crate) fn named(path: &Path) -> io::Result<(File, Metadata)> {
    open(path, OFlags::empty())
}

/// Reads an opened file of at most `limit` bytes.
pub(crate) fn read((file, _): (File, Metadata), limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let too_large = || io::Error::other(format!("it is larger than {limit} bytes"));
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

fn open(path: &Path, flags: OFlags) -> io::Result<(File, Metadata)> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let no_file = || io::Error::other("it is no regular file, but a folder, a named pipe, a socket or a device");
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        // A socket, or a device that is not there.
        Some(Errno::NXIO | Errno::NODEV) => no_file(),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(no_file()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn d02_only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), b"12").unwrap();
        symlink("file", at("link")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        symlink("pipe", at("link-to-pipe")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert_eq!(beside(&at("file")).unwrap().1.len(), 2);
        assert_eq!(named(&at("link")).unwrap().1.len(), 2);
        assert_eq!(beside(&at("link")).unwrap_err().to_string(), "it is a symbolic link");
        for name in ["pipe", "socket", "."] {
            assert!(beside(&at(name)).unwrap_err().to_string().contains("no regular file"), "{name}");
        }
        assert!(named(&at("link-to-pipe")).unwrap_err().to_string().contains("no regular file"));
        assert!(beside(Path::new("/dev/null")).unwrap_err().to_string().contains("no regular file"));
        assert_eq!(beside(&at("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
