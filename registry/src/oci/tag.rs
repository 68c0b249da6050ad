//! Tags, and the specification's `<reference>`: a tag or a digest.
//!
//! Grammar: OCI distribution-spec, "Pulling manifests". A reference with a colon is a digest, any other is a tag.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Digest, InvalidDigest};

/// The longest tag, in bytes.
const MAX_LEN: usize = 128;

/// A valid tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Cheap to clone. Ordered bytewise, like tag lists (end-8).
#[derive(Clone, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients without the referrers API store the referrers of `subject`:
    /// `<algorithm>-<first 64 characters of the encoded part>` (distribution-spec, "Referrers Tag Schema").
    #[must_use]
    pub fn referrers_fallback(subject: &Digest) -> Self {
        let mut encoded = subject.encoded();
        encoded.truncate(64);
        Self(format!("{}-{encoded}", subject.algorithm()).into())
    }

    /// Whether it is such a tag.
    #[must_use]
    pub fn is_referrers_fallback(&self) -> bool {
        self.0.split_once('-').is_some_and(|(algorithm, encoded)| {
            algorithm.parse::<super::Algorithm>().is_ok()
                && encoded.len() == 64
                && encoded.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (1..=MAX_LEN).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTag(text.chars().take(MAX_LEN + 1).collect()))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a tag. Holds its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tag `{0}` is not 1 to {MAX_LEN} letters, digits, `_`, `.` or `-`, beginning with a letter, digit or `_`")]
pub struct InvalidTag(String);

/// A reference to a manifest within a repository.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub enum TagOrDigest {
    /// By tag, which may move.
    Tag(Tag),
    /// By digest, which never changes.
    Digest(Digest),
}

impl TagOrDigest {
    /// Parses a reference.
    ///
    /// # Errors
    /// A digest error if there is a colon, a tag error otherwise.
    pub fn parse(text: &str) -> Result<Self, InvalidTagOrDigest> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for TagOrDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTagOrDigest {
    /// It has a colon and is not a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// It has no colon and is not a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn h11_texts_that_are_no_tag_are_refused() {
        let long = "a".repeat(129);
        for bad in ["", ".INVALID_MANIFEST_NAME", "-a", "a/b", "a b", "ä", "a+b", &long] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!("a".repeat(128).parse::<Tag>().is_ok());
        assert!("_A.b-C_9".parse::<Tag>().is_ok());
    }

    #[test]
    fn a_colon_makes_it_a_digest() {
        assert!(matches!(TagOrDigest::parse("sha256:abc"), Err(InvalidTagOrDigest::Digest(_))));
        assert!(matches!(TagOrDigest::parse("v1"), Ok(TagOrDigest::Tag(_))));
    }

    #[test]
    fn the_fallback_tag_truncates_sha512_to_64_characters() {
        let digest = super::super::Algorithm::Sha512.digest(b"x");
        let tag = Tag::referrers_fallback(&digest);
        assert_eq!(tag.as_str().len(), "sha512-".len() + 64);
        assert!(tag.is_referrers_fallback());
        for other in ["sha256-12", "v1", "sha256-x.sig"] {
            assert!(!other.parse::<Tag>().unwrap().is_referrers_fallback(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_tag_of_the_grammar_round_trips(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(text.parse::<Tag>().unwrap().to_string(), text);
        }
    }
}
