//! Standard output, where it may be closed at any moment: a reader that has seen enough ends no server.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context as _;
use serde::Serialize;

/// Prints a line.
pub(crate) fn line(text: impl Display) {
    // A closed pipe is the reader's decision, and there is nobody left to tell.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints text as it is, and makes sure it is out.
pub(crate) fn text(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{text}");
    let _ = stdout.flush();
}

/// Names come from strangers' archives: what would move a terminal's cursor is shown, not sent.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Prints a value as one line of JSON. Unlike text for people, a reader that has gone ends the work.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout().lock(), "{line}").context("nobody reads standard output any more")
}
