//! The log of releases as people read it, and as machines do.

use std::fmt::Write as _;

use airdock_registry::{
    ImageState, KeptTag, ReleaseImage, ReleaseKind, ReleaseList, ReleaseRecord, ReleaseState, ReleaseSummary, TagChange,
};
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::json;

use crate::output::printable;
use crate::request::ReleaseReply;
use crate::table::Table;
use crate::words::counted;

/// Letters of a digest that tell images of one registry apart.
const SHORT_DIGEST: usize = "sha256:".len() + 12;

/// One JSON document.
pub(crate) fn json(reply: &ReleaseReply) -> String {
    let value = match reply {
        ReleaseReply::List(list) => json!(list),
        ReleaseReply::Shown(record) => json!(record),
        ReleaseReply::Pinned { id, pinned } => json!({ "id": id, "pinned": pinned }),
        ReleaseReply::RolledBack { to, record } => json!({ "in_effect": to, "record": record }),
        ReleaseReply::Removed { id, record } => json!({ "removed": id, "record": record }),
    };
    format!("{value:#}\n")
}

/// The same for people.
pub(crate) fn render(reply: &ReleaseReply) -> String {
    match reply {
        ReleaseReply::List(list) => table(list),
        ReleaseReply::Shown(record) => show(record),
        ReleaseReply::Pinned { id, pinned: true } => format!("release {id} is pinned and cannot be removed\n"),
        ReleaseReply::Pinned { id, pinned: false } => format!("release {id} can be removed\n"),
        ReleaseReply::RolledBack { to, record: None } => format!("release {to} is in effect already\n"),
        ReleaseReply::RolledBack { to, record: Some(record) } => {
            let changed = changes(&record.changes) + &kept(&record.kept);
            format!("{changed}release {to} is in effect: {}\n", tags_changed(record))
        }
        ReleaseReply::Removed { id, record } => {
            let changed = changes(&record.changes) + &kept(&record.kept);
            let manifests = counted(record.unlinked.len() as u64, "manifest", "manifests");
            format!(
                "{changed}release {id} is gone, with {manifests} that only it had brought: {}\nits blobs stay on the disk\n",
                tags_changed(record),
            )
        }
    }
}

fn table(list: &ReleaseList) -> String {
    let mut text = String::new();
    let releases: Vec<_> = list.entries.iter().filter(|entry| entry.kind == ReleaseKind::Ingest).collect();
    if releases.is_empty() {
        text += "no release yet: `airdock ingest` makes one\n";
    } else {
        let mut table = Table::new(["ID", "WHEN (UTC)", "BUNDLE", "IMAGES", "TAGS", "SIZE", "STATE"]);
        let rows: Vec<_> = releases.iter().map(|entry| cells(entry)).collect();
        table.expect(&mut text, &rows);
        for row in &rows {
            table.line(&mut text, row);
        }
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

fn show(record: &ReleaseRecord) -> String {
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
        let kind = format!("{:?}", medium.kind).to_lowercase();
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
        table.expect(&mut text, &rows);
        for row in &rows {
            table.line(&mut text, row);
        }
    }
    text + &kept(&record.kept)
}

fn image(image: &ReleaseImage) -> [String; 5] {
    let name = match &image.tag {
        Some(tag) => format!("{}:{tag}", image.repository),
        None => image.repository.to_string(),
    };
    let platforms = if image.platforms.is_empty() { "-".to_owned() } else { image.platforms.join(",") };
    let state = match image.state {
        ImageState::New => "new",
        ImageState::Moved => "updated",
        ImageState::AlreadyThere => "already there",
        ImageState::Kept => "kept",
        ImageState::ByDigest => "by digest",
    };
    [name, short(&image.digest), printable(&platforms), HumanBytes(image.size).to_string(), state.to_owned()]
}

/// What became of each tag that points elsewhere now; that the same content counts as another release's says nothing.
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

fn short(digest: &airdock_registry::oci::Digest) -> String {
    digest.to_string().chars().take(SHORT_DIGEST).collect()
}

fn tags_changed(record: &ReleaseRecord) -> String {
    counted(record.changes.len() as u64, "tag changed", "tags changed")
}

/// Seconds since 1970 as a date and a time.
fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_the_calendar() {
        assert_eq!((utc(1_763_600_000).as_str(), utc(u64::MAX).as_str()), ("2025-11-20 00:53", "-"));
    }

    #[test]
    fn the_table_says_what_is_in_effect() {
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
        assert_eq!(render(&ReleaseReply::List(list)), expected);
        assert!(render(&ReleaseReply::List(ReleaseList::default())).starts_with("no release yet"));
    }
}
