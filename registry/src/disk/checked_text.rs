//! Small files that hold one record: a line of JSON and a line with its CRC-32.
//!
//! People can read them, and damage is detected. Written whole and renamed into place (see `durable`).

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::open_file;
use super::error::{Context, DiskError};

/// Largest file read, in bytes; ours have some hundred.
const MAX_SIZE: u64 = 64 * 1024;

/// Reads a file; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let Some((file, _)) = open_file(path)? else { return Ok(None) };
    let mut text = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut text).on("read", path)?;
    parse(&text, path).map(Some)
}

/// The text of a record.
pub(crate) fn render<T: Serialize>(record: &T) -> Vec<u8> {
    // These types have string keys and no maps, which is all that can fail.
    let mut text = serde_json::to_vec(record).unwrap_or_default();
    let checksum = crc32fast::hash(&text);
    text.extend_from_slice(format!("\ncrc32:{checksum:08x}\n").as_bytes());
    text
}

/// Reads a record's text; `path` is for the error.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<T, DiskError> {
    let body = text
        .strip_suffix(b"\n")
        .and_then(|text| {
            let newline = text.iter().rposition(|byte| *byte == b'\n')?;
            let (body, checksum) = (&text[..newline], &text[newline + 1..]);
            let stated = std::str::from_utf8(checksum.strip_prefix(b"crc32:")?).ok()?;
            (u32::from_str_radix(stated, 16).ok()? == crc32fast::hash(body)).then_some(body)
        })
        .ok_or_else(|| DiskError::damaged(path, "its checksum does not fit its content"))?;
    serde_json::from_slice(body).map_err(|error| DiskError::damaged(path, error.to_string()))
}
