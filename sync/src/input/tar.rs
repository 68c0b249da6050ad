//! Reading tar entries so that every reader sees the same entries: anything ambiguous is refused.
//!
//! `tar::Header` decodes the fields. Walking, extension headers and all checks are here, because the `tar` crate leaves
//! them to unpacking: an archive cut short, sizes that disagree (CVE-2025-62518), names that leave the archive, duplicate
//! entries. Nothing is ever unpacked to a file system.

use std::collections::HashSet;
use std::io::{self, Read};

use tar::{EntryType, Header};

use super::entry_name::{self, Unfit, normalised};
use super::leftovers::{self, LeftOut};
use super::links::{Link, dead};
use super::pax::{Extension, SPARSE, VOLUME, header_size, set_name, settled_size};
use super::source::{Source, read_all};
use crate::problem::{Halt, Problem, Result};
use crate::text::printable;

/// A tar record.
pub(crate) const BLOCK: usize = 512;
/// All names of an archive together. They stay in memory to detect duplicate entries.
const MAX_NAMES: usize = 16 * 1024 * 1024;
/// Types of GNU tar: the label of a volume, a folder of an incremental backup, the rest of a file of the volume before.
const VOLUME_LABEL: u8 = b'V';
const DUMP_FOLDER: u8 = b'D';
const CONTINUED: u8 = b'M';
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
    /// A folder leaves it out by its name: where the part of the path ends that is why, and whether it needs a word.
    pub(crate) left_out: Option<(usize, LeftOut)>,
}

/// The type of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Folder,
    /// A symbolic or hard link, wherever it leads.
    Link(Link),
    /// What a folder leaves out as well, and why. The path is that of the folder above it that is left out, if one is.
    LeftOut(&'static str),
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
    /// Only descriptions are looked up by their names, and the last of several counts.
    of_chart: bool,
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
            of_chart: false,
            anything_after: false,
        }
    }

    /// For a chart, whose entries may come several times, have names that are not UTF-8, or with backslashes where it was packed
    /// on Windows: Helm takes them, and of a chart only its descriptions are read here.
    pub(crate) fn of_chart(source: &'s mut dyn Source, max_entries: u64) -> Self {
        Self { of_chart: true, ..Self::new(source, max_entries) }
    }

    /// The next entry; `None` once the archive has ended properly. After an error nothing more can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut extension = Extension::default();
        loop {
            self.pass(self.remaining + self.padding)?;
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
                _ if is_label(header) => extension = Extension::default(),
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
            return io::Error::from(Halt::Cut { end: self.position, content: false }).into();
        }
        error.into()
    }

    /// Passes over content that is not read.
    fn pass(&mut self, count: u64) -> Result<()> {
        let before = self.position;
        let position = before.checked_add(count);
        let position = position.ok_or_else(|| Problem::Damaged("sizes beyond counting".into()))?;
        match self.source.left() {
            Some(left) if left < count => {
                let end = before.saturating_add(left);
                return Err(io::Error::from(Halt::Cut { end, content: true }).into());
            }
            Some(_) => self.source.skip(count).map_err(|error| self.cut_short(error))?,
            // Counted, to know where it ends.
            None => {
                (self.remaining, self.padding) = (count, 0);
                let mut body = self.body();
                Source::skip_by_reading(&mut body, count)?;
            }
        }
        self.position = position;
        Ok(())
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
            let mut block = Vec::with_capacity(BLOCK);
            (&mut *self.source).take(BLOCK as u64).read_to_end(&mut block)?;
            if block.iter().any(|byte| *byte != 0) {
                let what = if is_header(&block) {
                    "another tar begins behind the end of this one, as `cat a.tar b.tar` writes it; ingest each by itself, or \
                     join them with `tar --concatenate`"
                } else {
                    "there is more behind the end of the tar"
                };
                return Err(Problem::Damaged(what.into()));
            }
            if block.len() < BLOCK {
                return Ok(());
            }
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
        let mut raw = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        if self.of_chart {
            raw = String::from_utf8_lossy(&raw).replace('\\', "/").into_bytes();
        }
        let lossy = String::from_utf8_lossy(&raw);
        let shown = printable(&lossy);
        check_type(header)?;
        let size = settled_size(header_size(header)?, header, extension.size);
        let size = size.map_err(|reason| Problem::refused(&shown, reason))?;
        if has_two_names(header) {
            return Err(Problem::refused(&shown, "readers disagree about its name: it may have another part in front"));
        }
        let mut kind = match header.entry_type() {
            EntryType::Directory => EntryKind::Folder,
            // Old archives mark a folder by the slash alone.
            EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => EntryKind::Folder,
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Symlink | EntryType::Link => {
                let target = extension.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
                let symbolic = header.entry_type() == EntryType::Symlink;
                link(&target.unwrap_or_default(), symbolic).map_err(|reason| Problem::refused(&shown, reason))?
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => EntryKind::LeftOut(dead::SPECIAL),
            _ if size == 0 => return Ok(None),
            _ => return Err(Problem::refused(&shown, "it has content and a type that readers disagree about")),
        };
        if kind != EntryKind::File && size > 0 {
            return Err(Problem::refused(&shown, "a folder or link must not have content"));
        }
        let path = match normalised(&raw) {
            Ok(path) => path,
            Err(Unfit::Hostile(reason)) => return Err(Problem::refused(&shown, reason)),
            Err(Unfit::Harmless(reason)) => {
                kind = EntryKind::LeftOut(reason);
                // The first part of it that is no text: a folder leaves that out, with what is below.
                let end = raw.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
                let end = raw[end..].iter().position(|byte| *byte == b'/').map_or(raw.len(), |at| end + at);
                entry_name::components(&String::from_utf8_lossy(&raw[..end])).collect::<Vec<_>>().join("/")
            }
        };
        if path.is_empty() && kind != EntryKind::Folder {
            return Err(Problem::refused(&shown, "it has no name"));
        }
        if !self.of_chart {
            self.remember(&path, &kind)?;
        }
        self.open(size);
        let left_out = leftovers::judge_path(&path, kind == EntryKind::Folder);
        let modified = extension.modified.or_else(|| header.mtime().ok()).unwrap_or(0);
        Ok(Some(Entry { path, kind, size, offset: self.position, modified, left_out }))
    }

    fn remember(&mut self, path: &str, kind: &EntryKind) -> Result<()> {
        let target = if let EntryKind::Link(link) = kind { link.target.len() } else { 0 };
        self.name_bytes += path.len() + target + 48;
        if self.name_bytes > MAX_NAMES {
            let cure = "an archive of images has few and short names; split it";
            return Err(Problem::over("all names of its entries together", format_args!("{MAX_NAMES} bytes"), cure));
        }
        // Folders may come twice: they have no content.
        if matches!(kind, EntryKind::File | EntryKind::Link(_)) && !self.names.insert(path.to_owned()) {
            let why = "it comes twice in the archive, as `tar --append` and `tar --update` leave it, and readers disagree which \
                       counts; make the tar again from the files";
            return Err(Problem::refused(path, why));
        }
        Ok(())
    }
}

/// Refuses what only GNU tar can put together again, each with what to do instead.
fn check_type(header: &Header) -> Result<()> {
    let why = match header.entry_type() {
        EntryType::GNUSparse => SPARSE,
        kind if kind.as_byte() == DUMP_FOLDER => {
            "it is a tar of an incremental backup (`tar --listed-incremental`), which need not hold every file; make a tar of \
             everything, without that option"
        }
        kind if kind.as_byte() == CONTINUED => VOLUME,
        _ => return Ok(()),
    };
    Err(Problem::Unusable(why.into()))
}

/// Whether it is a label, which says how the archive is called and nothing else.
fn is_label(header: &Header) -> bool {
    let has_no_size = header.as_old().size.iter().all(|byte| matches!(byte, b'0' | b' ' | 0));
    header.entry_type().as_byte() == VOLUME_LABEL && has_no_size
}

/// A link. One whose target is no name is left out, as one that leads nowhere is.
fn link(target: &[u8], symbolic: bool) -> Result<EntryKind, &'static str> {
    match entry_name::text(target) {
        Ok("") => Ok(EntryKind::LeftOut(dead::NOTHING)),
        Ok(target) => Ok(EntryKind::Link(Link { symbolic, target: target.to_owned() })),
        Err(Unfit::Harmless(_)) => Ok(EntryKind::LeftOut(dead::NOTHING)),
        Err(Unfit::Hostile(_)) => Err("it links to a name that is too long or has a zero byte"),
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
            return Err(Halt::Cut { end: self.tar.position, content: true }.into());
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
