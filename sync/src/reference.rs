//! Image references as people and `docker save` write them, and the name that content is stored under.
//!
//! Grammar: that of `distribution/reference` (`[host[:port]/]path[:tag][@digest]`), completed as Docker does: no host means
//! `docker.io`, a single component there means `library/`. A first component is a host when it has a dot or a port or
//! is `localhost`. The stored name of `host/path` is a repository name whose first component is the host, a port written
//! `_5000`. Knows nothing of internal names: that is [`crate::publish`].

use std::fmt;
use std::str::FromStr;

use airdock_registry::oci::{Digest, RepositoryName, Tag};

/// The longest reference, in bytes: a name of 255, a tag of 128, a digest, and separators.
const MAX_LEN: usize = 600;

/// The one stored name of Docker Hub.
const DOCKER_HUB: &str = "docker.io";

/// A full image reference: host, repository, and tag or digest if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    repository: RepositoryName,
    host: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// A reference from its parts, `host` as it is written in references (`registry.example:5000`).
    ///
    /// # Errors
    /// When host and path do not make a repository name.
    pub fn new(host: &str, path: &str, tag: Option<Tag>) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference::Grammar(excerpt(&format!("{host}/{path}")));
        let host = canonical_host(host).ok_or_else(invalid)?;
        let path = if host == DOCKER_HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        // The path must be a name by itself: a host and a fragment must not add up to one.
        path.parse::<RepositoryName>().map_err(|_| invalid())?;
        let repository = format!("{}/{path}", host.replace(':', "_")).parse().map_err(|_| invalid())?;
        Ok(Self { repository, host, tag, digest: None })
    }

    /// The name the content is stored under: `docker.io/library/alpine`, `registry.example_5000/a/b`.
    #[must_use]
    pub const fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag, if there is one.
    #[must_use]
    pub const fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if there is one.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The last component of the path.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.repository.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The same with the tag `latest` if there is neither tag nor digest, as Docker understands it.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = "latest".parse().ok();
        }
        self
    }

    fn path(&self) -> &str {
        self.repository.split_first().1.unwrap_or_default()
    }
}

/// In lower case, with Docker Hub's aliases replaced.
fn canonical_host(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let (name, port) = host.split_once(':').map_or((host.as_str(), None), |(name, port)| (name, Some(port)));
    let port_fits = port.is_none_or(|port| port.len() <= 5 && port.parse::<u16>().is_ok_and(|port| port > 0));
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // `Team/app` has a host for Docker, but its stored name would be the internal name `team/app`.
    if !port_fits || name.len() > 253 || !name.split('.').all(label) || !is_host(&host) {
        return None;
    }
    Some(match name {
        "index.docker.io" | "registry-1.docker.io" if port.is_none() => DOCKER_HUB.to_owned(),
        _ => host,
    })
}

fn is_host(component: &str) -> bool {
    component.contains(['.', ':'])
        || component == "localhost"
        || component.bytes().any(|byte| byte.is_ascii_uppercase())
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.len() > MAX_LEN {
            return Err(InvalidReference::TooLong(text.len()));
        }
        let invalid = || InvalidReference::Grammar(excerpt(text));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        // A colon after the last slash begins a tag; one before it is a host's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.parse::<Tag>().map_err(|_| invalid())?)),
            _ => (rest, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if is_host(first) => (first, path),
            _ => (DOCKER_HUB, name),
        };
        let mut reference = Self::new(host, path, tag).map_err(|_| invalid())?;
        reference.digest = digest;
        Ok(reference)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Untrusted text may be long; an error repeats only its start.
fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It is too long.
    #[error("an image reference has at most {MAX_LEN} bytes, found {0}")]
    TooLong(usize),
    /// It does not match the grammar.
    #[error("`{0}` is not an image reference such as `docker.io/library/alpine:3`")]
    Grammar(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> ImageReference {
        text.parse().unwrap()
    }

    #[test]
    fn familiar_names_are_made_full_as_docker_does() {
        for (familiar, full) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("zenmldocker/zenml:0.93.2", "docker.io/zenmldocker/zenml:0.93.2"),
            ("index.docker.io/library/alpine", "docker.io/library/alpine"),
            ("registry-1.docker.io/alpine", "docker.io/library/alpine"),
            ("localhost/x:y", "localhost/x:y"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("Registry.Example:5000/a/b", "registry.example:5000/a/b"),
            (
                "europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/a:1",
                "europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/a:1",
            ),
        ] {
            assert_eq!(parse(familiar).to_string(), full, "{familiar}");
        }
    }

    #[test]
    fn the_stored_name_writes_the_port_with_an_underscore() {
        assert_eq!(parse("registry.example:5000/a/b:1").repository().as_str(), "registry.example_5000/a/b");
        assert_eq!(parse("registry.example:5000/a/b").tag(), None);
        assert_eq!(parse("zenmldocker/zenml:1").short_name(), "zenml");
    }

    #[test]
    fn without_tag_and_digest_it_means_latest() {
        assert_eq!(parse("alpine").or_latest().tag().unwrap().as_str(), "latest");
        let pinned = "alpine@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(parse(pinned).or_latest().tag(), None);
        assert!(parse(pinned).digest().is_some());
    }

    #[test]
    fn texts_that_are_no_reference_are_refused() {
        let long = "a".repeat(700);
        for bad in [
            "",
            ":",
            "a:",
            ":tag",
            "<none>:<none>",
            "a b",
            "../x",
            "a/../b",
            "a//b",
            "A",
            "a@sha256:1",
            "x:y:z",
            "host:0/a",
            "host:99999/a",
            "-h.x/a",
            "a/",
            "/a",
            "a\0",
            "ü",
            "Team/app:1",
            &long,
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trips(
            host in "(docker\\.io|localhost|[a-z]{1,5}\\.[a-z]{2,3}|[a-z]{2,5}:[1-9][0-9]{0,3})",
            path in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}(\\.|_|__|-)[a-z0-9]{1,4}){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,10}"),
        ) {
            let tag = tag.map(|tag| tag.parse().unwrap());
            let reference = ImageReference::new(&host, &path, tag).unwrap();
            prop_assert_eq!(&parse(&reference.to_string()), &reference);
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text: String) {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(&parse(&reference.to_string()), &reference);
                prop_assert!(reference.repository().components().all(|part| !part.starts_with(['.', '_'])));
            }
        }

        #[test]
        fn texts_close_to_references_never_panic(text in "[a-zA-Z0-9.:/@_-]{0,80}") {
            let _ = text.parse::<ImageReference>();
        }
    }
}
