//! What an ingest reports in the end, as plain data. It is serialised as it is.

use std::fmt;

use airdock_registry::{KeptTag, ReleaseSignature, WhyKept};
use serde::{Deserialize, Serialize};

/// A sentence about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The file, and within it the entry or image: `bundle.tar: images/a.tar`.
    pub file: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// What an ingest brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One row for each name of each image or chart.
    pub images: Vec<ImageRow>,
    /// Warnings, which stopped nothing.
    pub warnings: Vec<Notice>,
    /// What did not go in.
    pub failures: Vec<Notice>,
    /// Tags that stay as they are, though the bundle has other content for them.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// The number of the release it became; none when nothing visible changed.
    pub release: Option<u64>,
    /// Whether anything visible changed. `false`: everything was there already.
    pub wrote: bool,
    /// Who signed the content, if a signature was required.
    #[serde(default)]
    pub signatures: Vec<ReleaseSignature>,
    /// Bytes read from the input. Far less than its size when the content was there already.
    pub bytes_read: u64,
    /// How long it took.
    pub seconds: f64,
}

/// One image or chart under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRow {
    /// Its name in the archive; without one, the file it was in.
    pub image: String,
    /// `repository:tag` for each internal name and each alias; `image` is not repeated.
    pub internal: Vec<String>,
    /// The digest it is served under.
    pub digest: String,
    /// The platforms it can be pulled for.
    pub platforms: Vec<String>,
    /// The size of its manifests, configs and layers together, each counted once.
    pub size: u64,
    /// `new`, `updated`, `already there`, `kept` (a pushed or protected tag stays), or `by digest` (it has no tag).
    pub state: String,
    /// What else to know: a lost digest, missing platforms.
    pub note: Option<String>,
}

/// A tag that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `repository:tag`.
    pub tag: String,
    /// The digest it points at.
    pub current: Option<String>,
    /// The digest the bundle has for it.
    pub wanted: Option<String>,
    /// Where it came from: `pushed by …`, `ingested from …`.
    pub by: Option<String>,
    /// Why it stays.
    pub why: WhyKept,
}

impl From<KeptTag> for Kept {
    fn from(tag: KeptTag) -> Self {
        Self {
            tag: format!("{}:{}", tag.repository, tag.tag),
            current: tag.current.as_ref().map(ToString::to_string),
            wanted: tag.wanted.as_ref().map(ToString::to_string),
            by: tag.by.as_ref().map(ToString::to_string),
            why: tag.why,
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, current, by, why, .. } = self;
        write!(f, "`{tag}` stays `{}`", current.as_deref().unwrap_or("away"))?;
        if let Some(by) = by {
            write!(f, ", {by}")?;
        }
        if *why == WhyKept::Protected { f.write_str("; its prefix is protected") } else { Ok(()) }
    }
}
