//! The host of an upstream registry, as it comes in `?ns=` and begins the name of a mirrored repository.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A host with an optional port, in lower case: `docker.io`, `registry.local:5000`. Docker Hub's other host names are
/// read as `docker.io`. Cheap to clone.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// Docker Hub, `docker.io`.
    #[must_use]
    pub fn docker_hub() -> Self {
        Self("docker.io".into())
    }

    /// Whether this is Docker Hub, whose `library/` clients leave out.
    pub(super) fn is_docker_hub(&self) -> bool {
        &*self.0 == "docker.io"
    }

    /// The host as clients write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host as the first component of a repository name. A component has no colon: `registry.local_5000`.
    #[must_use]
    pub fn component(&self) -> Cow<'_, str> {
        if self.0.contains(':') { self.0.replace(':', "_").into() } else { Cow::Borrowed(&self.0) }
    }

    /// The upstream that the first component of a repository name stands for: one with a dot in it, or `localhost`.
    /// `None` for every other component.
    #[must_use]
    pub fn of_component(component: &str) -> Option<Self> {
        let (host, port) = match component.rsplit_once('_') {
            Some((host, port)) if is_port(port) => (host, Some(port)),
            _ => (component, None),
        };
        // Checked first: every request asks, and most components are no host.
        let name = host.split(':').next().unwrap_or_default();
        if !name.contains('.') && name != "localhost" {
            return None;
        }
        port.map_or_else(|| host.parse(), |port| format!("{host}:{port}").parse()).ok()
    }
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.parse::<u16>().is_ok_and(|port| port > 0) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for Namespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, InvalidNamespace> {
        let lower = text.to_ascii_lowercase();
        let (host, port) = match lower.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (lower.as_str(), None),
        };
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if host.len() > 253 || !host.split('.').all(label) || port.is_some_and(|port| !is_port(port)) {
            return Err(InvalidNamespace(text.chars().take(80).collect()));
        }
        match lower.as_str() {
            "index.docker.io" | "registry-1.docker.io" => Ok(Self::docker_hub()),
            _ => Ok(Self(lower.into())),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a registry host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a registry's host name with an optional port")]
pub struct InvalidNamespace(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_one_name() {
        for hub in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"] {
            assert_eq!(hub.parse::<Namespace>().unwrap().as_str(), "docker.io");
        }
    }

    #[test]
    fn u17_what_is_no_host_is_refused() {
        for bad in
            ["", "..", "a/b", "a..b", "-a.io", "a.io:", "a.io:0", "a.io:99999", "a.io:+80", "a_b.io", "ü.io", "a b"]
        {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_component_names_an_upstream_when_it_has_a_dot() {
        let named = |component: &str| Namespace::of_component(component).map(|host| host.to_string());
        assert_eq!(named("ghcr.io").as_deref(), Some("ghcr.io"));
        assert_eq!(named("registry.local_5000").as_deref(), Some("registry.local:5000"));
        assert_eq!(named("localhost_5000").as_deref(), Some("localhost:5000"));
        assert_eq!(named("zenml"), None);
        assert_eq!(named("team_1"), None);
    }
}
