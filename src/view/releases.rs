//! The log of releases as text.

use std::fmt::Write as _;

use airdock_registry::{
    ImageState, KeptTag, ReleaseImage, ReleaseKind, ReleaseList, ReleaseState, ReleaseSummary, TagChange,
};
use indicatif::HumanBytes;
use jiff::Timestamp;

use crate::admin::wire::{Pin, Release, Removed, RolledBack};
use crate::view::table::Table;
use crate::view::text::{counted, minute, platforms, printable, short, word};

/// What one entry of the log made of the tags, and what it left alone.
fn effect(release: &Release) -> String {
    changes(&release.changes) + &kept(&release.kept)
}

/// A release that was pinned or unpinned.
pub(crate) fn pinned(pin: &Pin) -> String {
    let state = if pin.pinned { "is pinned and cannot be removed" } else { "can be removed" };
    format!("release {} {state}\n", pin.id)
}

/// A rollback.
pub(crate) fn rolled_back(done: &RolledBack) -> String {
    match &done.record {
        None => format!("release {} is in effect already\n", done.in_effect),
        Some(record) => {
            format!("{}release {} is in effect: {}\n", effect(record), done.in_effect, tags_changed(record))
        }
    }
}

/// A release that was removed.
pub(crate) fn removed(Removed { removed, record }: &Removed) -> String {
    let manifests = counted(record.unlinked.len() as u64, "manifest", "manifests");
    format!(
        "{}release {removed} is gone, with {manifests} that only it had brought: {}\nits blobs stay on the disk\n",
        effect(record),
        tags_changed(record),
    )
}

/// Every release, in a table.
pub(crate) fn table(list: &ReleaseList) -> String {
    let mut text = String::new();
    let releases: Vec<_> = list.entries.iter().filter(|entry| entry.kind == ReleaseKind::Ingest).collect();
    if releases.is_empty() {
        text += "no release yet: `airdock ingest` makes one\n";
    } else {
        let mut table = Table::new(["ID", "WHEN (UTC)", "BUNDLE", "IMAGES", "TAGS", "SIZE", "STATE"]);
        let rows: Vec<_> = releases.iter().map(|entry| cells(entry)).collect();
        table.rows(&mut text, &rows);
    }
    for problem in &list.problems {
        let _ = writeln!(text, "damaged: {}", printable(problem));
    }
    text
}

fn cells(entry: &ReleaseSummary) -> [String; 7] {
    let mut state = match entry.state {
        Some(ReleaseState::InEffect) => "in effect",
        Some(ReleaseState::Earlier) => "earlier",
        Some(ReleaseState::RolledBack) => "rolled back",
        None => "",
    }
    .to_owned();
    if entry.pinned {
        state += ", pinned";
    }
    [
        entry.id.to_string(),
        utc(entry.at),
        printable(&entry.bundle),
        entry.images.to_string(),
        entry.tags.to_string(),
        HumanBytes(entry.bytes).to_string(),
        state,
    ]
}

/// Everything about one entry of the log.
pub(crate) fn show(record: &Release) -> String {
    let mut text = match record.kind {
        ReleaseKind::Ingest => format!("release {}: {}\n", record.id, printable(&record.bundle)),
        ReleaseKind::Rollback { to } => format!("entry {}: the tags as of release {to}\n", record.id),
        ReleaseKind::Removal { of } => format!("entry {}: release {of} removed\n", record.id),
    };
    let _ = writeln!(text, "  when      {} UTC", utc(record.at));
    let _ = writeln!(text, "  by        {}", printable(&record.by));
    if let Some(parent) = record.parent {
        let _ = writeln!(text, "  after     release {parent}");
    }
    for medium in &record.media {
        let kind = word(&medium.kind);
        let size = medium.size.map(|size| format!(", {}", HumanBytes(size))).unwrap_or_default();
        let _ = writeln!(text, "  from      {} ({kind}{size})", printable(&medium.path));
    }
    for signature in &record.signatures {
        let _ = writeln!(text, "  signed    {}", printable(&signature.to_string()));
    }
    if record.kind == ReleaseKind::Ingest {
        let _ = writeln!(text, "  size      {}", HumanBytes(record.bytes));
    }
    if let Some(checksum) = &record.checksum {
        let _ = writeln!(text, "  checksum  {checksum}");
    }
    if record.pinned {
        let _ = writeln!(text, "  pinned    it cannot be removed");
    }
    if record.images.is_empty() {
        text += &changes(&record.changes);
    } else {
        text.push('\n');
        let mut table = Table::new(["IMAGE", "DIGEST", "PLATFORMS", "SIZE", "STATE"]);
        let rows: Vec<_> = record.images.iter().map(image).collect();
        table.rows(&mut text, &rows);
    }
    text + &kept(&record.kept)
}

fn image(image: &ReleaseImage) -> [String; 5] {
    let name = match &image.tag {
        Some(tag) => format!("{}:{tag}", image.repository),
        None => image.repository.to_string(),
    };
    let state = match image.state {
        ImageState::New => "new",
        ImageState::Moved => "updated",
        ImageState::AlreadyThere => "already there",
        ImageState::Kept => "kept",
        ImageState::ByDigest => "by digest",
    };
    [name, short(&image.digest), platforms(&image.platforms), HumanBytes(image.size).to_string(), state.to_owned()]
}

/// Each tag that points elsewhere now. A tag that only changed its release is left out.
fn changes(changes: &[TagChange]) -> String {
    let mut text = String::new();
    for TagChange { repository, tag, before, after } in changes {
        let digest = |link: &Option<airdock_registry::TagLink>| link.as_ref().map(|link| short(&link.digest));
        let _ = match (digest(before), digest(after)) {
            (before, after) if before == after => Ok(()),
            (Some(before), Some(after)) => writeln!(text, "  {repository}:{tag}  {before} -> {after}"),
            (Some(before), None) => writeln!(text, "  {repository}:{tag}  {before} -> gone"),
            (None, after) => writeln!(text, "  {repository}:{tag}  -> {}", after.unwrap_or_default()),
        };
    }
    text
}

fn kept(kept: &[KeptTag]) -> String {
    kept.iter().map(|tag| format!("kept: {}\n", printable(&tag.to_string()))).collect()
}

fn tags_changed(record: &Release) -> String {
    counted(record.changes.len() as u64, "tag changed", "tags changed")
}

/// Seconds since 1970 as a date and a time.
fn utc(seconds: u64) -> String {
    minute(i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_a_date() {
        assert_eq!((utc(1_763_600_000).as_str(), utc(u64::MAX).as_str()), ("2025-11-20 00:53", "-"));
    }

    #[test]
    fn the_table_shows_which_release_is_in_effect() {
        let entry = |id, state, pinned| ReleaseSummary {
            id,
            kind: ReleaseKind::Ingest,
            parent: None,
            at: 1_763_600_000,
            by: "ops".into(),
            bundle: format!("bundle-{id}"),
            images: 4,
            tags: 12,
            bytes: 2048,
            checksum: None,
            kept: 0,
            pinned,
            state: Some(state),
        };
        let entries = vec![entry(1, ReleaseState::InEffect, true), entry(70_000, ReleaseState::RolledBack, false)];
        let list = ReleaseList { in_effect: Some(1), entries, problems: vec!["`x` is damaged".into()] };
        let expected = "\
ID     WHEN (UTC)        BUNDLE        IMAGES  TAGS  SIZE      STATE
1      2025-11-20 00:53  bundle-1      4       12    2.00 KiB  in effect, pinned
70000  2025-11-20 00:53  bundle-70000  4       12    2.00 KiB  rolled back
damaged: `x` is damaged
";
        assert_eq!(table(&list), expected);
        assert!(table(&ReleaseList::default()).starts_with("no release yet"));
    }
}
