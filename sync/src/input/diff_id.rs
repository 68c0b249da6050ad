//! The digest of what a compressed layer unpacks to (image-spec `config.md`, "Layer DiffID"), computed while the layer is
//! stored as it is. Nothing else unpacks a layer, and this only to check it against its config.

use std::io::{self, Write};

use airdock_registry::oci::{Algorithm, Digest, Hasher};

use super::compression::Format;
use crate::limits::{Allowance, WINDOW_LOG};
use crate::problem::{Halt, Problem, Result};
use crate::text::printable;

/// Computes a DiffID piece by piece.
pub(crate) struct DiffId {
    state: Result<Decoder, io::Error>,
    packed: u64,
    allowance: Allowance,
}

enum Decoder {
    /// Not known yet: the first pieces may be short.
    Undecided(Vec<u8>),
    /// Not compressed: the digest of the blob is its DiffID.
    Plain,
    Gzip(Box<flate2::write::MultiGzDecoder<Hashed>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Hashed>>),
}

struct Hashed {
    hasher: Hasher,
    unpacked: u64,
    allowed: u64,
}

impl Write for Hashed {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.unpacked += piece.len() as u64;
        if self.unpacked > self.allowed {
            return Err(Halt::Bomb(self.allowed).into());
        }
        self.hasher.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiffId {
    pub(crate) const fn new(allowance: Allowance) -> Self {
        Self { state: Ok(Decoder::Undecided(Vec::new())), packed: 0, allowance }
    }

    /// Takes the next piece of the layer as it is stored.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.packed += piece.len() as u64;
        if let Ok(decoder) = &mut self.state
            && let Err(error) = decoder.update(piece, self.allowance.of(self.packed))
        {
            self.state = Err(error);
        }
    }

    /// The DiffID of a layer whose digest is `stored`.
    pub(crate) fn finish(self, entry: &str, stored: Digest) -> Result<Digest> {
        let finish = || match self.state? {
            Decoder::Undecided(_) | Decoder::Plain => Ok(stored),
            Decoder::Gzip(mut decoder) => {
                decoder.try_finish()?;
                Ok(decoder.get_ref().hasher.clone().finish())
            }
            Decoder::Zstd(mut decoder) => {
                // The decoder reports a frame that is cut short only when flushed.
                decoder.flush()?;
                Ok(decoder.into_inner().hasher.finish())
            }
        };
        finish().map_err(|error: io::Error| match Problem::from(error) {
            Problem::OverLimit { limit, cure, .. } => {
                Problem::OverLimit { what: format!("what layer `{}` unpacks to", printable(entry)), limit, cure }
            }
            other => Problem::Damaged(format!("layer `{}` cannot be unpacked: {other}", printable(entry))),
        })
    }
}

impl Decoder {
    fn update(&mut self, piece: &[u8], allowed: u64) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(decoder) => {
                decoder.get_mut().allowed = allowed;
                decoder.write_all(piece)
            }
            Self::Zstd(decoder) => {
                decoder.get_mut().allowed = allowed;
                decoder.write_all(piece)
            }
            Self::Undecided(head) => {
                head.extend_from_slice(piece);
                if head.len() < 4 {
                    return Ok(());
                }
                let head = std::mem::take(head);
                let hashed = Hashed { hasher: Algorithm::Sha256.hasher(), unpacked: 0, allowed };
                *self = match Format::of(&head) {
                    Format::Gzip => Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(hashed))),
                    Format::Zstd => {
                        let mut decoder = zstd::stream::write::Decoder::new(hashed)?;
                        decoder.window_log_max(WINDOW_LOG)?;
                        Self::Zstd(Box::new(decoder))
                    }
                    _ => Self::Plain,
                };
                self.update(&head, allowed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stored: &[u8], step: usize) -> Result<Digest> {
        let mut diff_id = DiffId::new(Allowance { ratio: 250, from: 1 << 30 });
        stored.chunks(step).for_each(|piece| diff_id.update(piece));
        diff_id.finish("layer", Algorithm::Sha256.digest(stored))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn it_is_the_digest_of_the_content_however_that_is_packed() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n / 7) as u8).collect();
        let expected = Algorithm::Sha256.digest(&content);
        for stored in [content.clone(), gzip(&content), zstd::encode_all(&content[..], 1).unwrap()] {
            for step in [1, 3, 4096, usize::MAX] {
                assert_eq!(of(&stored, step.min(stored.len())).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_layer_cut_short_or_damaged_has_none() {
        let packed = gzip(&[7; 10_000]);
        assert!(of(&packed[..packed.len() - 4], 64).is_err());
        let mut damaged = packed;
        damaged[12] ^= 0xff;
        assert!(of(&damaged, 64).is_err());
    }

    #[test]
    fn a04_a_bomb_is_given_up_within_the_allowance() {
        // 2 GiB of zeros, more than such a small file may unpack to.
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..2048).for_each(|_| encoder.write_all(&zeros).unwrap());
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(of(&bomb, 4096), Err(Problem::OverLimit { .. })));
    }
}
