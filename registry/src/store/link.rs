//! Link files: the truth about what is in which repository and where its tags point.
//!
//! One line of JSON and one of its CRC-32, so that a person can read them and a damaged one is never believed. Written
//! whole and renamed into place.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

use super::error::StoreError;
use crate::oci::{Digest, MediaType};

/// Where a tag's content came from. Pushed outranks ingested, ingested outranks mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// A client pushed it.
    Pushed {
        /// Who, as far as it is known.
        by: String,
    },
    /// A bundle brought it.
    Ingested {
        /// The bundle's name.
        bundle: String,
        /// The release it became; a rollback that puts the tag back leaves this as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<u64>,
    },
    /// It was fetched from an upstream registry.
    Mirrored {
        /// The upstream's host.
        upstream: String,
    },
}

impl Provenance {
    /// Precedence: the higher number is not replaced by the lower one unless somebody says so.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Pushed { .. } => 2,
            Self::Ingested { .. } => 1,
            Self::Mirrored { .. } => 0,
        }
    }

    /// In words, with the release.
    pub(crate) fn with_release(&self) -> String {
        match self {
            Self::Ingested { release: Some(release), .. } => format!("{self}; release={release}"),
            _ => self.to_string(),
        }
    }
}

impl std::fmt::Display for Provenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pushed { by } => write!(f, "pushed by {by}"),
            Self::Ingested { bundle, .. } => write!(f, "ingested from {bundle}"),
            Self::Mirrored { upstream } => write!(f, "mirrored from {upstream}"),
        }
    }
}

/// A manifest is in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestLink {
    /// The type it was pushed with and is served with.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Whether an ingest linked it and nobody pushed it since: only then may the end of its release take it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ingested: bool,
}

/// A blob was pushed to or mounted in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobLink {
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// A tag points at a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagLink {
    /// The manifest's digest.
    pub digest: Digest,
    /// The change that put it there; orders changes, as no clock does.
    pub sequence: u64,
    /// Seconds since 1970 by this machine's clock, for people only.
    pub at: u64,
    /// From whom.
    pub provenance: Provenance,
}

/// The text of a link file.
pub(crate) fn render<T: Serialize>(link: &T) -> Vec<u8> {
    // These types have string keys and no maps, which is all that can fail.
    let mut text = serde_json::to_vec(link).unwrap_or_default();
    let checksum = crc32fast::hash(&text);
    text.extend_from_slice(format!("\ncrc32:{checksum:08x}\n").as_bytes());
    text
}

/// Reads a link file's text; `path` is for the error.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<T, StoreError> {
    let body = text
        .strip_suffix(b"\n")
        .and_then(|text| {
            let newline = text.iter().rposition(|byte| *byte == b'\n')?;
            let (body, checksum) = (&text[..newline], &text[newline + 1..]);
            let stated = std::str::from_utf8(checksum.strip_prefix(b"crc32:")?).ok()?;
            (u32::from_str_radix(stated, 16).ok()? == crc32fast::hash(body)).then_some(body)
        })
        .ok_or_else(|| StoreError::damaged(path, "its checksum does not fit its content"))?;
    serde_json::from_slice(body).map_err(|error| StoreError::damaged(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> TagLink {
        TagLink {
            digest: crate::oci::Algorithm::Sha256.digest(b"x"),
            sequence: 7,
            at: 1_763_600_000,
            provenance: Provenance::Ingested { bundle: "zenml.tar".into(), release: Some(7) },
        }
    }

    #[test]
    fn a_link_is_one_line_a_person_can_read() {
        let text = String::from_utf8(render(&link())).unwrap();
        assert!(text.starts_with(r#"{"digest":"sha256:2d711642b726b044"#), "{text}");
        assert!(text.contains(r#""provenance":{"ingested":{"bundle":"zenml.tar","release":7}}"#), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    proptest! {
        #[test]
        fn s04_a_damaged_link_is_never_believed(position in 0usize..200, flip in 1u8..=255, cut in 0usize..200) {
            let whole = render(&link());
            let path = Path::new("link");
            prop_assert_eq!(parse::<TagLink>(&whole, path).unwrap(), link());
            let mut flipped = whole.clone();
            let position = position % whole.len();
            flipped[position] ^= flip;
            // A changed digit may keep its meaning only in the checksum's own letters' case.
            if let Ok(read) = parse::<TagLink>(&flipped, path) { prop_assert_eq!(read, link()) }
            prop_assert!(parse::<TagLink>(&whole[..cut % whole.len()], path).is_err());
        }
    }
}
