//! Readers for archives: a seekable range of a file, a pipe, and adapters.
//!
//! One pass over each byte and no needless copy: every reader hands out slices of one reused buffer. A body that ends
//! early is always an error, never a short success.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use airdock_registry::content::FileRange;

use crate::progress::Meter;

/// Bytes read and hashed at a time. Larger pieces would leave the processor's cache before they are hashed.
pub(crate) const PIECE: usize = 256 * 1024;

/// A reader that can skip bytes: by seeking where it can, by reading where it must. As `dyn Source` it is `Read` and
/// `BufRead`.
pub(crate) trait Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]>;

    fn consume(&mut self, count: usize);

    /// Skips `count` bytes; an error when there are fewer.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.skip_by_reading(count)
    }

    /// The same for one that cannot seek.
    fn skip_by_reading(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let available = self.fill_buf()?.len();
            if available == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(count).map_or(available, |count| count.min(available));
            self.consume(step);
            count -= step as u64;
        }
        Ok(())
    }

    /// How many bytes are left, where that is known.
    fn left(&self) -> Option<u64> {
        None
    }
}

impl Read for dyn Source + '_ {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for dyn Source + '_ {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Source::fill_buf(self)
    }

    fn consume(&mut self, count: usize) {
        Source::consume(self, count);
    }
}

/// Reads all that is left; the caller bounds it.
pub(crate) fn read_all(source: &mut dyn Source) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A range of a file.
#[derive(Clone)]
pub(crate) struct Extent {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl Extent {
    pub(crate) const fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Reads into `out` from the byte `at` of the range on. 0 at the end, also where the file was cut short.
    pub(crate) fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let count = out.len().min(left);
        uninterrupted(|| self.file.read_at(&mut out[..count], self.start + at))
    }
}

fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A range of a file as a seekable source.
pub(crate) struct Window<'a> {
    pub(crate) extent: Extent,
    path: Arc<Path>,
    meter: &'a Meter<'a>,
    /// How much of the range was read into the buffer or skipped.
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    next_read: usize,
    /// There may be other data after the archive.
    pub(crate) is_device: bool,
}

impl<'a> Window<'a> {
    /// The first read after a seek. Most seeks are for one tar header.
    const FIRST_READ: usize = 4 * 1024;

    /// The whole of `file`, whose path is `path` and whose size is `size`.
    pub(crate) fn new(file: File, path: &Path, size: u64, meter: &'a Meter<'a>) -> Self {
        Self::over(Extent { file: Arc::new(file), start: 0, end: size }, path.into(), meter)
    }

    fn over(extent: Extent, path: Arc<Path>, meter: &'a Meter<'a>) -> Self {
        Self { extent, path, meter, at: 0, buffer: Vec::new(), used: 0, next_read: Self::FIRST_READ, is_device: false }
    }

    /// `size` bytes of it from `offset` on, or as many as there are.
    pub(crate) fn part(&self, offset: u64, size: u64) -> Self {
        let start = self.extent.start.saturating_add(offset).min(self.extent.end);
        let end = start.saturating_add(size).min(self.extent.end);
        Self::over(Extent { file: self.extent.file.clone(), start, end }, self.path.clone(), self.meter)
    }

    pub(crate) const fn size(&self) -> u64 {
        self.extent.size()
    }

    /// Where its bytes are stored.
    pub(crate) fn range(&self) -> FileRange<'_> {
        FileRange { file: &self.extent.file, path: &self.path, offset: self.extent.start, size: self.size() }
    }

    /// Its first bytes, up to `count`.
    pub(crate) fn head(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; usize::try_from(self.size()).map_or(count, |size| size.min(count))];
        self.extent.file.read_exact_at(&mut head, self.extent.start)?;
        self.meter.peeked(head.len() as u64);
        Ok(head)
    }

    /// Reports that none of it needs reading.
    pub(crate) fn pass_over(&self) -> io::Result<()> {
        self.meter.skipped(self.size())
    }
}

impl Source for Window<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() && self.at < self.size() {
            let left = usize::try_from(self.size() - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(self.next_read.min(left), 0);
            self.used = self.buffer.len();
            let count = self.extent.read_at(&mut self.buffer, self.at)?;
            // The file was cut short while it was read.
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.truncate(count);
            self.used = 0;
            self.at += count as u64;
            self.next_read = (self.next_read * 8).min(PIECE);
            self.meter.read(count as u64)?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let buffered = (self.buffer.len() - self.used) as u64;
        if count <= buffered {
            self.used += usize::try_from(count).unwrap_or(0);
            return Ok(());
        }
        if count - buffered > self.size() - self.at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count - buffered;
        self.used = self.buffer.len();
        self.next_read = Self::FIRST_READ;
        Ok(())
    }

    fn left(&self) -> Option<u64> {
        Some(self.size() - self.at + (self.buffer.len() - self.used) as u64)
    }
}

/// A pipe: read once, from front to back.
pub(crate) struct Pipe<'a> {
    inner: BufReader<Box<dyn Read + Send>>,
    meter: &'a Meter<'a>,
}

impl<'a> Pipe<'a> {
    pub(crate) fn new(inner: Box<dyn Read + Send>, meter: &'a Meter<'a>) -> Self {
        Self { inner: BufReader::with_capacity(PIECE, inner), meter }
    }
}

impl Source for Pipe<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inner.buffer().is_empty() {
            let count = uninterrupted(|| self.inner.fill_buf().map(<[u8]>::len))?;
            self.meter.read(count as u64)?;
        }
        Ok(self.inner.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

/// A source whose first bytes have been read already.
pub(crate) struct Rewound<'s> {
    pub(crate) head: Vec<u8>,
    used: usize,
    rest: &'s mut dyn Source,
}

impl<'s> Rewound<'s> {
    pub(crate) fn new(head: Vec<u8>, rest: &'s mut dyn Source) -> Self {
        Self { head, used: 0, rest }
    }

    /// Reads the first `count` bytes of `rest`, or as many as there are.
    pub(crate) fn peek(rest: &'s mut dyn Source, count: usize) -> io::Result<Self> {
        let mut head = Vec::with_capacity(count);
        rest.take(count as u64).read_to_end(&mut head)?;
        Ok(Self::new(head, rest))
    }
}

impl Source for Rewound<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used < self.head.len() { Ok(&self.head[self.used..]) } else { self.rest.fill_buf() }
    }

    fn consume(&mut self, count: usize) {
        if self.used < self.head.len() {
            self.used += count;
        } else {
            self.rest.consume(count);
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let held = (self.head.len() - self.used) as u64;
        if count <= held {
            self.used += usize::try_from(count).unwrap_or(0);
            return Ok(());
        }
        self.used = self.head.len();
        self.rest.skip(count - held)
    }

    fn left(&self) -> Option<u64> {
        self.rest.left().map(|left| left + (self.head.len() - self.used) as u64)
    }
}

impl Source for &[u8] {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self)
    }

    fn consume(&mut self, count: usize) {
        *self = &self[count..];
    }

    fn left(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}
