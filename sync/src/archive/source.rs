//! Readers for archives: a part of a file that can be read anywhere, a pipe, and the adapters between.
//!
//! One pass over each byte, no copy that can be spared: everything hands out slices of one reused buffer. A body that
//! ends early is always an error, never a short success.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::problem::Halt;
use crate::ingest::{Cancel, Event};

/// The piece read and hashed at a time: larger ones leave the processor's cache before they are hashed.
pub(crate) const PIECE: usize = 256 * 1024;

/// A reader that can leave bytes out: by seeking where it can, by reading where it must.
pub(crate) trait Source: BufRead {
    /// Leaves out `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        skip_by_reading(self, count)
    }

    /// How many bytes are said to come, where somebody says so.
    fn left(&self) -> Option<u64> {
        None
    }
}

fn skip_by_reading(source: &mut (impl BufRead + ?Sized), mut count: u64) -> io::Result<()> {
    while count > 0 {
        let available = source.fill_buf()?.len();
        if available == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let step = usize::try_from(count).map_or(available, |count| count.min(available));
        source.consume(step);
        count -= step as u64;
    }
    Ok(())
}

/// Counts what is read, tells how far it is, and stops it when asked.
pub(crate) struct Meter<'a> {
    progress: &'a dyn Fn(Event),
    cancel: &'a Cancel,
    read: Cell<u64>,
    // Of the file being read: what may still be told of it, and what was not told yet.
    untold: Cell<u64>,
    pending: Cell<u64>,
}

impl<'a> Meter<'a> {
    /// Told in steps of this many bytes: a terminal needs no more.
    const STEP: u64 = 4 * 1024 * 1024;

    pub(crate) const fn new(progress: &'a dyn Fn(Event), cancel: &'a Cancel) -> Self {
        Self { progress, cancel, read: Cell::new(0), untold: Cell::new(0), pending: Cell::new(0) }
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.progress)(event);
    }

    /// A file of `size` bytes begins; `None` for a pipe.
    pub(crate) fn begin(&self, size: Option<u64>) {
        self.untold.set(size.unwrap_or(u64::MAX));
    }

    /// The file is dealt with, whatever of it was read.
    pub(crate) fn end(&self) {
        let rest = self.untold.replace(0);
        // A pipe's length was never known, so nothing of it is left to tell.
        if rest < u64::MAX / 2 {
            self.pending.set(self.pending.get() + rest);
        }
        self.flush();
    }

    /// `count` bytes are dealt with without being read.
    pub(crate) fn skipped(&self, count: u64) -> io::Result<()> {
        let told = count.min(self.untold.get());
        self.untold.set(self.untold.get() - told);
        self.pending.set(self.pending.get() + told);
        if self.pending.get() >= Self::STEP {
            self.flush();
        }
        if self.cancel.is_cancelled() { Err(Halt::Cancelled.into()) } else { Ok(()) }
    }

    /// `count` bytes were read.
    pub(crate) fn read(&self, count: u64) -> io::Result<()> {
        self.read.set(self.read.get() + count);
        self.skipped(count)
    }

    /// All bytes read so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    fn flush(&self) {
        let bytes = self.pending.replace(0);
        if bytes > 0 {
            self.tell(Event::Advanced { bytes });
        }
    }
}

/// A part of a file, readable from anywhere.
pub(crate) struct Window<'a> {
    file: Arc<File>,
    path: Arc<Path>,
    meter: &'a Meter<'a>,
    start: u64,
    end: u64,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    appetite: usize,
    device: bool,
}

impl<'a> Window<'a> {
    /// The whole of `file`, which lies at `path` and has `size` bytes.
    pub(crate) fn new(file: File, path: &Path, size: u64, meter: &'a Meter<'a>) -> Self {
        Self {
            file: Arc::new(file),
            path: path.into(),
            meter,
            start: 0,
            end: size,
            at: 0,
            buffer: Vec::new(),
            used: 0,
            appetite: Self::TASTE,
            device: false,
        }
    }

    /// The whole of a device: something else may lie behind what begins on it.
    pub(crate) fn of_device(file: File, path: &Path, size: u64, meter: &'a Meter<'a>) -> Self {
        Self { device: true, ..Self::new(file, path, size, meter) }
    }

    pub(crate) const fn is_device(&self) -> bool {
        self.device
    }

    /// Read after a seek: a tar header and the next is all that most seeks want.
    const TASTE: usize = 4 * 1024;

    /// `size` bytes of it from `offset`, or as many as there are.
    pub(crate) fn part(&self, offset: u64, size: u64) -> Self {
        let start = self.start.saturating_add(offset).min(self.end);
        let end = start.saturating_add(size).min(self.end);
        let (file, path, meter) = (Arc::clone(&self.file), Arc::clone(&self.path), self.meter);
        Self {
            file,
            path,
            meter,
            start,
            end,
            at: start,
            buffer: Vec::new(),
            used: 0,
            appetite: Self::TASTE,
            device: false,
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Where in its file it begins.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// The file it is a part of, and where that lies.
    pub(crate) fn file(&self) -> (&File, &Path) {
        (&self.file, &self.path)
    }

    /// Its first bytes, up to `count`.
    pub(crate) fn head(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; usize::try_from(self.size()).map_or(count, |size| size.min(count))];
        self.file.read_exact_at(&mut head, self.start)?;
        self.meter.read.set(self.meter.read.get() + head.len() as u64);
        Ok(head)
    }

    /// The same bytes, for another thread.
    pub(crate) fn extent(&self) -> Extent {
        Extent { file: Arc::clone(&self.file), start: self.start, end: self.end }
    }

    /// Says that none of it needs reading.
    pub(crate) fn pass_over(&self) -> io::Result<()> {
        self.meter.skipped(self.size())
    }
}

/// A part of a file, for a thread that counts what it reads by itself.
pub(crate) struct Extent {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl Extent {
    pub(crate) const fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Reads into `out` from the byte `at` on; 0 at the end, also where the file was cut short.
    pub(crate) fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let room = out.len().min(left);
        loop {
            match self.file.read_at(&mut out[..room], self.start + at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Window<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() && self.at < self.end {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(self.appetite.min(left), 0);
            self.used = self.buffer.len();
            let count = loop {
                match self.file.read_at(&mut self.buffer, self.at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            // The file was cut short while it was read.
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.truncate(count);
            self.used = 0;
            self.at += count as u64;
            self.appetite = (self.appetite * 8).min(PIECE);
            self.meter.read(count as u64)?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }
}

impl Source for Window<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let buffered = (self.buffer.len() - self.used) as u64;
        if count <= buffered {
            self.used += usize::try_from(count).unwrap_or(0);
            return Ok(());
        }
        if count - buffered > self.end - self.at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count - buffered;
        self.used = self.buffer.len();
        self.appetite = Self::TASTE;
        Ok(())
    }

    fn left(&self) -> Option<u64> {
        Some(self.end - self.at + (self.buffer.len() - self.used) as u64)
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

impl Read for Pipe<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Pipe<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inner.buffer().is_empty() {
            let count = loop {
                match self.inner.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?.len(),
                }
            };
            self.meter.read(count as u64)?;
        }
        Ok(self.inner.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

impl Source for Pipe<'_> {}

/// A source whose first bytes were looked at already.
pub(crate) struct Rewound<'s> {
    head: Vec<u8>,
    used: usize,
    rest: &'s mut dyn Source,
}

impl<'s> Rewound<'s> {
    pub(crate) fn new(head: Vec<u8>, rest: &'s mut dyn Source) -> Self {
        Self { head, used: 0, rest }
    }

    /// Looks at the first `count` bytes of `rest`, or as many as there are.
    pub(crate) fn peek(rest: &'s mut dyn Source, count: usize) -> io::Result<Self> {
        let mut head = Vec::with_capacity(count);
        rest.take(count as u64).read_to_end(&mut head)?;
        Ok(Self::new(head, rest))
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl Read for Rewound<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Rewound<'_> {
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
}

impl Source for Rewound<'_> {
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

/// `Read` for whatever is `BufRead`.
pub(crate) fn read_buffered(source: &mut (impl BufRead + ?Sized), out: &mut [u8]) -> io::Result<usize> {
    let available = source.fill_buf()?;
    let count = available.len().min(out.len());
    out[..count].copy_from_slice(&available[..count]);
    source.consume(count);
    Ok(count)
}

impl Source for &[u8] {
    fn left(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}
