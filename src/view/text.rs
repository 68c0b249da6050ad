//! Text on standard output, and the few formats all commands share.

use std::fmt::Display;
use std::io::{self, Write};

use airdock_registry::oci::Digest;
use airdock_sync::ingest::Notice;
use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;

/// Characters of a digest that tables show; `--json` has all of it.
const SHORT_DIGEST: usize = "sha256:".len() + 12;

/// Prints a line.
pub(crate) fn line(text: impl Display) {
    // A reader may close the pipe at any time; that must not end a server.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints text as it is and flushes it.
pub(crate) fn text(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{text}");
    let _ = stdout.flush();
}

/// Prints a value as one line of JSON. A closed pipe is an error here: a program no longer reads, so the work can end.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout().lock(), "{line}").context("standard output was closed")
}

/// Escapes control characters. Names come from untrusted archives and must not control a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// A warning or a refusal in one line.
pub(crate) fn noticed(kind: &str, Notice { file, message }: &Notice) -> String {
    format!("{kind}: {}: {}", printable(file), printable(message))
}

/// `1 tag`, `2 tags`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A value of one word as the JSON output spells it.
pub(crate) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or("-").to_owned()
}

/// The beginning of a digest, enough to tell the images of one registry apart.
pub(crate) fn short(digest: &Digest) -> String {
    shortened(&digest.to_string())
}

/// The same of a digest that is text already.
pub(crate) fn shortened(digest: &str) -> String {
    digest.chars().take(SHORT_DIGEST).collect()
}

/// Platforms in one cell of a table.
pub(crate) fn platforms(platforms: &[String]) -> String {
    if platforms.is_empty() { "-".to_owned() } else { printable(&platforms.join(",")) }
}

/// A time to the minute, in UTC: the reader and the server may be in different time zones.
pub(crate) fn minute(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_none_are_plural() {
        let tags = |count| counted(count, "tag", "tags");
        assert_eq!([tags(0), tags(1), tags(2)], ["0 tags", "1 tag", "2 tags"]);
    }
}
