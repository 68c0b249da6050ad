//! Reading a file from front to back by position, in pieces that stay in the processor's cache.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Context, DiskError};
use crate::oci::{Algorithm, Hasher};

/// Bytes read at a time when a file is hashed.
const PIECE: usize = 256 * 1024;

/// A read that failed at a byte of the range.
#[derive(Debug)]
pub(crate) struct ReadFailed {
    /// The byte, counted from the start of the range.
    pub(crate) at: u64,
    pub(crate) error: io::Error,
}

/// Reads `size` bytes of `file` from `offset`, or all up to its end, and hands each piece to `take`, which may stop.
/// A file that ends before `size` is an error of the kind `UnexpectedEof`.
pub(crate) fn read_pieces<B>(
    file: &File,
    offset: u64,
    size: Option<u64>,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, ReadFailed> {
    let mut at = 0;
    loop {
        let left = size.map_or(u64::MAX, |size| size - at);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        match file.read_at(&mut buffer[..wanted], offset + at) {
            Ok(0) if size.is_none() => return Ok(ControlFlow::Continue(())),
            Ok(0) => return Err(ReadFailed { at, error: io::ErrorKind::UnexpectedEof.into() }),
            Ok(read) => {
                at += read as u64;
                if let ControlFlow::Break(stop) = take(&buffer[..read]) {
                    return Ok(ControlFlow::Break(stop));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadFailed { at, error }),
        }
    }
}

/// Hashes a file from its start; `path` is for the error.
pub(crate) fn hash_file(file: &File, algorithm: Algorithm, path: &Path) -> Result<Hasher, DiskError> {
    let mut hasher = algorithm.hasher();
    let read = read_pieces::<()>(file, 0, None, &mut vec![0; PIECE], |piece| {
        hasher.update(piece);
        ControlFlow::Continue(())
    });
    let _ = read.map_err(|failed| failed.error).on("read", path)?;
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], offset: u64, size: Option<u64>) -> Result<Vec<u8>, ReadFailed> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut found = Vec::new();
        let flow = read_pieces::<()>(file.as_file(), offset, size, &mut [0; 3], |piece| {
            found.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        assert!(flow.is_continue());
        Ok(found)
    }

    #[test]
    fn a_range_is_read_whole_and_one_that_is_cut_short_says_where() {
        assert_eq!(read(b"0123456789", 2, Some(7)).unwrap(), b"2345678");
        assert_eq!(read(b"0123456789", 2, None).unwrap(), b"23456789");
        assert_eq!(read(b"", 0, Some(0)).unwrap(), b"");
        let failed = read(b"0123456789", 2, Some(9)).unwrap_err();
        assert_eq!((failed.at, failed.error.kind()), (8, io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let flow = read_pieces(file.as_file(), 0, None, &mut [0; 4], |piece| ControlFlow::Break(piece.len()));
        assert_eq!(flow.unwrap(), ControlFlow::Break(4));
    }
}
