//! Block devices: a tar written to one as it is (`dd`, `cat >`), without a file system around it.
//!
//! Behind the tar lies whatever was on the device before, so the end of the tar is the end of what is read.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::compression::{Format, HEAD};
use super::problem::Problem;
use super::source::{Meter, Window};

/// Opens the device at `path`.
///
/// # Errors
/// When no tar begins on it; says what does, where that is known.
pub(crate) fn open<'a>(mut file: File, path: &Path, meter: &'a Meter<'a>) -> Result<Window<'a>, Problem> {
    // Its metadata says nothing of its size.
    let size = file.seek(SeekFrom::End(0)).map_err(Problem::Read)?;
    let window = Window::of_device(file, path, size, meter);
    if Format::of(&window.head(HEAD)?) == Format::Tar {
        return Ok(window);
    }
    let what = match Format::of(&window.head(HEAD)?) {
        Format::Gzip | Format::Zstd | Format::Xz | Format::Bzip2 => {
            "it holds something compressed, whose end nobody can tell from what was on the device before; write the tar \
             itself to it, or give the stream: `airdock ingest - < file`"
                .to_owned()
        }
        _ => match content(&window)? {
            Some(content) => format!("it holds {content}; mount it and give the folder"),
            None => "no tar begins on it; write one to it, or mount its file system and give the folder".to_owned(),
        },
    };
    Err(Problem::Unusable(what))
}

/// What else lies on devices, by the bytes at a place.
const CONTENTS: [(u64, &[u8], &str); 13] = [
    (0x438, &[0x53, 0xef], "an ext4 file system"),
    (0, b"XFSB", "an XFS file system"),
    (0x1_0040, b"_BHRfS_M", "a btrfs file system"),
    (0x8001, b"CD001", "an ISO 9660 file system"),
    (0x8001, b"BEA01", "a UDF file system"),
    (3, b"NTFS    ", "an NTFS file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (0x36, b"FAT", "a FAT file system"),
    (0x52, b"FAT32", "a FAT file system"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS)"),
    (0x200, b"EFI PART", "a partition table"),
    (0x1fe, &[0x55, 0xaa], "a partition table"),
];

fn content(window: &Window<'_>) -> io::Result<Option<&'static str>> {
    let extent = window.extent();
    for (at, expected, what) in CONTENTS {
        let mut found = [0; 16];
        let found = &mut found[..expected.len()];
        if extent.read_at(found, at)? == expected.len() && found == expected {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
