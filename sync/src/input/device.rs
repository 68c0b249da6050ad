//! Block devices: a tar written to one as it is (`dd`, `cat >`), without a file system around it.
//!
//! After the tar comes whatever was on the device before, so reading stops at the end of the tar.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use super::compression::{Format, HEAD};
use super::foreign;
use super::source::Window;
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
        }
        _ => foreign::content(&window.head(foreign::HEAD)?)
            .unwrap_or("no tar begins on it; write one to it, or mount its file system and give the folder"),
    };
    Err(Problem::Unusable(what.into()))
}
