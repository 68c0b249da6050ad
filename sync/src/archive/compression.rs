//! What a stream is, told by its first bytes and never by its name, and unpacking with a bound.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::problem::Halt;
use super::source::{PIECE, Source, read_buffered};
use super::tar;

/// Bytes that tell every format apart.
pub(crate) const HEAD: usize = tar::BLOCK;

/// Times its compressed size that something may unpack to once it is over [`UNPACKED_ANYWAY`]: text and code reach 20,
/// disks of zeros a thousand.
const RATIO: u64 = 250;
const UNPACKED_ANYWAY: u64 = 1 << 30;

/// The largest window taken: what `zstd -d` takes without being told otherwise.
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Tar,
    Gzip,
    Zstd,
    /// Known, and not read here; its name.
    Foreign(&'static str),
    Empty,
    Other,
}

impl Format {
    /// Tells from the first [`HEAD`] bytes.
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [] => Self::Empty,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may stand first (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Foreign("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Foreign("bzip2"),
            [b'P', b'K', 3, 4, ..] => Self::Foreign("zip"),
            _ if tar::is_header(head) => Self::Tar,
            _ => Self::Other,
        }
    }
}

/// An unpacking stream over another.
pub(crate) struct Unpacked<'s> {
    inner: BufReader<Decoder<'s>>,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    limit: u64,
}

enum Decoder<'s> {
    Gzip(Box<MultiGzDecoder<Counted<'s>>>),
    Zstd(zstd::stream::read::Decoder<'static, Counted<'s>>),
}

impl<'s> Unpacked<'s> {
    pub(crate) fn gzip(source: &'s mut dyn Source) -> Self {
        let packed = Rc::new(Cell::new(0));
        let counted = Counted { source, count: Rc::clone(&packed) };
        Self::over(Decoder::Gzip(Box::new(MultiGzDecoder::new(counted))), packed)
    }

    pub(crate) fn zstd(source: &'s mut dyn Source) -> io::Result<Self> {
        let packed = Rc::new(Cell::new(0));
        let counted = Counted { source, count: Rc::clone(&packed) };
        let mut decoder = zstd::stream::read::Decoder::with_buffer(counted)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Ok(Self::over(Decoder::Zstd(decoder), packed))
    }

    fn over(decoder: Decoder<'s>, packed: Rc<Cell<u64>>) -> Self {
        Self { inner: BufReader::with_capacity(PIECE, decoder), packed, unpacked: 0, limit: u64::MAX }
    }

    /// The same, refusing to unpack to more than `limit` bytes.
    pub(crate) const fn at_most(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }
}

/// How far something of `packed` bytes may unpack.
pub(crate) fn allowance(packed: u64) -> u64 {
    UNPACKED_ANYWAY.max(packed.saturating_mul(RATIO))
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(out),
            Self::Zstd(decoder) => decoder.read(out),
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Unpacked<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inner.buffer().is_empty() {
            self.unpacked += self.inner.fill_buf()?.len() as u64;
            let limit = self.limit.min(allowance(self.packed.get()));
            if self.unpacked > limit {
                return Err(Halt::Bomb(limit).into());
            }
        }
        Ok(self.inner.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

impl Source for Unpacked<'_> {}

/// Counts what a decoder takes.
struct Counted<'s> {
    source: &'s mut dyn Source,
    count: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count.set(self.count.get() + count as u64);
        self.source.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(mut packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match Format::of(packed) {
            Format::Gzip => Unpacked::gzip(&mut packed).read_to_end(&mut out)?,
            _ => Unpacked::zstd(&mut packed)?.read_to_end(&mut out)?,
        };
        Ok(out)
    }

    #[test]
    fn a05_members_and_frames_follow_each_other_and_rubbish_behind_them_is_an_error() {
        assert_eq!(unpack(&[gzip(b"a"), gzip(b"b")].concat()).unwrap(), b"ab");
        assert!(unpack(&[gzip(b"a"), b"rubbish".to_vec()].concat()).is_err());
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert_eq!(unpack(&[&skippable[..], &frame(b"a"), &skippable, &frame(b"b")].concat()).unwrap(), b"ab");
        assert!(unpack(&[frame(b"a"), b"rubbish".to_vec()].concat()).is_err());
    }

    #[test]
    fn a05_a_window_of_2_gib_is_refused_before_it_is_allocated() {
        // A frame header asking for a window of 2^31 bytes (RFC 8878, 3.1.1.1.2: exponent 21), then an empty block.
        let bomb = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        assert!(unpack(&bomb).unwrap_err().to_string().contains("memory"), "zstd names the cause");
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        for whole in [gzip(&[7; 100_000]), zstd::encode_all(&[7_u8; 100_000][..], 1).unwrap()] {
            for end in 4..whole.len() {
                assert!(unpack(&whole[..end]).is_err(), "{end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        let packed = gzip(&vec![0; 1_000_000]);
        let mut source = packed.as_slice();
        let error = Unpacked::gzip(&mut source).at_most(10_000).read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("10000"), "{error}");
        assert_eq!(allowance(10), UNPACKED_ANYWAY);
        assert_eq!(allowance(1 << 30), 250 << 30);
    }
}
