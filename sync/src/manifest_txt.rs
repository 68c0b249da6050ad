//! `manifest.txt`: free text for people, compared with the content of the bundle. It only causes warnings.
//!
//! Recognised: `name:version` references, chart files `name-version.tgz`, and lines with a known name and a version.
//! Everything else (dates, registry URLs, prose) is ignored.

use std::collections::{BTreeMap, BTreeSet};

use crate::reference::ImageReference;

/// The longest text that is read; the rest of a longer one is ignored.
pub const MAX_SIZE: usize = 1024 * 1024;
const MAX_WARNINGS: usize = 50;

/// One image or chart that a bundle holds: the last component of its name, and its tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Such as `zenml-pro-api`.
    pub name: String,
    /// Such as `0.10.1`.
    pub version: String,
}

/// The differences between `text` and the bundle, as sentences.
#[must_use]
pub fn cross_check(text: &str, held: &[Held]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for item in held {
        versions.entry(item.name.as_str()).or_default().insert(item.version.as_str());
    }
    let mut mentioned: BTreeSet<String> = BTreeSet::new();
    let mut warnings: Vec<String> = Vec::new();
    for line in text.lines() {
        let said = Line::read(line);
        mentioned.extend(said.names.iter().cloned());
        for (name, version) in &said.pairs {
            mentioned.insert(name.clone());
            let warning = match versions.get(name.as_str()) {
                Some(held) if held.contains(version.as_str()) => continue,
                Some(held) => differs(name, version, held),
                None => format!("it names `{name}` {version}, which the bundle does not hold"),
            };
            push(&mut warnings, warning);
        }
        // `zenml-pro-api   0.10.1`: name and version apart on one line.
        if said.pairs.is_empty()
            && let [version] = said.versions.as_slice()
            && let [name] =
                said.names.iter().filter(|name| versions.contains_key(name.as_str())).collect::<Vec<_>>().as_slice()
            && let Some(held) = versions.get(name.as_str()).filter(|held| !held.contains(version.as_str()))
        {
            push(&mut warnings, differs(name, version, held));
        }
    }
    for (name, held) in &versions {
        if !mentioned.contains(*name) {
            push(&mut warnings, format!("it does not mention `{name}` {}, which the bundle holds", list(held)));
        }
    }
    warnings
}

fn differs(name: &str, version: &str, held: &BTreeSet<&str>) -> String {
    format!("it says `{name}` is {version}, the bundle holds {}", list(held))
}

fn list(versions: &BTreeSet<&str>) -> String {
    versions.iter().copied().collect::<Vec<_>>().join(", ")
}

fn push(warnings: &mut Vec<String>, warning: String) {
    if warnings.len() < MAX_WARNINGS && !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

#[derive(Default)]
struct Line {
    pairs: Vec<(String, String)>,
    names: Vec<String>,
    versions: Vec<String>,
}

impl Line {
    fn read(line: &str) -> Self {
        let mut said = Self::default();
        let separators = |c: char| c.is_whitespace() || "\"'`,;()[]{}<>|*=".contains(c);
        for token in line.split(separators) {
            let token = token.trim_matches(|c: char| ".:!?-".contains(c));
            let token = token.strip_prefix("oci://").unwrap_or(token);
            // A URL is an address, not content of the bundle.
            if token.is_empty() || token.len() > 600 || token.contains("://") {
                continue;
            }
            if is_version(token) {
                said.versions.push(token.strip_prefix('v').unwrap_or(token).to_owned());
                said.versions.dedup();
            } else if let Some(pair) = chart_file(token).or_else(|| tagged(token)) {
                said.pairs.push(pair);
            } else if let Some(name) = token.rsplit('/').next().filter(|name| is_name(name)) {
                said.names.push(name.trim_end_matches(".tar").to_owned());
            }
        }
        said
    }
}

/// `zenml-pro-0.10.1.tgz`, with or without a folder in front.
fn chart_file(token: &str) -> Option<(String, String)> {
    let stem = token.rsplit('/').next()?.strip_suffix(".tgz")?;
    stem.match_indices('-').find_map(|(at, _)| {
        let (name, version) = (&stem[..at], &stem[at + 1..]);
        (is_version(version) && is_name(name)).then(|| (name.to_owned(), version.replace('+', "_")))
    })
}

/// `docker.io/zenmldocker/zenml:0.93.2`, but not a time of day or a host's port.
fn tagged(token: &str) -> Option<(String, String)> {
    let reference: ImageReference = token.parse().ok()?;
    let tag = reference.tag()?.as_str();
    let name = reference.short_name();
    (is_name(name) && (tag == "latest" || is_version(tag))).then(|| (name.to_owned(), tag.to_owned()))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() > 1
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// At least `1.2`, because a single number is more often a date or a size.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+', '_']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.len() < 9 && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&parts.len())
        && parts.iter().take(2).all(number)
        && parts.iter().all(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        && text.len() < 129
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-+_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(items: &[(&str, &str)]) -> Vec<Held> {
        items.iter().map(|(name, version)| Held { name: (*name).into(), version: (*version).into() }).collect()
    }

    const TEXT: &str = "ZenML Pro air-gapped bundle, 2026-11-20 12:30
Images (registry https://registry.corp:5000/zenml, mirror registry.corp:5000):
 - 715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api:0.10.1
 - zenml-pro-dashboard   0.10.1
 - zenmldocker/zenml:0.93.2.
Charts: charts/zenml-pro-0.10.1.tgz, zenml-0.93.2.tgz
";

    #[test]
    fn a_text_that_agrees_says_nothing() {
        let held = held(&[
            ("zenml-pro-api", "0.10.1"),
            ("zenml-pro-dashboard", "0.10.1"),
            ("zenml", "0.93.2"),
            ("zenml-pro", "0.10.1"),
        ]);
        assert_eq!(cross_check(TEXT, &held), Vec::<String>::new());
    }

    #[test]
    fn another_version_a_missing_and_an_unmentioned_image_are_each_named() {
        let held = held(&[
            ("zenml-pro-api", "0.10.2"),
            ("zenml-pro-dashboard", "0.10.2"),
            ("zenml", "0.93.2"),
            ("extra", "1.0"),
        ]);
        let warnings = cross_check(TEXT, &held);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[0].contains("`zenml-pro-api` is 0.10.1") && warnings[0].contains("0.10.2"), "{warnings:?}");
        assert!(warnings[1].contains("`zenml-pro-dashboard` is 0.10.1"), "{warnings:?}");
        assert!(warnings[2].contains("`zenml-pro` 0.10.1") && warnings[2].contains("does not hold"), "{warnings:?}");
        assert!(warnings[3].contains("`extra`"), "{warnings:?}");
    }

    #[test]
    fn dates_times_ports_and_sizes_are_no_images() {
        let prose = "made 2026-11-20 at 12:30 on host:5000, 4.2 GB, http://a.b:80/c:1.0, see README: sizes 3:2\n";
        assert_eq!(cross_check(prose, &[]), Vec::<String>::new());
    }

    #[test]
    fn warnings_are_bounded() {
        let long: String = (0..1000).map(|n| format!("a/image{n}:1.0\n")).collect();
        assert_eq!(cross_check(&long, &[]).len(), MAX_WARNINGS);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String, near in "[a-z0-9:./@ \n-]{0,200}") {
            let held = held(&[("zenml", "1.0")]);
            let _ = cross_check(&text, &held);
            let _ = cross_check(&near, &held);
        }
    }
}
