//! What can be wrong with an archive, and the few failures that are not the archive's fault.

use std::error::Error;
use std::io;

use airdock_registry::oci::{Digest, InvalidManifest};

use crate::limits::WINDOW_LOG;
use crate::text::printable;

/// What `tar` writes at once.
const RECORD: u64 = 20 * 512;

/// What readers return.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// Why an archive, or one image or chart in it, does not go in. An `entry` is shortened and made printable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("incomplete: {0}; copy the file again from where it was made")]
    Incomplete(String),
    /// Cut short, and named like one part of a split archive.
    #[error(
        "incomplete: {what}; if so, join them in order (`{join}`) and ingest the result, which may come from a pipe; else copy \
         the file again from where it was made"
    )]
    Part { what: String, join: String },
    /// A decompressor or parser cannot read it.
    #[error("damaged: {0}")]
    Damaged(String),
    /// An entry that no image tool writes.
    #[error("entry `{entry}` is refused: {reason}")]
    Refused { entry: String, reason: String },
    #[error("{what} is over the limit of {limit}; {cure}")]
    OverLimit { what: String, limit: String, cure: &'static str },
    #[error("`{entry}` cannot be read: {reason}")]
    Document { entry: String, reason: String },
    /// A manifest the registry would refuse.
    #[error("manifest `{digest}` is refused")]
    Manifest { digest: Digest, source: InvalidManifest },
    #[error("`{entry}` has the digest {found}, expected {expected}; it was damaged or changed on the way")]
    Digest { entry: String, expected: Digest, found: Digest },
    #[error("`{entry}` has {found} bytes where its descriptor says {expected}; it was damaged or changed on the way")]
    Size { entry: String, expected: u64, found: u64 },
    /// A manifest and its config contradict each other, so that no client unpacks the image.
    #[error("manifest `{manifest}` does not fit its config: {what}; no client could run it; save the image again")]
    Layers { manifest: Digest, what: String },
    /// The archive lacks something that an image needs.
    #[error("it needs {0}, which the archive does not hold; save the image again with everything it refers to")]
    Missing(String),
    /// A whole archive without an image or a chart. Fails only what was given by name: a bundle may have other files.
    #[error("{0}")]
    Nothing(&'static str),
    /// No image or chart can be made of it.
    #[error("{0}")]
    Unusable(String),
    /// The medium cannot be read.
    #[error("could not read it: {0}")]
    Read(#[source] io::Error),
    /// A file of the medium cannot be read.
    #[error("`{entry}` could not be read: {source}")]
    Unreadable { entry: String, source: io::Error },
    /// The ingest was cancelled. Ends it.
    #[error("stopped")]
    Cancelled,
    /// The disk has no room for an entry. Ends the ingest: the rest would be half a bundle.
    #[error("`{entry}` does not fit")]
    NoRoom { entry: String, source: airdock_registry::Error },
    /// The registry failed. Ends the ingest.
    #[error("the registry could not take it")]
    Registry(#[source] airdock_registry::Error),
}

impl Problem {
    /// Whether the whole ingest must end, because the next file would fail the same way.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self, Self::Cancelled | Self::NoRoom { .. } | Self::Registry(_))
    }

    /// Whether it is the manifest that is wrong, so that another record of the image may be right.
    pub(crate) const fn is_of_the_manifest(&self) -> bool {
        matches!(self, Self::Layers { .. } | Self::Size { .. })
    }

    pub(crate) fn refused(entry: &str, reason: impl Into<String>) -> Self {
        Self::Refused { entry: printable(entry), reason: reason.into() }
    }

    pub(crate) fn document(entry: &str, reason: impl std::fmt::Display) -> Self {
        Self::Document { entry: printable(entry), reason: printable(&reason.to_string()) }
    }

    pub(crate) fn over(what: impl Into<String>, limit: impl std::fmt::Display, cure: &'static str) -> Self {
        Self::OverLimit { what: what.into(), limit: limit.to_string(), cure }
    }

    /// A document of `size` bytes that is over its limit.
    pub(crate) fn document_over(path: &str, size: u64, limit: u64, cure: &'static str) -> Self {
        let what = format!("`{}`, with {size} bytes,", printable(path));
        Self::over(what, format_args!("{limit} bytes"), cure)
    }

    pub(crate) fn digest(entry: &str, expected: Digest, found: Digest) -> Self {
        Self::Digest { entry: printable(entry), expected, found }
    }

    pub(crate) fn unreadable(entry: &str, source: io::Error) -> Self {
        Self::Unreadable { entry: printable(entry), source }
    }

    /// The same problem for another image.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Damaged(what) => Self::Damaged(what.clone()),
            Self::OverLimit { what, limit, cure } => Self::OverLimit { what: what.clone(), limit: limit.clone(), cure },
            Self::Digest { entry, expected, found } => {
                Self::Digest { entry: entry.clone(), expected: *expected, found: *found }
            }
            other => Self::Unusable(other.sentence()),
        }
    }

    /// A file of the archive that an image needs is missing.
    pub(crate) fn missing(path: &str) -> Self {
        Self::Missing(format!("`{}`", printable(path)))
    }

    /// The problem with its causes, as one sentence.
    pub(crate) fn sentence(&self) -> String {
        with_causes(self)
    }

    /// The causes alone, as one sentence.
    pub(crate) fn causes(&self) -> String {
        with_causes(self.source().unwrap_or(self))
    }
}

fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    causes.fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

/// Why a reader stops, carried through `io::Error` by the adapters in `input`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    #[error("stopped")]
    Cancelled,
    #[error("it unpacks to more than {0} bytes")]
    Bomb(u64),
    /// A tar ends too early: where, and whether that is in the content of an entry.
    #[error("the tar ends in the middle, at byte {end}")]
    Cut { end: u64, content: bool },
}

impl From<Halt> for io::Error {
    fn from(halt: Halt) -> Self {
        Self::other(halt)
    }
}

impl From<io::Error> for Problem {
    /// The readers in `input` read archives only, so an early end means that the archive is cut short.
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Halt>()) {
            Some(Halt::Cancelled) => return Self::Cancelled,
            Some(Halt::Bomb(limit)) => {
                let cure =
                    "archives of images hardly grow so much; check what is in it, then raise `ingest.limits.ratio`";
                return Self::over("what it unpacks to", format_args!("{limit} bytes"), cure);
            }
            // The first of several volumes ends so, at the end of a record, and nothing else tells it.
            Some(Halt::Cut { end, content: true }) if end.is_multiple_of(RECORD) => {
                return Self::Incomplete(format!(
                    "the tar ends in the middle, at byte {end}, as the first of several volumes does too (`tar --multi-volume`; \
                     unpack those and make one tar)"
                ));
            }
            Some(halt @ Halt::Cut { .. }) => return Self::Incomplete(halt.to_string()),
            None => {}
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Incomplete("it ends in the middle".into()),
            // The messages of zstd and xz for a window over the limit.
            _ if ["too much memory", "memory limit"].iter().any(|words| error.to_string().contains(words)) => {
                let cure = "compress it again with `zstd --long=27` or `xz -9`, or less";
                Self::over("the window it must be unpacked with", format_args!("{} MiB", 1 << (WINDOW_LOG - 20)), cure)
            }
            // Errors of decompressors. Errors of the medium carry an errno.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other
                if error.raw_os_error().is_none() =>
            {
                Self::Damaged(printable(&error.to_string()))
            }
            _ => Self::Read(error),
        }
    }
}
