//! PAX and GNU extension headers: what they add to the entry behind them, and what makes readers disagree; most of all
//! an entry's size, which two fields may give (CVE-2025-62518).

use tar::Header;

use super::problem::Problem;

const MAX_PATH: usize = 4096;

/// What extension headers said about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<u64>,
}

/// The records of one PAX header that mean something here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax(Extension);

impl Extension {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in a PAX header. Two for one entry are refused: which of them counts is a matter of taste.
    pub(crate) fn pax(&mut self, pax: Pax) -> Result<(), Problem> {
        if self.is_empty() {
            *self = pax.0;
            return Ok(());
        }
        Err(Problem::Damaged("an entry has several extended headers, which readers disagree about".into()))
    }

    pub(crate) fn long_name(&mut self, raw: &[u8]) -> Result<(), Problem> {
        set_once(&mut self.path, ended(raw)?)
    }

    pub(crate) fn long_link(&mut self, raw: &[u8]) -> Result<(), Problem> {
        set_once(&mut self.link, ended(raw)?)
    }
}

fn set_once(field: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), Problem> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Problem::Damaged("an entry has two long names".into())),
    }
}

/// GNU long names end with a zero byte.
fn ended(raw: &[u8]) -> Result<Vec<u8>, Problem> {
    let raw = raw.strip_suffix(b"\0").unwrap_or(raw);
    if raw.len() > MAX_PATH {
        return Err(Problem::OverLimit {
            what: format!("a name of {} bytes", raw.len()),
            limit: format!("{MAX_PATH} bytes"),
            cure: "no image or chart needs such a name",
        });
    }
    Ok(raw.to_owned())
}

impl Pax {
    /// Reads `length key=value\n` records.
    pub(crate) fn parse(mut raw: &[u8]) -> Result<Self, Problem> {
        let damaged = |what: &str| Problem::Damaged(format!("a PAX header {what}"));
        let mut found = Extension::default();
        while !raw.is_empty() {
            let space = raw
                .iter()
                .take(12)
                .position(|byte| *byte == b' ')
                .ok_or_else(|| damaged("has a record without a length"))?;
            let length = decimal(&raw[..space]).and_then(|length| usize::try_from(length).ok());
            let length = length
                .filter(|length| (space + 3..=raw.len()).contains(length))
                .ok_or_else(|| damaged("has a record of wrong length"))?;
            let (record, rest) = raw.split_at(length);
            raw = rest;
            let record =
                record[space + 1..].strip_suffix(b"\n").ok_or_else(|| damaged("has a record without its end"))?;
            let equals =
                record.iter().position(|byte| *byte == b'=').ok_or_else(|| damaged("has a record without `=`"))?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => set_once(&mut found.path, ended(value)?)?,
                b"linkpath" => set_once(&mut found.link, ended(value)?)?,
                b"size" => {
                    let size = decimal(value)
                        .filter(|size| *size <= i64::MAX as u64)
                        .ok_or_else(|| damaged("has a size that is no number"))?;
                    if found.size.replace(size).is_some() {
                        return Err(damaged("has two sizes"));
                    }
                }
                // Fractions of a second are of no use here.
                b"mtime" => found.modified = decimal(value.split(|byte| *byte == b'.').next().unwrap_or_default()),
                // The real name and size of a sparse file stand in these.
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(damaged("describes a sparse file, which no image tool writes"));
                }
                _ => {}
            }
        }
        Ok(Self(found))
    }

    /// A global header may say nothing that some readers would apply to every entry.
    pub(crate) fn check_global(&self) -> Result<(), Problem> {
        if self.0.path.is_some() || self.0.link.is_some() || self.0.size.is_some() {
            return Err(Problem::Damaged(
                "a global PAX header sets names or sizes, which readers disagree about".into(),
            ));
        }
        Ok(())
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The size a header states.
pub(crate) fn header_size(header: &Header) -> Result<u64, Problem> {
    let field = &header.as_old().size;
    // What others read otherwise: more than 64 bits, negative numbers, signs and letters among the digits.
    let sane = match field {
        [0x80, 0, 0, 0, ..] => true,
        digits => digits.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0)),
    };
    let size = header.entry_size().ok().filter(|size| sane && *size <= i64::MAX as u64);
    size.ok_or_else(|| Problem::Damaged("a tar header has a size that is no number".into()))
}

/// A PAX size is for what the old field cannot hold; anywhere else the two must agree, or readers would part ways.
pub(crate) fn settled_size(stated: u64, header: &Header, pax: Option<u64>) -> Result<u64, String> {
    const SATURATED: u64 = 0o777_7777_7777;
    match pax {
        None => Ok(stated),
        Some(pax) if pax == stated => Ok(pax),
        Some(pax) if header.entry_type().is_file() && (stated == 0 || stated == SATURATED) => Ok(pax),
        Some(pax) => Err(format!("its two sizes disagree, {stated} and {pax} bytes")),
    }
}
