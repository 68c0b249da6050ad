//! Repository names.
//!
//! Grammar: OCI distribution-spec, "Pulling manifests", `<name>`. A valid name has no empty, `.` or `..` component and
//! none that begins with `_`, so it is safe as a folder path, and our own `_…` folders below it cannot collide with one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name accepted, in bytes. Many clients limit `host/name` to 255.
const MAX_LEN: usize = 255;

/// A valid repository name such as `zenml/zenml` or `docker.io/library/alpine`. Cheap to clone.
#[derive(Clone, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components between the slashes; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The first component and, if there are more, the rest.
    #[must_use]
    pub fn split_first(&self) -> (&str, Option<&str>) {
        match self.0.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (&self.0, None),
        }
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() > MAX_LEN {
            return Err(InvalidName::TooLong(text.len()));
        }
        if text.split('/').all(is_component) { Ok(Self(text.into())) } else { Err(InvalidName::Grammar(text.into())) }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(alphanumeric).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
        })
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a repository name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// More than 255 bytes.
    #[error("a repository name has at most {MAX_LEN} bytes, found {0}")]
    TooLong(usize),
    /// Not in the specification's grammar.
    #[error("repository name `{0}` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`")]
    Grammar(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_specification_and_of_upstreams_are_taken() {
        for good in [
            "a",
            "zenml/zenml-pro-api",
            "a__b/c---d/e.f_g",
            "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api",
            "localhost_5000/x",
            "a/blobs/uploads",
            "x/manifests/y",
        ] {
            assert_eq!(good.parse::<RepositoryName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn h10_names_outside_the_grammar_are_refused() {
        let long = "a/".repeat(128) + "a";
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "..",
            "a/../b",
            ".a",
            "a.",
            "a..b",
            "_catalog",
            "a___b",
            "a_-b",
            "localhost:5000/x",
            "ü",
            "a b",
            "a%2fb",
            "a\0b",
            "-a",
            "a-",
            &long,
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_of_the_grammar_is_taken(
            text in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}){0,3}"
        ) {
            prop_assert_eq!(text.parse::<RepositoryName>().unwrap().to_string(), text);
        }

        #[test]
        fn a_taken_name_never_leaves_its_folder(text: String) {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert!(name.components().all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
            }
        }
    }
}
