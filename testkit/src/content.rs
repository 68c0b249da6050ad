//! Bytes to push and to pack, their digests, and their compressed forms.

use std::io::Write as _;

use airdock_registry::oci::Algorithm;

/// The sha256 digest of `content`, as text.
pub fn digest(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha256.digest(content.as_ref()).to_string()
}

/// The sha512 digest of `content`, as text.
pub fn sha512(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha512.digest(content.as_ref()).to_string()
}

/// The hexadecimal part of the sha256 digest of `content`, which names its file in a store or a layout.
pub fn hex(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha256.digest(content.as_ref()).encoded()
}

/// Bytes that look random, no two places alike; the same for the same seed.
pub fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

/// Bytes that look random, where one sort is enough.
pub fn noise(size: usize) -> Vec<u8> {
    bytes(0, size)
}

/// Compressed with gzip.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Compressed with xz.
pub fn xz(content: &[u8]) -> Vec<u8> {
    liblzma::encode_all(content, 1).unwrap()
}

/// Compressed with bzip2.
pub fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Compressed with zstd.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}
