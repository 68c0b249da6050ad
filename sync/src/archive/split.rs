//! Archives that were split to fit their media, recognised by the names of the parts: `haul_0.tar.zst`, `haul_1.tar.zst`
//! from hauler; `x.tar.part-aa`, `x.tar.000`, `xaa` from `split`. This only makes the error for a part that cannot be read:
//! the operator joins the parts, and they are read as one stream.

use std::path::Path;

use crate::problem::Problem;

/// Files of a folder that are searched for the other parts.
const MAX_FILES: usize = 10_000;

/// Endings that look like the count of a part and are not.
const ENDINGS: [&str; 4] = ["gz", "xz", "zst", "tar"];

/// The name of a part: what all parts share, and what counts them.
#[derive(Debug, PartialEq, Eq)]
struct Name<'n> {
    before: &'n str,
    count: &'n str,
    after: &'n str,
}

/// The error for `file`, which ends early or begins in the middle, if it may be one part of several.
pub(crate) fn part(file: &str) -> Option<Problem> {
    let path = Path::new(file);
    // An entry of an archive cannot be joined from outside.
    if !path.is_file() {
        return None;
    }
    let (folder, name) = file.rsplit_once('/').map_or(("", file), |(_, name)| (&file[..file.len() - name.len()], name));
    let name = Name::of(name)?;
    let beside = std::fs::read_dir(if folder.is_empty() { "." } else { folder }).ok()?;
    let mut lengths = Vec::new();
    let (mut parts, mut has_first) = (0, false);
    for entry in beside.flatten().take(MAX_FILES) {
        let entry = entry.file_name();
        let other = entry.to_str().and_then(Name::of);
        if let Some(other) = other.filter(|other| other.before == name.before && other.after == name.after) {
            parts += 1;
            has_first |= other.is_first();
            lengths.push(other.count.len());
        }
    }
    // Otherwise the name is a coincidence.
    if !has_first {
        return None;
    }
    lengths.sort_unstable();
    lengths.dedup();
    // A pattern for each length, so that the shell's order is the parts' order.
    let patterns = lengths.iter().map(|length| format!("{folder}{}{}{}", name.before, "?".repeat(*length), name.after));
    let patterns = patterns.collect::<Vec<_>>().join(" ");
    // The command is meant to be copied, so an untrusted name must not contain anything special to a shell.
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-/? ".contains(c);
    let is_plain = patterns.chars().all(is_safe) && !name.before.starts_with('-');
    let is_plain = is_plain && !folder.contains([' ', '?']) && !name.before.contains(' ');
    let patterns = if is_plain { patterns } else { "PARTS".to_owned() };
    let what = match parts {
        0 | 1 => {
            "by its name it is the first part of an archive that was cut up, and the others are not beside it".into()
        }
        parts => format!("by its name it is one of {parts} parts of an archive that was cut up"),
    };
    Some(Problem::Part { what, join: format!("cat {patterns}") })
}

impl<'n> Name<'n> {
    fn of(name: &'n str) -> Option<Self> {
        Self::before_ending(name).or_else(|| Self::at_the_end(name))
    }

    /// `haul_0.tar.zst`, `x.part1.tar`. Other numbers before an ending are versions.
    fn before_ending(name: &'n str) -> Option<Self> {
        let (stem, ending) = name.split_at(name.find(".tar").or_else(|| name.find(".tgz"))?);
        let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let counted = before.ends_with('_') || before.ends_with("part") || before.ends_with("part-");
        let name = Self { before, count: &stem[before.len()..], after: ending };
        // The count may come after the ending as well: `a_1.tar.aa`.
        (counted && name.is_count() && Self::at_the_end(ending).is_none()).then_some(name)
    }

    /// `x.tar.part-aa`, `x.tar.000`, `x.tar.aa`, and `xaa`, the default of `split`.
    fn at_the_end(name: &'n str) -> Option<Self> {
        let digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let named = |before: &str| before.ends_with(['.', '-', '_']) || before.ends_with("part");
        if digits.len() < name.len() {
            let found = Self { before: digits, count: &name[digits.len()..], after: "" };
            return (found.is_count() && named(digits) && is_archive(digits)).then_some(found);
        }
        [2, 3].into_iter().find_map(|length| {
            let (before, count) = name.split_at_checked(name.len().checked_sub(length)?)?;
            let letters = count.chars().all(|c| c.is_ascii_lowercase()) && !ENDINGS.contains(&count);
            let found = Self { before, count, after: "" };
            (letters && (before == "x" || named(before) && is_archive(before))).then_some(found)
        })
    }

    fn is_count(&self) -> bool {
        (1..=4).contains(&self.count.len())
    }

    fn is_first(&self) -> bool {
        self.count.chars().all(|c| c == 'a') || matches!(self.count.parse(), Ok(0_u16 | 1))
    }
}

/// Whether the name of an archive comes before the count.
fn is_archive(before: &str) -> bool {
    [".tar", ".tgz", ".tzst", ".txz", ".tbz", "part"].iter().any(|ending| before.contains(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_from_versions_and_endings() {
        for (name, before, count, after) in [
            ("haul_0.tar.zst", "haul_", "0", ".tar.zst"),
            ("haul_12.tar.zst", "haul_", "12", ".tar.zst"),
            ("x.part1.tar", "x.part", "1", ".tar"),
            ("x.tar.part-aa", "x.tar.part-", "aa", ""),
            ("x.tar.gz.partab", "x.tar.gz.part", "ab", ""),
            ("x.tar.aa", "x.tar.", "aa", ""),
            ("x.tar.zst.001", "x.tar.zst.", "001", ""),
            ("x_1.tar.00", "x_1.tar.", "00", ""),
            ("x.tgz-ab", "x.tgz-", "ab", ""),
            ("xaa", "x", "aa", ""),
        ] {
            assert_eq!(Name::of(name), Some(Name { before, count, after }), "{name}");
        }
        for name in [
            "x.tar",
            "x.tar.gz",
            "x.tgz",
            "zenml-0.93.2.tar",
            "zenml-1.tar.gz",
            "zenml-0.93.2.tgz",
            "app.aa",
            "notes.md",
            "x.tar.12345",
            "manifest.txt",
            "",
            "aa",
            "x",
        ] {
            assert_eq!(Name::of(name), None, "{name}");
        }
    }
}
