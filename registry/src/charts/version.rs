//! The order of versions in the index.

use std::cmp::Ordering;

/// By semantic version, the newest first; texts that are not versions come last, in their order.
pub(super) fn newest_first(one: &str, other: &str) -> Ordering {
    Version::read(other).cmp(&Version::read(one)).then_with(|| one.cmp(other))
}

/// Ordered as SemVer 2.0.0, 11 says. A release goes after its prereleases.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    core: [u64; 3],
    released: bool,
    prerelease: Vec<Identifier>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Version {
    /// As lenient as Helm: a leading `v` and missing parts are accepted.
    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (core, prerelease) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
        let mut parts = core.split('.').map(str::parse);
        let mut number = || parts.next().unwrap_or(Ok(0)).ok();
        let core = [number()?, number()?, number()?];
        let identifier = |part: &str| part.parse().map_or_else(|_| Identifier::Text(part.into()), Identifier::Number);
        Some(Self {
            core,
            released: prerelease.is_none(),
            prerelease: prerelease.into_iter().flat_map(|rest| rest.split('.')).map(identifier).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_the_newest_first() {
        let mut versions =
            ["1.0.0-rc.1", "nightly", "0.9.12", "1.0.0", "v0.10", "1.0.0-rc.10", "1.0.0-alpha", "1.0.0+2"];
        versions.sort_by(|one, other| newest_first(one, other));
        let expected = ["1.0.0", "1.0.0+2", "1.0.0-rc.10", "1.0.0-rc.1", "1.0.0-alpha", "v0.10", "0.9.12", "nightly"];
        assert_eq!(versions, expected);
    }
}
