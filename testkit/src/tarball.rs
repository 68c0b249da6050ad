//! Tars, valid and hostile: headers can be written as no tool would write them.

use tar::{EntryType, Header};

/// A tar being written.
#[derive(Clone, Default)]
pub struct Tarball(Vec<u8>);

/// A header and its content, padded; the header can be changed before its checksum is computed.
pub fn entry(path: &[u8], kind: EntryType, content: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A PAX header with these records.
pub fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len();
        while format!("{length}{rest}").len() != length {
            length = format!("{length}{rest}").len();
        }
        body.extend_from_slice(format!("{length}{rest}").as_bytes());
    }
    entry(b"pax", EntryType::XHeader, &body, |_| {})
}

impl Tarball {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a file.
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        if path.len() > 100 {
            self.0.extend(pax(&[("path", path)]));
        }
        self.0.extend(entry(path.as_bytes(), EntryType::Regular, content, |_| {}));
        self
    }

    /// Adds a folder.
    pub fn folder(mut self, path: &str) -> Self {
        self.0.extend(entry(path.as_bytes(), EntryType::Directory, b"", |_| {}));
        self
    }

    /// Adds a link of this kind.
    pub fn link(self, kind: EntryType, path: &str, target: &str) -> Self {
        let link = entry(path.as_bytes(), kind, b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        });
        self.raw(&link)
    }

    /// The same, whatever the lengths of its names.
    pub fn link_long(self, kind: EntryType, path: &str, target: &str) -> Self {
        let extended = [("path", path), ("linkpath", target)].into_iter().filter(|(_, name)| name.len() > 100);
        let extended: Vec<_> = extended.collect();
        let link = entry(path.as_bytes(), kind, b"", |header| {
            let short = target.len().min(100);
            header.as_old_mut().linkname[..short].copy_from_slice(&target.as_bytes()[..short]);
        });
        let tar = if extended.is_empty() { self } else { self.raw(&pax(&extended)) };
        tar.raw(&link)
    }

    /// Adds a symbolic link.
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Symlink, path, target)
    }

    /// What was written so far, without an end.
    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }

    /// The finished archive.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
