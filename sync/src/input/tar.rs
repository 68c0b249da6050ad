//! Reading tar entries so that every reader sees the same entries: anything ambiguous is refused.
//!
//! `tar::Header` decodes the fields. Walking, extension headers and all checks are here, because the `tar` crate leaves
//! them to unpacking: an archive cut short, sizes that disagree (CVE-2025-62518), names that leave the archive, duplicate
//! entries. Nothing is ever unpacked to a file system.

use std::collections::HashSet;
use std::io::{self, Read};

use tar::{EntryType, Header};

use super::entry_name::{link_target, normalised};
use super::pax::{Extension, header_size, set_name, settled_size};
use super::source::{Source, read_all};
use crate::problem::{Problem, Result};
use crate::text::printable;

/// A tar record.
pub(crate) const BLOCK: usize = 512;
/// All names of an archive together. They stay in memory to detect duplicate entries.
const MAX_NAMES: usize = 16 * 1024 * 1024;
/// The largest extension header. Honest ones have a few hundred bytes.
const MAX_EXTENSION: u64 = 64 * 1024;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Normalised: relative, without `.`, `..` or empty components.
    pub(crate) path: String,
    pub(crate) kind: EntryKind,
    pub(crate) size: u64,
    /// Where its content begins.
    pub(crate) offset: u64,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

/// The type of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Folder,
    /// A symbolic or hard link to a path within the archive.
    Link(String),
}

/// Whether `head` begins with a tar header. The checksum decides, because old archives have no magic.
pub(crate) fn is_header(head: &[u8]) -> bool {
    head.get(..BLOCK).and_then(|block| block.try_into().ok()).is_some_and(checksum_fits)
}

fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    let header = Header::from_byte_slice(block);
    let sum = |byte: fn(u8) -> i64| -> i64 {
        let blank = |(at, value): (usize, &u8)| byte(if (148..156).contains(&at) { b' ' } else { *value });
        block.iter().enumerate().map(blank).sum()
    };
    // Some old writers summed signed bytes.
    header.cksum().is_ok_and(|stated| {
        i64::from(stated) == sum(i64::from) || i64::from(stated) == sum(|byte| i64::from(byte.cast_signed()))
    }) && block.iter().any(|byte| *byte != 0)
}

/// Walks the entries of a tar from front to back.
pub(crate) struct TarReader<'s> {
    source: &'s mut dyn Source,
    position: u64,
    // Of the current entry: content not read yet, and the padding after it.
    remaining: u64,
    padding: u64,
    names: HashSet<String>,
    name_bytes: usize,
    max_entries: u64,
    entries: u64,
    ended: bool,
    /// The source goes on after the end of the tar.
    pub(crate) anything_after: bool,
}

impl<'s> TarReader<'s> {
    pub(crate) fn new(source: &'s mut dyn Source, max_entries: u64) -> Self {
        Self {
            source,
            position: 0,
            remaining: 0,
            padding: 0,
            names: HashSet::new(),
            name_bytes: 0,
            max_entries,
            entries: 0,
            ended: false,
            anything_after: false,
        }
    }

    /// The next entry; `None` once the archive has ended properly. After an error nothing more can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut extension = Extension::default();
        loop {
            let (skip, position) = (self.remaining + self.padding, self.position);
            self.source.skip(skip).map_err(|error| self.cut_short(error))?;
            let position = position.checked_add(skip);
            self.position = position.ok_or_else(|| Problem::Damaged("sizes beyond counting".into()))?;
            (self.remaining, self.padding) = (0, 0);
            if self.ended {
                return Ok(None);
            }
            let block = self.block()?;
            if block.iter().all(|byte| *byte == 0) {
                if !extension.is_empty() {
                    return Err(Problem::Incomplete("an extended header has no entry behind it".into()));
                }
                self.end()?;
                return Ok(None);
            }
            self.entries += 1;
            if self.entries > self.max_entries {
                let cure = "raise `ingest.limits.entries` if you trust the archive";
                return Err(Problem::over("the number of entries", self.max_entries, cure));
            }
            if !checksum_fits(&block) {
                let at = self.position - 512;
                return Err(Problem::Damaged(format!("the tar header at byte {at} has a wrong checksum")));
            }
            let header = Header::from_byte_slice(&block);
            match header.entry_type() {
                EntryType::XHeader => extension.set(Extension::parse(&self.extension_body(header)?)?)?,
                EntryType::XGlobalHeader => Extension::parse(&self.extension_body(header)?)?.check_global()?,
                EntryType::GNULongName => set_name(&mut extension.path, &self.extension_body(header)?)?,
                EntryType::GNULongLink => set_name(&mut extension.link, &self.extension_body(header)?)?,
                _ => {
                    // Entries of unknown types without content are skipped.
                    if let Some(entry) = self.entry(header, extension)? {
                        return Ok(Some(entry));
                    }
                    extension = Extension::default();
                }
            }
        }
    }

    /// The content of the current entry.
    pub(crate) fn body<'t>(&'t mut self) -> Body<'t, 's> {
        Body { tar: self }
    }

    fn block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block).map_err(|error| self.cut_short(error))?;
        self.position += BLOCK as u64;
        Ok(block)
    }

    fn cut_short(&self, error: io::Error) -> Problem {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Problem::Incomplete(format!("the tar ends in the middle, behind byte {}", self.position));
        }
        error.into()
    }

    /// An archive ends with two blocks of zeros. Only zeros may follow, because other readers would read on.
    fn end(&mut self) -> Result<()> {
        self.ended = true;
        if self.block()?.iter().any(|byte| *byte != 0) {
            return Err(Problem::Damaged("a single block of zeros stands between entries".into()));
        }
        if self.anything_after {
            return Ok(());
        }
        loop {
            let rest = self.source.fill_buf()?;
            if rest.iter().any(|byte| *byte != 0) {
                return Err(Problem::Damaged("there is more behind the end of the tar".into()));
            }
            let count = rest.len();
            if count == 0 {
                return Ok(());
            }
            self.source.consume(count);
        }
    }

    fn extension_body(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = header_size(header)?;
        if size > MAX_EXTENSION {
            let (what, limit) = (format!("an extended header of {size} bytes"), format_args!("{MAX_EXTENSION} bytes"));
            return Err(Problem::over(what, limit, "no image or chart needs such a name"));
        }
        self.open(size);
        Ok(read_all(&mut self.body())?)
    }

    fn open(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn entry(&mut self, header: &Header, extension: Extension) -> Result<Option<Entry>> {
        let raw = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = printable(&String::from_utf8_lossy(&raw));
        let size = settled_size(header_size(header)?, header, extension.size);
        let size = size.map_err(|reason| Problem::refused(&shown, reason))?;
        let path = normalised(&raw).map_err(|reason| Problem::refused(&shown, reason))?;
        if has_two_names(header) {
            return Err(Problem::refused(&shown, "readers disagree about its name: it may have another part in front"));
        }
        let kind = match header.entry_type() {
            EntryType::Directory => EntryKind::Folder,
            // Old archives mark a folder by the slash alone.
            EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => EntryKind::Folder,
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Symlink | EntryType::Link => {
                let target = extension.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
                let symbolic = header.entry_type() == EntryType::Symlink;
                let target = link_target(&path, &target.unwrap_or_default(), symbolic);
                EntryKind::Link(target.map_err(|reason| Problem::refused(&shown, reason))?)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(Problem::refused(&shown, "it is a device or a named pipe"));
            }
            EntryType::GNUSparse => {
                return Err(Problem::refused(&shown, "it is a sparse file, which no image tool writes"));
            }
            _ if size == 0 => return Ok(None),
            _ => return Err(Problem::refused(&shown, "it has content and a type that readers disagree about")),
        };
        if kind != EntryKind::File && size > 0 {
            return Err(Problem::refused(&shown, "a folder or link must not have content"));
        }
        if path.is_empty() && kind != EntryKind::Folder {
            return Err(Problem::refused(&shown, "it has no name"));
        }
        if kind != EntryKind::Folder {
            self.remember(&path)?;
        }
        self.open(size);
        let modified = extension.modified.or_else(|| header.mtime().ok()).unwrap_or(0);
        Ok(Some(Entry { path, kind, size, offset: self.position, modified }))
    }

    fn remember(&mut self, path: &str) -> Result<()> {
        self.name_bytes += path.len() + 48;
        if self.name_bytes > MAX_NAMES {
            let cure = "an archive of images has few and short names; split it";
            return Err(Problem::over("all names of its entries together", format_args!("{MAX_NAMES} bytes"), cure));
        }
        if !self.names.insert(path.to_owned()) {
            return Err(Problem::refused(path, "it comes twice in the archive"));
        }
        Ok(())
    }
}

/// Whether the fields of GNU's times hold something else. Go then reads them as the beginning of the path, as other formats
/// have it there; other readers do not. Some of those that do leave out the end, where star has its times.
fn has_two_names(header: &Header) -> bool {
    let is_time = |field: &[u8; 12]| {
        let padding = |byte: &u8| matches!(byte, 0 | b' ');
        field[0] == 0 || field.iter().all(|byte| padding(byte) || (b'0'..=b'7').contains(byte))
    };
    let star = header.as_bytes().ends_with(b"tar\0") && !header.as_bytes()[345..476].contains(&0);
    star || header.as_gnu().is_some_and(|gnu| !is_time(&gnu.atime) || !is_time(&gnu.ctime))
}

/// The content of an entry. Ending early is an error.
pub(crate) struct Body<'t, 's> {
    tar: &'t mut TarReader<'s>,
}

impl Source for Body<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.tar.remaining == 0 {
            return Ok(&[]);
        }
        let available = self.tar.source.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = usize::try_from(self.tar.remaining).map_or(available.len(), |left| left.min(available.len()));
        Ok(&available[..count])
    }

    fn consume(&mut self, count: usize) {
        self.tar.remaining -= count as u64;
        self.tar.position += count as u64;
        self.tar.source.consume(count);
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.tar.remaining {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.tar.source.skip(count)?;
        self.tar.remaining -= count;
        self.tar.position += count;
        Ok(())
    }

    fn left(&self) -> Option<u64> {
        // An entry of a nested archive cannot be larger than what is left of the outer one.
        Some(self.tar.source.left().map_or(self.tar.remaining, |left| left.min(self.tar.remaining)))
    }
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
