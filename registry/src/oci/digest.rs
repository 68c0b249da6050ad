//! Content digests: `sha256:<64 lower-case hex>` and `sha512:<128 lower-case hex>`.
//!
//! Grammar: OCI image-spec `descriptor.md`, "Digests". Unknown algorithms are refused when parsing, so every `Digest` is
//! safe as a file name.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// A registered digest algorithm that this registry supports.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// Every supported algorithm.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// A hasher for this algorithm.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher(Inner::Sha256(sha2::Sha256::new())),
            Self::Sha512 => Hasher(Inner::Sha512(Box::new(sha2::Sha512::new()))),
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text);
        known.ok_or_else(|| InvalidDigest::UnknownAlgorithm(excerpt(text)))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digest of some content: an algorithm and the hash. Compared as bytes.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    // Bytes beyond the algorithm's length stay zero, so that the derived comparisons are right.
    bytes: [u8; 64],
}

impl Digest {
    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest's bytes: 32 for sha256, 64 for sha512.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// A digest from an algorithm and its hash; `None` if the length does not fit the algorithm.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.len() {
            return None;
        }
        let mut padded = [0; 64];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self { algorithm, bytes: padded })
    }

    /// The part after the colon, lower-case hex.
    #[must_use]
    pub fn encoded(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.algorithm.len() * 2);
        for byte in self.as_bytes() {
            text.push(HEX[usize::from(byte >> 4)] as char);
            text.push(HEX[usize::from(byte & 15)] as char);
        }
        text
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, encoded) = text.split_once(':').ok_or_else(|| InvalidDigest::NoAlgorithm(excerpt(text)))?;
        let algorithm: Algorithm = algorithm.parse()?;
        let encoded = encoded.as_bytes();
        if encoded.len() != algorithm.len() * 2 {
            return Err(InvalidDigest::WrongLength { algorithm, expected: algorithm.len() * 2, found: encoded.len() });
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(encoded.chunks_exact(2)) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(InvalidDigest::NotHex(excerpt(text))),
            }
        }
        Ok(Self { algorithm, bytes })
    }
}

/// Upper-case hex is invalid: a digest must have exactly one spelling.
const fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// The start of a text from outside, for an error message.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.encoded())
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// There is no colon.
    #[error("digest `{0}` has no `algorithm:` in front")]
    NoAlgorithm(String),
    /// The algorithm is not one this registry computes.
    #[error("digest algorithm `{0}` is not supported; use `sha256` or `sha512`")]
    UnknownAlgorithm(String),
    /// Too few or too many characters.
    #[error("a {algorithm} digest has {expected} hex characters, found {found}")]
    WrongLength {
        /// The algorithm named.
        algorithm: Algorithm,
        /// Characters it needs.
        expected: usize,
        /// Characters there were.
        found: usize,
    },
    /// A character outside `0-9a-f`.
    #[error("digest `{0}` has a character that is not lower-case hex")]
    NotHex(String),
}

/// Computes a [`Digest`] incrementally. Feed it up to 1 MiB at a time, while the data is in the CPU cache: larger pieces
/// hash at less than half the speed.
#[derive(Clone, Debug)]
pub struct Hasher(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Sha256(sha2::Sha256),
    // Boxed: its state is twice as large, and it is rarely used.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(state) => state.update(bytes),
            Inner::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes added.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = match self.0 {
            Inner::Sha256(state) => {
                bytes[..32].copy_from_slice(&state.finalize());
                Algorithm::Sha256
            }
            Inner::Sha512(state) => {
                bytes.copy_from_slice(&state.finalize());
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Inner::Sha256(_) => Algorithm::Sha256,
            Inner::Sha512(_) => Algorithm::Sha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(
            Algorithm::Sha256.digest(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(Algorithm::Sha512.digest(b"").to_string().starts_with("sha512:cf83e1357eefb8bd"));
    }

    #[test]
    fn h09_strings_that_are_not_a_digest_are_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for bad in [
            "",
            "sha256",
            "sha256:",
            &format!("sha256:{}", &hex[1..]),
            &format!("sha256:{hex}0"),
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("sha512:{hex}"),
            &format!("md5:{hex}"),
            &format!("SHA256:{hex}"),
            "sha256:../../etc/passwd",
            &format!("sha256:{}\0", &hex[1..]),
            &format!(" sha256:{hex}"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn deserialising_goes_through_the_same_check() {
        assert!(serde_json::from_str::<Digest>("\"sha256:../../x\"").is_err());
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trips(content: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = algorithm.digest(&content);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            prop_assert_eq!(Digest::from_bytes(algorithm, digest.as_bytes()), Some(digest));
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text: String) {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
