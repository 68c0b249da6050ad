//! Every tag, page by page, with what it points at and where it came from. Only what matches is looked at.

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{RepositoryName, Tag};
use airdock_registry::{Error, Registry};

use crate::admin::operation::{Call, Parts};
use crate::admin::reference::{Pattern, Span};
use crate::admin::wire::{Listed, TagRow};
use crate::exit::{Code, Failure};

/// Repositories and tags read at once.
const PAGE: usize = 500;

/// The most patterns of one list.
const PATTERNS: usize = 1000;

/// Lists the tags that match one of the patterns, all if there are none; and, `with_untagged`, the manifests that nothing leads
/// to, of repositories that a pattern without a tag matches.
pub(super) async fn list(
    patterns: Vec<String>,
    with_untagged: bool,
    call: Call,
    parts: Parts,
) -> Result<Listed, Failure> {
    if patterns.len() > PATTERNS {
        let message = format!("more than {PATTERNS} patterns; use fewer, with `*`");
        return Err(Failure::new(Code::InvalidRequest, message));
    }
    let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
    let failed = |error: Error| Failure::of("cannot list the tags", &error);
    let span = Span::of_repositories(&patterns);
    let (mut listed, mut last) = (Listed::default(), span.start());
    loop {
        let page = call.registry().repositories(last.as_deref(), PAGE).await.map_err(failed)?;
        for repository in &page.names {
            if span.is_past(repository.as_str()) {
                return Ok(listed);
            }
            let wanted: Vec<_> = patterns.iter().filter(|pattern| pattern.repository(repository.as_str())).collect();
            if !wanted.is_empty() || patterns.is_empty() {
                let tags = of_repository(call.registry(), repository, &wanted, &parts).await?;
                let whole = wanted.is_empty() || wanted.iter().any(|pattern| pattern.is_of_whole_repositories());
                let untagged =
                    if with_untagged && whole { untagged(call.registry(), repository, &parts).await? } else { 0 };
                listed.tags += tags;
                listed.untagged += untagged;
                listed.repositories += u64::from(tags + untagged > 0);
            }
        }
        last = page.names.last().map(ToString::to_string);
        if !page.more {
            return Ok(listed);
        }
    }
}

/// Lists the tags of a repository that match one of the patterns, and looks at those alone; returns how many there are.
async fn of_repository(
    registry: &Registry,
    repository: &RepositoryName,
    wanted: &[&Pattern],
    parts: &Parts,
) -> Result<u64, Failure> {
    let failed = |error: Error| Failure::of("cannot list the tags", &error);
    let (span, name) = (Span::of_tags(wanted), RequestedName::bare(repository.clone()));
    let (mut listed, mut last) = (0, span.start());
    loop {
        let page = match registry.tags(&name, last.as_deref(), PAGE).await {
            // Deleted since it was listed.
            Err(Error::NameUnknown(_)) => return Ok(listed),
            page => page.map_err(failed)?,
        };
        let more = page.more && page.tags.last().is_none_or(|tag| !span.is_past(tag.as_str()));
        last = page.tags.last().map(ToString::to_string);
        let fits = |tag: &Tag| wanted.is_empty() || wanted.iter().any(|pattern| pattern.tag(tag.as_str()));
        let tags = page.tags.into_iter().filter(fits).collect();
        for tagged in registry.look_at(repository, tags).await.map_err(failed)? {
            listed += 1;
            parts.send(&TagRow::new(repository, tagged)).await?;
        }
        if !more {
            return Ok(listed);
        }
    }
}

/// Lists the manifests of a repository that nothing leads to; returns how many there are.
async fn untagged(registry: &Registry, repository: &RepositoryName, parts: &Parts) -> Result<u64, Failure> {
    let failed = |error: Error| Failure::of("cannot list the manifests without a tag", &error);
    let digests = registry.untagged(repository).await.map_err(failed)?;
    for digest in &digests {
        let content = registry.describe(repository, digest).await;
        let content = content.map(|described| described.summary).map_err(|error| error.to_string());
        parts.send(&TagRow::untagged(repository, *digest, content)).await?;
    }
    Ok(digests.len() as u64)
}
