//! What a tag points at, and which source decides it: the only rule of rank.

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// Where the content of a stored tag came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// A client pushed it.
    Pushed {
        /// The client's name, if it is known.
        by: String,
    },
    /// A bundle brought it.
    Ingested {
        /// The bundle's name.
        bundle: String,
        /// The release; a rollback that restores the tag keeps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<u64>,
    },
    /// It was fetched from an upstream registry.
    Mirrored {
        /// The upstream's host.
        upstream: String,
    },
}

/// The rank of a source: the greater one decides. Nothing replaces a tag of a greater rank unless the operator asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// On a medium, below a protected prefix: everything stored goes before it.
    Yielding,
    /// Fetched from an upstream.
    Mirrored,
    /// Brought by a bundle.
    Ingested,
    /// On a medium that is served in place.
    Mounted,
    /// Pushed by a client.
    Pushed,
}

impl Provenance {
    /// Its rank.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        match self {
            Self::Pushed { .. } => Rank::Pushed,
            Self::Ingested { .. } => Rank::Ingested,
            Self::Mirrored { .. } => Rank::Mirrored,
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

/// A stored tag: what its link file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagLink {
    /// The manifest's digest.
    pub digest: Digest,
    /// The number of the change that wrote it; unlike clocks, these numbers order changes.
    pub sequence: u64,
    /// Seconds since 1970 by this machine's clock, for people only.
    pub at: u64,
    /// Where it came from.
    pub provenance: Provenance,
}

/// Which layer decides where a tag points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The data folder.
    Stored {
        /// The number of the change that wrote it.
        sequence: u64,
        /// Seconds since 1970 by this machine's clock, for people only.
        at: u64,
        /// Where it came from.
        provenance: Provenance,
    },
    /// A medium that is served in place.
    Mounted {
        /// What was mounted.
        medium: String,
        /// Whether stored tags go before it: its repository is protected.
        yields: bool,
    },
}

/// A tag of a repository as a pull sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The manifest it points at.
    pub digest: Digest,
    /// Which layer decides that.
    pub origin: Origin,
}

impl Origin {
    /// Its rank.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        match self {
            Self::Stored { provenance, .. } => provenance.rank(),
            Self::Mounted { yields: true, .. } => Rank::Yielding,
            Self::Mounted { yields: false, .. } => Rank::Mounted,
        }
    }
}

impl std::fmt::Display for Origin {
    /// The text of a header: with the release, without the path of a medium.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stored { provenance: provenance @ Provenance::Ingested { release: Some(release), .. }, .. } => {
                write!(f, "{provenance}; release={release}")
            }
            Self::Stored { provenance, .. } => provenance.fmt(f),
            Self::Mounted { medium, .. } => write!(f, "mounted from {}", medium.rsplit('/').next().unwrap_or_default()),
        }
    }
}

impl From<TagLink> for Binding {
    fn from(TagLink { digest, sequence, at, provenance }: TagLink) -> Self {
        Self { digest, origin: Origin::Stored { sequence, at, provenance } }
    }
}

/// The binding of the greatest rank; of equal ones the first.
pub(crate) fn greatest(bindings: impl IntoIterator<Item = Binding>) -> Option<Binding> {
    bindings.into_iter().reduce(|first, next| if next.origin.rank() > first.origin.rank() { next } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{parse, render};
    use crate::oci::Algorithm;
    use proptest::prelude::*;
    use std::path::Path;

    fn link() -> TagLink {
        TagLink {
            digest: Algorithm::Sha256.digest(b"x"),
            sequence: 7,
            at: 1_763_600_000,
            provenance: Provenance::Ingested { bundle: "zenml.tar".into(), release: Some(7) },
        }
    }

    #[test]
    fn pushed_goes_before_mounted_before_ingested_before_mirrored() {
        let stored = |provenance| Binding::from(TagLink { provenance, ..link() });
        let pushed = stored(Provenance::Pushed { by: "x".into() });
        let ingested = stored(Provenance::Ingested { bundle: "x".into(), release: None });
        let mirrored = stored(Provenance::Mirrored { upstream: "x".into() });
        let mounted = |yields| Binding {
            digest: Algorithm::Sha256.digest(b"y"),
            origin: Origin::Mounted { medium: "/media/disc".into(), yields },
        };
        for (less, greater) in [
            (&mirrored, &ingested),
            (&ingested, &mounted(false)),
            (&mounted(false), &pushed),
            (&mounted(true), &mirrored),
        ] {
            assert_eq!(greatest([less.clone(), greater.clone()]).as_ref(), Some(greater));
            assert_eq!(greatest([greater.clone(), less.clone()]).as_ref(), Some(greater));
        }
        assert_eq!(mounted(false).origin.to_string(), "mounted from disc");
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
