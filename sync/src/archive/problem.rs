//! What can be wrong with an archive, and the few things that are not the archive's fault.

use std::io;

use airdock_registry::oci::{Digest, InvalidManifest};

/// Why an archive, or one image or chart in it, does not go in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Cut short.
    #[error("incomplete: {0}; copy the file again from where it was made")]
    Incomplete(String),
    /// Cut short, and called as parts of a whole are.
    #[error(
        "incomplete: {what}; if so, join them in order (`{join}`), else copy the file again from where it was made"
    )]
    Part {
        /// What its name says.
        what: String,
        /// The command that joins the parts.
        join: String,
    },
    /// Not what a decompressor or parser can read.
    #[error("damaged: {0}")]
    Damaged(String),
    /// An entry no honest tool writes.
    #[error("entry `{entry}` is refused: {reason}")]
    Refused {
        /// The entry's name, shortened and made printable.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Over a bound.
    #[error("{what} is over the limit of {limit}; {cure}")]
    OverLimit {
        /// What is.
        what: String,
        /// The bound, with its unit.
        limit: String,
        /// What to do.
        cure: &'static str,
    },
    /// A document that is not what its name says.
    #[error("`{entry}` cannot be read: {reason}")]
    Document {
        /// The entry.
        entry: String,
        /// What the parser said.
        reason: String,
    },
    /// A manifest the registry would not take.
    #[error("manifest `{digest}` is refused")]
    Manifest {
        /// Its digest.
        digest: Digest,
        /// Why.
        source: InvalidManifest,
    },
    /// Content that is not what its name or its image says.
    #[error("`{entry}` has the digest {found}, expected {expected}; it was damaged or changed on the way")]
    Digest {
        /// The entry.
        entry: String,
        /// What its name or its image says.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// A size that differs from the descriptor's.
    #[error("`{entry}` has {found} bytes where its descriptor says {expected}; it was damaged or changed on the way")]
    Size {
        /// The entry.
        entry: String,
        /// What the descriptor says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Something an image needs is not in the archive.
    #[error("it needs {what}, which the archive does not hold; save the image again with everything it refers to")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// Something that cannot be made an image or chart.
    #[error("{0}")]
    Unusable(String),
    /// The medium could not be read.
    #[error("could not read it: {0}")]
    Read(#[source] io::Error),
    /// Somebody stopped the ingest. Ends it.
    #[error("stopped")]
    Cancelled,
    /// The disk has not the room for what an entry says it holds. Ends the ingest: the rest would be half a bundle.
    #[error("`{entry}` does not fit")]
    NoRoom {
        /// The entry.
        entry: String,
        /// What is missing.
        source: airdock_registry::Error,
    },
    /// The registry's own side failed. Ends the ingest.
    #[error("the registry could not take it")]
    Registry(#[source] airdock_registry::Error),
}

impl Problem {
    /// Whether the whole ingest must end: the next file would fare no better.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self, Self::Cancelled | Self::NoRoom { .. } | Self::Registry(_))
    }

    pub(crate) fn refused(entry: &str, reason: impl Into<String>) -> Self {
        Self::Refused { entry: printable(entry), reason: reason.into() }
    }

    pub(crate) fn document(entry: &str, reason: impl std::fmt::Display) -> Self {
        Self::Document { entry: printable(entry), reason: printable(&reason.to_string()) }
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    /// The problem with its causes, as one sentence.
    pub(crate) fn sentence(&self) -> String {
        with_causes(self.to_string(), self)
    }

    /// The causes alone, as one sentence.
    pub(crate) fn causes(&self) -> String {
        let Some(cause) = std::error::Error::source(self) else { return self.to_string() };
        with_causes(cause.to_string(), cause)
    }
}

fn with_causes(mut sentence: String, error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !sentence.contains(&text) {
            sentence = format!("{sentence}: {text}");
        }
        cause = error.source();
    }
    sentence
}

/// What went wrong below a reader, carried through `io::Error` by the adapters of this room.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    #[error("stopped")]
    Cancelled,
    #[error("it unpacks to more than {0} bytes")]
    Bomb(u64),
}

impl From<Halt> for io::Error {
    fn from(halt: Halt) -> Self {
        Self::other(halt)
    }
}

impl From<io::Error> for Problem {
    /// Every reader of this room reads an archive, so an early end is the archive's.
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Halt>()) {
            Some(Halt::Cancelled) => return Self::Cancelled,
            Some(Halt::Bomb(limit)) => {
                return Self::OverLimit {
                    what: "what it unpacks to".into(),
                    limit: format!("{limit} bytes"),
                    cure: "an honest archive hardly grows so much; look by hand at what is in it, then raise `ingest.limits.ratio`",
                };
            }
            None => {}
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Incomplete("it ends in the middle".into()),
            // zstd's own words and xz's for a window beyond what was allowed.
            _ if ["too much memory", "memory limit"].iter().any(|words| error.to_string().contains(words)) => {
                Self::OverLimit {
                    what: "the window it must be unpacked with".into(),
                    limit: format!("{} MiB", 1 << (super::compression::ZSTD_WINDOW_LOG - 20)),
                    cure: "compress it again with `zstd --long=27` or `xz -9`, or less",
                }
            }
            // What the decompressors say of bytes they cannot read; the medium's own errors carry a number.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other
                if error.raw_os_error().is_none() =>
            {
                Self::Damaged(printable(&error.to_string()))
            }
            _ => Self::Read(error),
        }
    }
}

/// A stranger's text for an error or a report: short, and without anything a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(200).map(safe).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}
