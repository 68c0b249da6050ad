//! Every tag, page by page, with what it points at and where it came from.

use airdock_registry::Error;
use airdock_registry::oci::Tag;

use crate::admin::operation::{Call, Parts};
use crate::admin::reference::Pattern;
use crate::admin::wire::{Listed, TagRow};
use crate::exit::{Code, Failure};

/// Repositories and tags read at once.
const PAGE: usize = 500;

/// The most patterns of one list.
const PATTERNS: usize = 1000;

/// Lists the tags that match one of the patterns; all if there are none.
pub(super) async fn list(patterns: Vec<String>, call: Call, parts: Parts) -> Result<Listed, Failure> {
    if patterns.len() > PATTERNS {
        let message = format!("more than {PATTERNS} patterns; use fewer, with `*`");
        return Err(Failure::new(Code::InvalidRequest, message));
    }
    let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
    let failed = |error: Error| Failure::of("cannot list the tags", &error);
    let mut listed = Listed::default();
    let mut last = None;
    loop {
        let page = call.registry().repositories(last.as_deref(), PAGE).await.map_err(failed)?;
        for repository in &page.names {
            let wanted: Vec<_> = patterns.iter().filter(|pattern| pattern.repository(repository.as_str())).collect();
            if wanted.is_empty() && !patterns.is_empty() {
                continue;
            }
            let before = listed.tags;
            let mut after: Option<Tag> = None;
            loop {
                let page =
                    call.registry().tagged(repository, after.as_ref().map(Tag::as_str), PAGE).await.map_err(failed)?;
                for tagged in page.tags {
                    if patterns.is_empty() || wanted.iter().any(|pattern| pattern.tag(tagged.tag.as_str())) {
                        listed.tags += 1;
                        parts.send(&TagRow::new(repository, tagged)).await?;
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
            return Ok(listed);
        }
    }
}
