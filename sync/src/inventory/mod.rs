//! The inventory of a bundle: a small text that lists its content, so that one signature covers all of it.
//!
//! ```text
//! # airdock inventory 1
//! # expires 2027-03-01T00:00:00Z
//! sha256:e3b0…  charts/zenml-pro:0.13.2
//! sha256:9f86…  docker.io/zenmldocker/zenml:0.93.2
//! sha256:2c26…  -
//! ```
//!
//! A line is the digest of a manifest and a name. Everything below a manifest is checked against its digest by the reader,
//! so the text needs no more. A name is `REPOSITORY:TAG` as in the archive; a repository alone, if there is no tag; `:TAG` or
//! `@DIGEST` for content that goes beside what it signs or is about; `-` if there is none. Invariant: the format is strict,
//! so that no two readers differ, and a name with a tag is one digest.

mod keys;

pub(crate) use keys::{Key, MAX_SIGNATURE};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use airdock_registry::oci::{Digest, RepositoryName, Tag};
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::text::printable;

const FIRST: &str = "# airdock inventory ";
const VERSION: &str = "1";
const EXPIRES: &str = "# expires ";

/// The name for content without one.
const NAMELESS: &str = "-";

/// The content of a bundle, and until when the inventory is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// The content, sorted by name.
    pub entries: BTreeSet<Entry>,
}

/// One manifest under one of its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name as it is written in the text.
    name: String,
    /// The digest of the manifest.
    digest: Digest,
}

/// Why a text is not an inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidInventory {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Why a text is not an expiry time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a future time such as `2027-03-01` or `2027-03-01T12:00:00Z` nor a duration such as `90d` or `12h`"
)]
pub struct InvalidExpiry(String);

impl Entry {
    /// A manifest under `repository`, with `tag` if it has one.
    pub(crate) fn named(digest: Digest, repository: &RepositoryName, tag: Option<&Tag>) -> Self {
        let name = tag.map_or_else(|| repository.to_string(), |tag| format!("{repository}:{tag}"));
        Self { name, digest }
    }

    /// A manifest without a name.
    pub(crate) fn nameless(digest: Digest) -> Self {
        Self { name: NAMELESS.to_owned(), digest }
    }

    /// A manifest that goes where `about` goes, under `tag` if it has one.
    pub(crate) fn beside(digest: Digest, about: &Digest, tag: Option<&Tag>) -> Self {
        let name = tag.map_or_else(|| format!("@{about}"), |tag| format!(":{tag}"));
        Self { name, digest }
    }

    /// The digest of the manifest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The name as it is written in the text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the name has a tag, and so must stand for one manifest only.
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        !self.name.starts_with('@') && self.name.contains(':')
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.digest, self.name)
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let Some((digest, name)) = line.split_once("  ") else {
            return Err(format!("`{}` is not `DIGEST  NAME`, with two spaces between", printable(line)));
        };
        let digest = digest.parse().map_err(|error| format!("`{}`: {error}", printable(digest)))?;
        let wrong = |what: &dyn fmt::Display| format!("`{}` is no name: {what}", printable(name));
        let tag = |tag: &str| tag.parse::<Tag>().map(drop).map_err(|error| wrong(&error));
        if let Some(about) = name.strip_prefix('@') {
            about.parse::<Digest>().map_err(|error| wrong(&error))?;
        } else if let Some((repository, version)) = name.split_once(':') {
            tag(version)?;
            if !repository.is_empty() {
                repository.parse::<RepositoryName>().map_err(|error| wrong(&error))?;
            }
        } else if name != NAMELESS {
            name.parse::<RepositoryName>().map_err(|error| wrong(&error))?;
        }
        Ok(Self { name: name.to_owned(), digest })
    }
}

impl Inventory {
    /// Names with a tag that stand for more than one manifest, each with its manifests.
    #[must_use]
    pub fn contested(&self) -> Vec<(&str, Vec<&Digest>)> {
        let mut digests: BTreeMap<&str, Vec<&Digest>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.is_tagged()) {
            digests.entry(entry.name()).or_default().push(entry.digest());
        }
        digests.into_iter().filter(|(_, digests)| digests.len() > 1).collect()
    }

    /// Whether it has expired.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Reads the text, byte for byte: no blank lines, no other comments, nothing twice.
    ///
    /// # Errors
    /// The first invalid line, and why.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidInventory> {
        let at = |line: usize, problem: String| InvalidInventory { line: line + 1, problem };
        let text = std::str::from_utf8(text).map_err(|error| {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            at(before.iter().filter(|byte| **byte == b'\n').count(), "it is not UTF-8".to_owned())
        })?;
        let mut inventory = Self::default();
        let mut tagged: BTreeMap<String, usize> = BTreeMap::new();
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n').enumerate();
        let first = lines.next().map(|(_, line)| line).unwrap_or_default();
        match first.strip_prefix(FIRST) {
            Some(VERSION) => {}
            Some(version) => {
                let problem = format!("version {} is not read here, only version {VERSION}", printable(version));
                return Err(at(0, problem));
            }
            None => return Err(at(0, format!("it is not `{FIRST}{VERSION}`"))),
        }
        for (number, line) in lines {
            let problem = |problem: String| at(number, problem);
            if let Some(expires) = line.strip_prefix(EXPIRES) {
                if inventory.expires.is_some() || !inventory.entries.is_empty() {
                    return Err(problem("`# expires` belongs before all entries, once".to_owned()));
                }
                inventory.expires = Some(time(expires).ok_or_else(|| {
                    problem(format!("`{}` is no time in UTC such as 2027-03-01T00:00:00Z", printable(expires)))
                })?);
                continue;
            }
            if line.starts_with('#') {
                return Err(problem(format!("`{}` is not known; only `# expires` is", printable(line))));
            }
            let entry: Entry = line.parse().map_err(problem)?;
            if entry.is_tagged()
                && let Some(before) = tagged.insert(entry.name.clone(), number)
            {
                let name = printable(&entry.name);
                return Err(problem(format!("`{name}` is in line {} already; a name is one manifest", before + 1)));
            }
            if !inventory.entries.insert(entry) {
                return Err(problem(format!("`{}` is there twice", printable(line))));
            }
        }
        Ok(inventory)
    }
}

impl fmt::Display for Inventory {
    /// The text, the same for the same content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}{VERSION}")?;
        if let Some(expires) = self.expires {
            writeln!(f, "{EXPIRES}{expires}")?;
        }
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// A time in UTC as RFC 3339 has it, in capitals.
fn time(text: &str) -> Option<Timestamp> {
    let plain = text.ends_with('Z') && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
    plain.then(|| text.parse().ok()).flatten()
}

/// The time an inventory made at `now` expires: a day or time in UTC, or a duration from now.
///
/// # Errors
/// When `text` is none of these, or in the past.
pub fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, InvalidExpiry> {
    let duration = || {
        let span: Span = text.parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        // Whole seconds are precise enough.
        Timestamp::from_second(now.as_second().checked_add(duration.as_secs())?).ok()
    };
    let day = || time(&format!("{text}T00:00:00Z"));
    let until = time(text).or_else(day).or_else(duration);
    until.filter(|until| *until > now).ok_or_else(|| InvalidExpiry(text.to_owned()))
}

#[cfg(test)]
mod tests;
