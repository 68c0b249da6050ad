//! The format of a stream, told by its first bytes and never by its name, and unpacking within a bound.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;

use super::source::{PIECE, Source};
use super::tar;
use crate::limits::{Allowance, WINDOW_LOG};
use crate::problem::Halt;

/// How many bytes tell all formats apart.
pub(crate) const HEAD: usize = tar::BLOCK;

/// The memory that unpacking xz may take: a dictionary and the decoder's own. `xz -9` needs half of it.
const XZ_MEMORY: u64 = (1 << WINDOW_LOG) + (4 << 20);

/// The format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Tar,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    /// Known but not supported; its name.
    Foreign(&'static str),
    Empty,
    Other,
}

impl Format {
    /// Whether it can be unpacked here.
    pub(crate) const fn is_compressed(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd | Self::Xz | Self::Bzip2)
    }

    /// Tells from the first [`HEAD`] bytes.
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [] => Self::Empty,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // After the magic comes that of the first block, or of the end of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Self::Bzip2,
            [b'P', b'K', 3, 4, ..] => Self::Foreign("zip"),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Self::Foreign("7-Zip"),
            [b'L', b'Z', b'I', b'P', ..] => Self::Foreign("lzip"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Foreign("lz4"),
            _ if tar::is_header(head) => Self::Tar,
            _ => Self::Other,
        }
    }
}

/// Unpacks another stream.
pub(crate) struct Unpacked<'s> {
    inner: BufReader<Box<dyn Read + 's>>,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    allowance: Allowance,
}

impl<'s> Unpacked<'s> {
    pub(crate) fn new(format: Format, source: &'s mut dyn Source, allowance: Allowance) -> io::Result<Self> {
        let packed = Rc::new(Cell::new(0));
        let counted: Box<dyn Source + 's> = Box::new(Counted { source, count: Rc::clone(&packed) });
        let decoder: Box<dyn Read + 's> = match format {
            Format::Gzip => Box::new(MultiGzDecoder::new(counted)),
            Format::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(counted)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
            Format::Xz => {
                let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(XzDecoder::new_stream(counted, decoder))
            }
            Format::Bzip2 => Box::new(MultiBzDecoder::new(counted)),
            _ => return Err(io::Error::other("it is not compressed")),
        };
        Ok(Self { inner: BufReader::with_capacity(PIECE, decoder), packed, unpacked: 0, allowance })
    }
}

impl Source for Unpacked<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inner.buffer().is_empty() {
            self.unpacked += self.inner.fill_buf()?.len() as u64;
            let limit = self.allowance.of(self.packed.get());
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

/// Counts the bytes a decoder consumes.
struct Counted<'s> {
    source: &'s mut dyn Source,
    count: Rc<Cell<u64>>,
}

impl Source for Counted<'_> {
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
    use std::io::Write;

    use super::super::source::read_all;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const ALLOWANCE: Allowance = Allowance { ratio: 250, from: 1 << 30 };

    fn xz(bytes: &[u8]) -> Vec<u8> {
        liblzma::encode_all(bytes, 1).unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(mut packed: &[u8]) -> io::Result<Vec<u8>> {
        read_all(&mut Unpacked::new(Format::of(packed), &mut packed, ALLOWANCE)?)
    }

    #[test]
    fn a05_members_and_frames_follow_each_other_and_rubbish_behind_them_is_an_error() {
        for pack in [gzip, xz, bzip2] {
            assert_eq!(unpack(&[pack(b"a"), pack(b"b")].concat()).unwrap(), b"ab");
            assert!(unpack(&[pack(b"a"), b"rubbish".to_vec()].concat()).is_err());
            assert_eq!(unpack(&pack(b"")).unwrap(), b"");
        }
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
        let content = [7; 100_000];
        for whole in [gzip(&content), zstd::encode_all(&content[..], 1).unwrap(), xz(&content), bzip2(&content)] {
            for end in 10..whole.len() {
                assert!(unpack(&whole[..end]).is_err(), "{end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn a05_an_xz_dictionary_beyond_the_limit_is_refused_with_the_cure() {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 28);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let encoder = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), encoder);
        encoder.write_all(b"small").unwrap();
        let error = unpack(&encoder.finish().unwrap()).unwrap_err();
        let problem = crate::problem::Problem::from(error).to_string();
        assert!(problem.contains("128 MiB") && problem.contains("xz -9"), "{problem}");
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        let zeros = vec![0; 1_000_000];
        for packed in [gzip(&zeros), xz(&zeros), bzip2(&zeros), zstd::encode_all(&zeros[..], 1).unwrap()] {
            let mut source = packed.as_slice();
            let small = Allowance { ratio: 2, from: 50_000 };
            let mut unpacked = Unpacked::new(Format::of(&packed), &mut source, small).unwrap();
            let error = read_all(&mut unpacked).unwrap_err();
            assert!(error.to_string().contains("50000"), "{error}");
        }
        assert_eq!(ALLOWANCE.of(10), 1 << 30);
        assert_eq!(ALLOWANCE.of(1 << 30), 250 << 30);
    }
}
