//! Every tag, page by page, with what it points at and where that came from.

use airdock_registry::oci::Tag;
use airdock_registry::{ContentKind, Provenance, Registry, TagOrigin, Tagged};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reference::Pattern;
use super::{Failure, Parts, Reply};

/// Repositories and tags asked for at once.
const PAGE: usize = 500;

/// Rows sent at once.
const ROWS: usize = 200;

/// Patterns taken.
const PATTERNS: usize = 1000;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagRow {
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
    /// `image`, `index`, `chart`, `artifact`; absent when the manifest cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) platforms: Vec<String>,
    /// Bytes of everything it needs that is here.
    pub(crate) size: u64,
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// Why the manifest cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// Where a tag came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) provenance: Source,
    /// When, by this machine's clock; nothing for what is served from a medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Timestamp>,
}

/// From whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// It is served in place.
    Mounted { medium: String },
    /// As its link says.
    #[serde(untagged)]
    Linked(Provenance),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mounted { medium } => write!(f, "mounted from {medium}"),
            Self::Linked(provenance) => provenance.fmt(f),
        }
    }
}

impl From<TagOrigin> for Origin {
    fn from(origin: TagOrigin) -> Self {
        match origin {
            TagOrigin::Mounted(medium) => Self { provenance: Source::Mounted { medium }, at: None },
            TagOrigin::Linked(link) => Self {
                at: i64::try_from(link.at).ok().and_then(|at| Timestamp::from_second(at).ok()),
                provenance: Source::Linked(link.provenance),
            },
        }
    }
}

/// What a whole list came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) repositories: u64,
    pub(crate) tags: u64,
}

pub(super) async fn list(registry: &Registry, patterns: &[String], parts: &Parts) -> Result<Listed, Failure> {
    if patterns.len() > PATTERNS {
        return Err(Failure::new(format!("more than {PATTERNS} patterns: use fewer, with stars")));
    }
    let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
    let failed = |error: airdock_registry::Error| Failure::because("cannot list what is here", &error);
    let mut listed = Listed::default();
    let mut rows = Vec::new();
    let mut last = None;
    loop {
        let page = registry.repositories(last.as_deref(), PAGE).await.map_err(failed)?;
        for repository in &page.names {
            let wanted: Vec<_> = patterns.iter().filter(|pattern| pattern.repository(repository.as_str())).collect();
            if wanted.is_empty() && !patterns.is_empty() {
                continue;
            }
            let before = listed.tags;
            let mut after: Option<Tag> = None;
            loop {
                let page = registry.tagged(repository, after.as_ref().map(Tag::as_str), PAGE).await.map_err(failed)?;
                for tagged in page.tags {
                    if patterns.is_empty() || wanted.iter().any(|pattern| pattern.tag(tagged.tag.as_str())) {
                        listed.tags += 1;
                        rows.push(row(repository.as_str(), tagged));
                    }
                    if rows.len() == ROWS {
                        parts.send(Reply::Tags(std::mem::take(&mut rows))).await?;
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            listed.repositories += u64::from(listed.tags > before);
        }
        last = page.names.last().map(ToString::to_string);
        if !page.more {
            break;
        }
    }
    if !rows.is_empty() {
        parts.send(Reply::Tags(rows)).await?;
    }
    Ok(listed)
}

fn row(repository: &str, Tagged { tag, digest, origin, content }: Tagged) -> TagRow {
    let (content, problem) = match content {
        Ok(content) => (Some(content), None),
        Err(problem) => (None, Some(problem)),
    };
    TagRow {
        repository: repository.to_owned(),
        tag: tag.to_string(),
        digest: digest.to_string(),
        kind: content.as_ref().map(|content| kind(content.kind).to_owned()),
        media_type: content.as_ref().map(|content| content.media_type.to_string()),
        size: content.as_ref().map_or(0, |content| content.size),
        platforms: content.map(|content| content.platforms).unwrap_or_default(),
        origin: origin.into(),
        problem,
    }
}

pub(super) const fn kind(kind: ContentKind) -> &'static str {
    match kind {
        ContentKind::Image => "image",
        ContentKind::Index => "index",
        ContentKind::Chart => "chart",
        ContentKind::Artifact => "artifact",
    }
}
