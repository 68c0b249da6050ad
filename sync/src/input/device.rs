//! Block devices: a tar written to one as it is (`dd`, `cat >`), without a file system around it.
//!
//! After the tar comes whatever was on the device before, so reading stops at the end of the tar.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::compression::{Format, HEAD};
use super::source::{Extent, Window};
use crate::problem::{Problem, Result};
use crate::progress::Meter;

/// Opens the device at `path`.
pub(crate) fn open<'a>(mut file: File, path: &Path, meter: &'a Meter<'a>) -> Result<Window<'a>> {
    // A device's metadata has no size.
    let size = file.seek(SeekFrom::End(0)).map_err(Problem::Read)?;
    let mut window = Window::new(file, path, size, meter);
    window.is_device = true;
    let what = match Format::of(&window.head(HEAD)?) {
        Format::Tar => return Ok(window),
        format if format.is_compressed() => {
            "it holds something compressed, whose end cannot be told from what was on the device before; write the tar \
             itself to it, or ingest the compressed file from a pipe"
                .to_owned()
        }
        _ => match content(&window.extent)? {
            Some(content) => format!("it holds {content}; mount it and give the folder"),
            None => "no tar begins on it; write one to it, or mount its file system and give the folder".to_owned(),
        },
    };
    Err(Problem::Unusable(what))
}

/// What else devices hold, by the bytes at an offset.
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

fn content(extent: &Extent) -> io::Result<Option<&'static str>> {
    for (at, expected, what) in CONTENTS {
        let mut found = [0; 16];
        let found = &mut found[..expected.len()];
        if extent.read_at(found, at)? == expected.len() && found == expected {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
