//! The settings of an ingest: what goes in, how strictly, under which names, and who must have signed it.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use airdock_registry::oci::{RepositoryName, Tag};
use airdock_registry::{Precedence, ReleaseSource, SourceKind};
use serde::{Deserialize, Serialize};

use crate::archive::names;
use crate::limits::Limits;

/// The settings of an ingest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether one bad item fails the whole ingest. Otherwise the rest goes in and the bad item is reported.
    pub strict: bool,
    /// The bounds that archives are read under.
    pub limits: Limits,
    /// Names for content without a name.
    pub naming: Naming,
    /// Conflict rules: which source wins when a tag already points elsewhere. A tag that stays is not a failure for
    /// `strict`; for all tags or none there is [`OnConflict::Fail`](airdock_registry::OnConflict::Fail).
    pub precedence: Precedence,
    /// Who must have signed the bundle.
    pub trust: TrustSettings,
    /// The user who runs the ingest, for the record.
    pub by: String,
}

/// Who must have signed a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// PEM files, each with one public key: ECDSA on P-256, or Ed25519. If there are any, only content that one of them has
    /// signed goes in, all of it or nothing. They are read for each ingest.
    pub keys: Vec<PathBuf>,
    /// The inventory of all inputs, with its signature at the same path and `.sig`. Inventories inside do not count then.
    pub inventory: Option<PathBuf>,
}

/// Names for content without a name. Content that has a name keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    pub(crate) name: Option<(RepositoryName, Option<Tag>)>,
    pub(crate) base: Option<RepositoryName>,
}

impl Naming {
    /// `name` is for the one image without a name; without tag and digest it means `latest`. `base` is the repository for
    /// bare tags. With a host they are upstream names, without one they are internal names as they stand.
    ///
    /// # Errors
    /// Which of them is not valid.
    pub fn new(name: Option<&str>, base: Option<&str>) -> Result<Self, InvalidNaming> {
        let parse = |text: &str| names::as_it_stands(text).ok_or_else(|| InvalidNaming::Name(text.to_owned()));
        let mut naming = Self::default();
        if let Some(text) = name {
            let parsed = parse(text)?;
            let latest = (!text.contains('@')).then(|| "latest".parse().ok()).flatten();
            naming.name = Some((parsed.repository, parsed.tag.or(latest)));
        }
        if let Some(text) = base {
            let parsed = parse(text)?;
            if parsed.tag.is_some() || text.contains('@') {
                return Err(InvalidNaming::Base(text.to_owned()));
            }
            naming.base = Some(parsed.repository);
        }
        Ok(naming)
    }
}

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNaming {
    /// It is not a name.
    #[error("`{0}` is not a name such as `zenml/zenml:0.93.2` or `docker.io/zenmldocker/zenml:0.93.2`")]
    Name(String),
    /// It is more than a repository.
    #[error("`{0}` has a tag or digest; a base name is a repository such as `docker.io/zenmldocker/zenml`")]
    Base(String),
}

/// One input of an ingest.
pub enum Input {
    /// A folder, or a file: an archive, a chart, or a named pipe.
    Path(PathBuf),
    /// A stream, such as standard input, and its name for messages.
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
    /// Its path, unless it is a stream.
    pub(super) fn path(&self) -> Option<&Path> {
        if let Self::Path(path) = self { Some(path) } else { None }
    }

    /// Its size in bytes, if that can be known.
    pub(super) fn size(&self) -> Option<u64> {
        self.path().and_then(|path| size(path, 0))
    }

    /// Its name for tags and messages.
    pub(super) fn name(&self) -> String {
        let path = match self {
            Self::Path(path) => path,
            Self::Stream(_, name) => return name.clone(),
        };
        let whole = path.canonicalize();
        let name = whole.as_deref().unwrap_or(path).file_name();
        name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// What it is now, for the record.
    pub(super) fn source(&self) -> ReleaseSource {
        match self {
            Self::Path(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                let kind = match path.metadata().map(|metadata| metadata.file_type()) {
                    Ok(kind) if kind.is_dir() => SourceKind::Folder,
                    Ok(kind) if kind.is_file() => SourceKind::File,
                    Ok(kind) if kind.is_block_device() => SourceKind::Device,
                    _ => SourceKind::Stream,
                };
                let size = self.size().filter(|_| kind != SourceKind::Stream && kind != SourceKind::Device);
                ReleaseSource { path: whole.display().to_string(), kind, size }
            }
            Self::Stream(_, name) => ReleaseSource { path: name.clone(), kind: SourceKind::Stream, size: None },
        }
    }
}

/// An estimate for a progress bar. Files that cannot be read count as empty; they are reported when they are read.
fn size(path: &Path, depth: usize) -> Option<u64> {
    let metadata = if depth == 0 { path.metadata() } else { path.symlink_metadata() };
    let Ok(metadata) = metadata else { return Some(0) };
    if metadata.is_dir() && depth < 32 {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return Some(entries.filter_map(|entry| size(&entry.path(), depth + 1)).fold(0, u64::saturating_add));
    }
    if metadata.is_file() { Some(metadata.len()) } else { (depth > 0).then_some(0) }
}
