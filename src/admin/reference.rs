//! References and patterns as people type them.

use airdock_registry::names::{self, RequestedName};
use airdock_registry::oci::{RepositoryName, Tag, TagOrDigest};

use crate::exit::{Code, Failure};

/// Longest text read, in bytes: a name, a tag, a digest, and the separators.
const MAX_LEN: usize = 600;

/// What a reference names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: RequestedName,
    /// By digest where the reference has both, as for a pull.
    pub(super) what: TagOrDigest,
}

/// Reads `repository:tag`, `repository@digest`, or either with an upstream's host before it, as pulls spell it.
pub(super) fn parse(text: &str, names: &names::Settings) -> Result<Reference, Failure> {
    let wrong =
        |why: &str| invalid(text, format_args!("a reference: {why}; write REPOSITORY:TAG or REPOSITORY@DIGEST"));
    if text.len() > MAX_LEN {
        return Err(wrong("it is too long"));
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|error| wrong(&format!("{error}")))?)),
        None => (text, None),
    };
    let (path, tag) = split_tag(rest);
    let tag: Option<Tag> = tag.map(str::parse).transpose().map_err(|error| wrong(&format!("{error}")))?;
    let path: RepositoryName = stored(path).parse().map_err(|error| wrong(&format!("{error}")))?;
    let what = match (digest, tag) {
        (Some(digest), _) => TagOrDigest::Digest(digest),
        (None, Some(tag)) => TagOrDigest::Tag(tag),
        (None, None) => return Err(wrong("it names no tag and no digest")),
    };
    Ok(Reference { name: names::resolve(names, path, None), what })
}

fn invalid(text: &str, why: impl std::fmt::Display) -> Failure {
    let shown: String = text.chars().take(120).collect();
    Failure::new(Code::InvalidReference, format!("`{shown}` is not {why}"))
}

/// A colon after the last slash begins a tag; one before it begins a host's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    }
}

/// A host's port is stored with an underscore.
fn stored(path: &str) -> String {
    match path.split_once('/') {
        Some((host, rest)) => format!("{}/{rest}", host.replace(':', "_")),
        None => path.to_owned(),
    }
}

/// Which tags are listed.
#[derive(Debug)]
pub(super) struct Pattern {
    repository: String,
    tag: Option<String>,
}

impl Pattern {
    /// Reads a repository or `repository:tag`, either with `*` for any characters.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if text.is_empty() || text.len() > MAX_LEN || text.contains('@') {
            return Err(invalid(text, "a pattern: write REPOSITORY or REPOSITORY:TAG, `*` is any characters"));
        }
        let (repository, tag) = split_tag(text);
        Ok(Self { repository: stored(repository.trim_end_matches('/')), tag: tag.map(str::to_owned) })
    }

    /// Whether tags of this repository may match: it is equal, below it, or matches the wildcards.
    pub(super) fn repository(&self, name: &str) -> bool {
        let below = || name.strip_prefix(&self.repository).is_some_and(|rest| rest.starts_with('/'));
        fits(&self.repository, name) || (self.tag.is_none() && below())
    }

    /// Whether it is about everything in a repository.
    pub(super) const fn is_of_whole_repositories(&self) -> bool {
        self.tag.is_none()
    }

    /// Whether a tag of such a repository matches.
    pub(super) fn tag(&self, tag: &str) -> bool {
        self.tag.as_ref().is_none_or(|pattern| fits(pattern, tag))
    }
}

/// The part of a sorted list that patterns can match: names that begin as one of them does before its first `*`.
#[derive(Debug)]
pub(super) struct Span<'a>(Vec<&'a str>);

impl<'a> Span<'a> {
    /// Of the repositories that patterns match; of all when there are none.
    pub(super) fn of_repositories(patterns: &'a [Pattern]) -> Self {
        Self(patterns.iter().map(|pattern| head(&pattern.repository)).collect())
    }

    /// Of the tags that patterns match; of all when there are none.
    pub(super) fn of_tags(patterns: &[&'a Pattern]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.tag.as_deref().map_or("", head)).collect())
    }

    /// A text behind which the list is to be read; none for the whole list.
    pub(super) fn start(&self) -> Option<String> {
        let (last, rest) = self.0.iter().min()?.as_bytes().split_last()?;
        // Just before it: no name holds the last character of ASCII.
        let before = [rest, &[last.saturating_sub(1), 0x7f]].concat();
        String::from_utf8(before).ok()
    }

    /// Whether neither this name nor any after it matches.
    pub(super) fn is_past(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|head| name > *head && !name.starts_with(head))
    }
}

fn head(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

/// Whether a text matches a pattern with `*`: every `*` takes as little as it can, and only the last one is tried again.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for part in middle.split('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let Reference { name, what } = parse(text, &names::Settings::default()).unwrap();
        (name.path.to_string(), what.to_string())
    }

    #[test]
    fn a_reference_is_read_as_a_pull_would_spell_it() {
        let digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        let pair = |path: &str, what: &str| (path.to_owned(), what.to_owned());
        assert_eq!(read("zenml/zenml:0.93.2"), pair("zenml/zenml", "0.93.2"));
        assert_eq!(read("docker.io/zenmldocker/zenml:0.93.2"), pair("docker.io/zenmldocker/zenml", "0.93.2"));
        assert_eq!(read("reg.local:5000/x/y:1"), pair("reg.local_5000/x/y", "1"));
        assert_eq!(read(&format!("x:1@{digest}")), pair("x", digest));
        for wrong in ["", "x", "x:", "reg.local:5000/x", "X/y:1", "x@sha256:1", "x:a b", &"x".repeat(1000)] {
            let failure = parse(wrong, &names::Settings::default()).unwrap_err();
            assert!(failure.message.contains("REPOSITORY:TAG"), "{failure}");
        }
    }

    #[test]
    fn a_list_is_read_from_the_first_name_that_may_match_to_the_last() {
        let patterns = ["zenml/*:1.0*", "app:2"].map(|text| Pattern::parse(text).unwrap());
        let span = Span::of_repositories(&patterns);
        let start = span.start().unwrap();
        assert!(("ap"..="app").contains(&&*start) && *"ao/z" < *start && *start < *"app", "{start:?}");
        assert!(!span.is_past("apa") && !span.is_past("app") && !span.is_past("b") && !span.is_past("zenml/zenml"));
        assert!(span.is_past("zenml0") && span.is_past("zz"));
        let span = Span::of_tags(&[&patterns[0]]);
        assert!(*"1./" < *span.start().unwrap() && *span.start().unwrap() < *"1.0");
        assert!(!span.is_past("1.0.1") && span.is_past("1.1") && !span.is_past("0"));
        for all in [&[][..], &[Pattern::parse("*").unwrap()]] {
            let span = Span::of_repositories(all);
            assert_eq!((span.start(), span.is_past("zz")), (None, false));
        }
    }

    #[test]
    fn a_pattern_is_a_repository_what_is_below_it_or_has_stars() {
        let matches = |pattern: &str, repository: &str, tag: &str| {
            let pattern = Pattern::parse(pattern).unwrap();
            pattern.repository(repository) && pattern.tag(tag)
        };
        assert!(matches("zenml", "zenml/zenml", "1") && matches("zenml/", "zenml", "1"));
        assert!(!matches("zenml", "zenml-pro", "1"));
        assert!(matches("zenml/*:0.9*", "zenml/zenml", "0.93.2") && !matches("zenml/*:0.9*", "zenml/zenml", "1.0.9"));
        assert!(!matches("zenml:1", "zenml/zenml", "1"), "a tag is of that repository");
        assert!(matches("*/zenml-*-api", "a.b_5000/x/zenml-pro-api", "1"));
        assert!(matches("a.b:5000/x", "a.b_5000/x/zenml-pro-api", "1"));
        assert!(matches("*", "x", "1") && matches("**:**", "x", "1") && !matches("*ab*ab", "xab", "1"));
        assert!(Pattern::parse("").is_err() && Pattern::parse("x@y").is_err());
    }
}
