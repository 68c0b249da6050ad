//! PAX and GNU extension headers: what they add to the next entry, and checks for everything that readers disagree about,
//! above all the size of an entry, which two fields may state (CVE-2025-62518).

use tar::Header;

use super::entry_name::MAX_PATH;
use crate::problem::{Problem, Result};

/// What to do instead of what only GNU tar can put together again.
pub(super) const SPARSE: &str = "it holds a sparse file, as `tar --sparse` writes it; make the tar without that option";
pub(super) const VOLUME: &str = "it is one of several volumes (`tar --multi-volume`), which are not read; unpack all of them, \
                                 and make one tar, or split one with `split`";

/// What extension headers say about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<u64>,
}

impl Extension {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes a PAX header. Two for one entry are refused: readers disagree which of them counts.
    pub(crate) fn set(&mut self, pax: Self) -> Result<()> {
        if self.is_empty() {
            *self = pax;
            return Ok(());
        }
        Err(Problem::Damaged("an entry has several extended headers, which readers disagree about".into()))
    }

    /// Reads the `length key=value\n` records of a PAX header.
    pub(crate) fn parse(mut raw: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Problem::Damaged(format!("a PAX header {what}"));
        let mut found = Self::default();
        while !raw.is_empty() {
            let space = raw.iter().take(12).position(|byte| *byte == b' ');
            let space = space.ok_or_else(|| damaged("has a record without a length"))?;
            let length = decimal(&raw[..space]).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| (space + 3..=raw.len()).contains(length));
            let (record, rest) = raw.split_at(length.ok_or_else(|| damaged("has a record of wrong length"))?);
            raw = rest;
            let record = record[space + 1..].strip_suffix(b"\n");
            let record = record.ok_or_else(|| damaged("has a record without its end"))?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or_else(|| damaged("has a record without `=`"))?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => set_name(&mut found.path, value)?,
                b"linkpath" => set_name(&mut found.link, value)?,
                b"size" => {
                    let size = decimal(value).filter(|size| *size <= i64::MAX as u64);
                    let size = size.ok_or_else(|| damaged("has a size that is no number"))?;
                    if found.size.replace(size).is_some() {
                        return Err(damaged("has two sizes"));
                    }
                }
                // Fractions of a second are not needed.
                b"mtime" => found.modified = decimal(value.split(|byte| *byte == b'.').next().unwrap_or_default()),
                // These carry the real name and size of a sparse file.
                _ if key.starts_with(b"GNU.sparse.") => return Err(Problem::Unusable(SPARSE.into())),
                // A label says nothing of the next entry; the others belong to a file that goes on in another volume.
                b"GNU.volume.label" => {}
                _ if key.starts_with(b"GNU.volume.") => return Err(Problem::Unusable(VOLUME.into())),
                _ => {}
            }
        }
        Ok(found)
    }

    /// A global header must not set anything that some readers would apply to every entry.
    pub(crate) fn check_global(&self) -> Result<()> {
        if self.path.is_some() || self.link.is_some() || self.size.is_some() {
            let why = "a global PAX header sets names or sizes, which readers disagree about";
            return Err(Problem::Damaged(why.into()));
        }
        Ok(())
    }
}

/// Sets a path or the target of a link. GNU's end with a zero byte.
pub(crate) fn set_name(field: &mut Option<Vec<u8>>, raw: &[u8]) -> Result<()> {
    let raw = raw.strip_suffix(b"\0").unwrap_or(raw);
    if raw.len() > MAX_PATH {
        let (what, limit) = (format!("a name of {} bytes", raw.len()), format_args!("{MAX_PATH} bytes"));
        return Err(Problem::over(what, limit, "no image or chart needs such a name"));
    }
    match field.replace(raw.to_owned()) {
        None => Ok(()),
        Some(_) => Err(Problem::Damaged("an entry has two long names".into())),
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The size a header states.
pub(crate) fn header_size(header: &Header) -> Result<u64> {
    let field = &header.as_old().size;
    // Readers disagree about sizes over 64 bits, negative ones, and signs or letters among the digits.
    let sane = match field {
        [0x80, 0, 0, 0, ..] => true,
        digits => digits.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0)),
    };
    let size = header.entry_size().ok().filter(|size| sane && *size <= i64::MAX as u64);
    size.ok_or_else(|| Problem::Damaged("a tar header has a size that is no number".into()))
}

/// A PAX size is for what the old field cannot hold. Otherwise the two must agree, or readers would see different entries.
pub(crate) fn settled_size(stated: u64, header: &Header, pax: Option<u64>) -> Result<u64, String> {
    const SATURATED: u64 = 0o777_7777_7777;
    match pax {
        None => Ok(stated),
        Some(pax) if pax == stated => Ok(pax),
        Some(pax) if header.entry_type().is_file() && (stated == 0 || stated == SATURATED) => Ok(pax),
        Some(pax) => Err(format!("its two sizes disagree, {stated} and {pax} bytes")),
    }
}
