//! How an ingest is asked for: what goes in, how strictly, within which bounds, and how it is stopped.

use std::fmt;
use std::fs::Metadata;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airdock_registry::{Precedence, ReleaseSource, SourceKind};

use airdock_registry::oci::{RepositoryName, Tag};

use serde::{Deserialize, Serialize};

use crate::archive;

/// How to ingest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether one bad item keeps everything out. Otherwise the rest goes in and the bad item is reported.
    pub strict: bool,
    /// How much a bundle may ask for.
    pub limits: Limits,
    /// What to call content that does not say its name.
    pub naming: Naming,
    /// What becomes of tags that point elsewhere. It is no failure that one stays: `strict` is about what is in the
    /// bundle; for all tags or none there is [`OnConflict::Fail`](airdock_registry::OnConflict::Fail).
    pub precedence: Precedence,
    /// Whose signature a bundle has to have.
    pub trust: TrustSettings,
    /// The user who asks for it, for the record.
    pub by: String,
}

/// Whose signature a bundle has to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// PEM files, each with one public key: ECDSA on P-256, or Ed25519. With any, only what one of them has signed goes in,
    /// and all of it or nothing. They are read for each ingest.
    pub keys: Vec<PathBuf>,
    /// The inventory of everything given, with its signature at the same path and `.sig`. Those inside do not count then.
    pub inventory: Option<PathBuf>,
}

/// Names for content that has none of its own. What says its name keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    pub(crate) name: Option<(RepositoryName, Option<Tag>)>,
    pub(crate) base: Option<RepositoryName>,
}

impl Naming {
    /// `name` is for the one image that has none; without tag and digest it means `latest`. `base` is the repository that
    /// bare tags are tags of. With a host they are upstream names, without one internal names as they stand.
    ///
    /// # Errors
    /// Which of them is not a name.
    pub fn new(name: Option<&str>, base: Option<&str>) -> Result<Self, InvalidNaming> {
        let parse = |text: &str| archive::as_it_stands(text).ok_or_else(|| InvalidNaming::Name(text.to_owned()));
        let mut naming = Self::default();
        if let Some(text) = name {
            let place = parse(text)?;
            let latest = (!text.contains('@')).then(|| "latest".parse().ok()).flatten();
            naming.name = Some((place.repository, place.tag.or(latest)));
        }
        if let Some(text) = base {
            let place = parse(text)?;
            if place.tag.is_some() || text.contains('@') {
                return Err(InvalidNaming::Base(text.to_owned()));
            }
            naming.base = Some(place.repository);
        }
        Ok(naming)
    }
}

/// Why a given name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNaming {
    /// Not a name.
    #[error("`{0}` is not a name such as `zenml/zenml:0.93.2` or `docker.io/zenmldocker/zenml:0.93.2`")]
    Name(String),
    /// More than a repository.
    #[error("`{0}` has a tag or digest; a base name is a repository such as `docker.io/zenmldocker/zenml`")]
    Base(String),
}

/// Every bound an archive is read under; none of them is about how large an honest image may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest JSON or YAML document read into memory, in bytes. Image configs may be twice as large.
    pub document: u64,
    /// The largest packed Helm chart, in bytes.
    pub chart: u64,
    /// The largest single layer, in bytes.
    pub layer: u64,
    /// Entries in one archive, or files in one folder.
    pub entries: u64,
    /// Images and charts in one ingest.
    pub images: usize,
    /// Archives and compressions within one another, and indexes within indexes.
    pub depth: usize,
    /// Times its compressed size that something may unpack to, once that is over `ratio_from`.
    pub ratio: u64,
    /// What anything may unpack to, in bytes.
    pub ratio_from: u64,
    /// Bytes that stay free on the data folder's disk, for the registry to go on writing. 0 asks for nothing: the disk
    /// says itself when it is full.
    pub keep_free: u64,
}

impl Limits {
    pub(crate) const fn allowance(&self) -> archive::Allowance {
        archive::Allowance { ratio: self.ratio, from: self.ratio_from }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document: 4 << 20,
            chart: 32 << 20,
            layer: 1 << 40,
            entries: 1_000_000,
            images: 10_000,
            depth: 8,
            ratio: 250,
            ratio_from: 1 << 30,
            keep_free: 64 << 20,
        }
    }
}

/// Stops an ingest from another thread. Nothing becomes visible of an ingest that was stopped.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the ingest to stop; it does within one read.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thing to ingest.
pub enum Input {
    /// A folder, or a file: an archive, a chart, or a named pipe.
    Path(PathBuf),
    /// A stream, such as standard input, and what to call it.
    Stream(Box<dyn Read + Send>, String),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_, name) => f.debug_tuple("Stream").field(name).finish(),
        }
    }
}

impl Input {
    /// What it is, for the record: as it lies there when it is asked.
    pub(crate) fn source(&self, size: Option<u64>) -> ReleaseSource {
        match self {
            Self::Path(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                let kind = path.metadata().as_ref().map_or(SourceKind::Stream, kind);
                let size = size.filter(|_| kind != SourceKind::Stream && kind != SourceKind::Device);
                ReleaseSource { path: whole.display().to_string(), kind, size }
            }
            Self::Stream(_, name) => ReleaseSource { path: name.clone(), kind: SourceKind::Stream, size: None },
        }
    }
}

fn kind(metadata: &Metadata) -> SourceKind {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_dir() {
        SourceKind::Folder
    } else if kind.is_file() {
        SourceKind::File
    } else if kind.is_block_device() {
        SourceKind::Device
    } else {
        SourceKind::Stream
    }
}
