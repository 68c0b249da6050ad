//! What `serve` prints about its content: counts, names, and commands to paste.
//!
//! Bounded: a registry of any size is described in some sixty lines.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use airdock_registry::names::{Namespace, RequestedName};
use airdock_registry::oci::{RepositoryName, Tag, TagOrDigest};
use airdock_registry::{ContentKind, Error, Registry};

use crate::view::text::counted;

/// Repositories counted one by one, and tags counted in each and in all.
const COUNTED: usize = 1000;
const COUNTED_TAGS: usize = 1000;
const COUNTED_IN_ALL: usize = 10_000;

/// Repositories listed, tags listed for each, and commands for each sort of name.
const SHOWN: usize = 20;
const SHOWN_TAGS: usize = 4;
const COMMANDS: usize = 10;

/// The content of a registry, as far as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    repositories: Vec<Shelf>,
    more: bool,
}

/// One repository.
#[derive(Debug)]
struct Shelf {
    name: RepositoryName,
    tags: Vec<Tag>,
    more_tags: bool,
    kind: Kind,
}

/// What a repository's last tag is. Only the first few are looked at, since each look reads a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Chart,
    Other,
}

impl Contents {
    /// Looks at the registry.
    pub(crate) async fn of(registry: &Registry) -> Result<Self, Error> {
        let page = registry.repositories(None, COUNTED).await?;
        let mut contents = Self { repositories: Vec::new(), more: page.more };
        let (mut looked_at, mut left) = ([0; 2], COUNTED_IN_ALL);
        for name in page.names {
            let asked = RequestedName::bare(name.clone());
            // At least one: it is what a command may pull.
            let (tags, more_tags) = match registry.tags(&asked, None, left.clamp(1, COUNTED_TAGS)).await {
                Ok(page) => (page.tags, page.more),
                // Deleted since it was listed.
                Err(Error::NameUnknown(_)) => continue,
                Err(error) => return Err(error),
            };
            left = left.saturating_sub(tags.len());
            let looked_at = &mut looked_at[usize::from(is_upstream(&name))];
            let kind = match tags.last() {
                Some(tag) if *looked_at < COMMANDS => kind(registry, &asked, tag).await?,
                _ => Kind::Other,
            };
            *looked_at += usize::from(kind != Kind::Other);
            contents.repositories.push(Shelf { name, tags, more_tags, kind });
        }
        Ok(contents)
    }

    /// Counts, and the first names.
    pub(crate) fn describe(&self) -> String {
        let tags: usize = self.repositories.iter().map(|shelf| shelf.tags.len()).sum();
        let more_tags = self.more || self.repositories.iter().any(|shelf| shelf.more_tags);
        let than = |more: bool| if more { "more than " } else { "" };
        let repositories = counted(self.repositories.len() as u64, "repository", "repositories");
        let tags = counted(tags as u64, "tag", "tags");
        let mut text = format!("{}{repositories}, {}{tags}\n", than(self.more), than(more_tags));
        for shelf in self.repositories.iter().take(SHOWN) {
            let _ = write!(text, "  {}", shelf.name);
            for (position, tag) in shelf.tags.iter().rev().take(SHOWN_TAGS).enumerate() {
                let _ = write!(text, "{}{tag}", if position == 0 { ": " } else { ", " });
            }
            let rest = shelf.tags.len().saturating_sub(SHOWN_TAGS);
            if rest > 0 {
                let _ = write!(text, " and {rest} more");
            }
            text.push('\n');
        }
        if self.repositories.len() > SHOWN {
            let _ = writeln!(text, "  and {} more", self.repositories.len() - SHOWN);
        }
        text
    }

    /// Commands that pull what there is, by the internal names and by the upstreams'.
    pub(crate) fn commands(&self, at: &Address) -> String {
        let pullable = self.repositories.iter().filter(|shelf| shelf.kind != Kind::Other);
        let (upstream, internal): (Vec<_>, Vec<_>) = pullable.partition(|shelf| is_upstream(&shelf.name));
        if upstream.is_empty() && internal.is_empty() {
            return format!(
                "nothing to pull yet: ingest a bundle with `airdock ingest PATH`, or push to {}/NAME:TAG\n",
                at.host
            );
        }
        let mut text = String::new();
        for (title, shelves) in [("pull by the internal name:", &internal), ("or by the upstream's name:", &upstream)] {
            if !shelves.is_empty() {
                let _ = writeln!(text, "{title}");
            }
            shelves.iter().take(COMMANDS).for_each(|shelf| text += &at.pull(shelf));
        }
        let images = |shelf: &&&Shelf| shelf.kind == Kind::Image;
        if let Some(image) = internal.iter().find(images).or(upstream.iter().find(images)) {
            text += &at.pull_otherwise(image);
        }
        if internal.iter().any(|shelf| shelf.kind == Kind::Chart && shelf.name.as_str().starts_with("charts/")) {
            let url = format!("{}://{}", if at.tls { "https" } else { "http" }, at.host);
            let _ = writeln!(text, "the charts as a Helm repository:\n  helm repo add airdock {url}/charts");
        }
        text + &at.hint()
    }
}

fn is_upstream(name: &RepositoryName) -> bool {
    name.as_str().split('/').next().is_some_and(|component| Namespace::of_component(component).is_some())
}

async fn kind(registry: &Registry, name: &RequestedName, tag: &Tag) -> Result<Kind, Error> {
    let found = match registry.locate(name, &TagOrDigest::Tag(tag.clone())).await {
        Ok((repository, digest)) => registry.describe(&repository, &digest).await,
        Err(error) => Err(error),
    };
    match found.map(|found| found.summary.kind) {
        Ok(ContentKind::Image | ContentKind::Index) => Ok(Kind::Image),
        Ok(ContentKind::Chart) => Ok(Kind::Chart),
        // Deleted since, or damaged on disk; the others are still listed.
        Ok(ContentKind::Artifact) | Err(Error::ManifestUnknown { .. } | Error::Disk(_)) => Ok(Kind::Other),
        Err(error) => Err(error),
    }
}

/// The address at which clients on this machine reach the server.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    host: String,
    tls: bool,
    loopback: bool,
}

impl Address {
    pub(crate) fn of(listener: SocketAddr, scheme: &str) -> Self {
        let ip = match listener.ip() {
            // Nothing can connect to the unspecified address.
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = SocketAddr::new(ip, listener.port()).to_string();
        Self { host, tls: scheme == "https", loopback: ip.is_loopback() }
    }

    /// The pull command for the last tag in order, which is most likely the newest.
    fn pull(&self, shelf: &Shelf) -> String {
        let (Self { host, .. }, Shelf { name, .. }) = (self, shelf);
        let Some(tag) = shelf.tags.last() else { return String::new() };
        if shelf.kind == Kind::Image {
            return format!("  docker pull {host}/{name}:{tag}\n");
        }
        let plain = if self.tls { "" } else { " --plain-http" };
        // A tag cannot contain the `+` of a chart's version; Helm replaces it with `_`.
        let version = tag.as_str().replace('_', "+");
        format!("  helm pull{plain} oci://{host}/{name} --version {version}\n")
    }

    fn pull_otherwise(&self, image: &Shelf) -> String {
        let (Self { host, .. }, Shelf { name, .. }) = (self, image);
        let Some(tag) = image.tags.last() else { return String::new() };
        let (podman, ctr) = if self.tls { ("", "") } else { (" --tls-verify=false", " --plain-http") };
        format!(
            "with other clients:\n  podman pull{podman} {host}/{name}:{tag}\n  ctr images pull{ctr} {host}/{name}:{tag}\n"
        )
    }

    fn hint(&self) -> String {
        let host = &self.host;
        if self.tls {
            format!(
                "clients have to trust the certificate's issuer: docker reads /etc/docker/certs.d/{host}/ca.crt, podman \
                 /etc/containers/certs.d/{host}/ca.crt, ctr --tlscacert FILE, helm --ca-file FILE\n"
            )
        } else if self.loopback {
            // The Docker daemon uses plain HTTP with any loopback address.
            String::new()
        } else {
            format!(
                "docker pulls over plain HTTP once `insecure-registries` in /etc/docker/daemon.json has \"{host}\"\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(name: &str, tags: &[&str], kind: Kind) -> Shelf {
        let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        Shelf { name: name.parse().unwrap(), tags, more_tags: false, kind }
    }

    fn address(listener: &str, scheme: &str) -> Address {
        Address::of(listener.parse().unwrap(), scheme)
    }

    #[test]
    fn internal_and_upstream_names_get_pull_commands() {
        let contents = Contents {
            repositories: vec![
                shelf("charts/zenml", &["0.93.2_1"], Kind::Chart),
                shelf("docker.io/zenmldocker/zenml", &["0.93.2"], Kind::Image),
                shelf("zenml/zenml", &["0.93.1", "0.93.2"], Kind::Image),
            ],
            more: false,
        };
        assert_eq!(
            contents.commands(&address("0.0.0.0:5000", "http")),
            "\
pull by the internal name:
  helm pull --plain-http oci://127.0.0.1:5000/charts/zenml --version 0.93.2+1
  docker pull 127.0.0.1:5000/zenml/zenml:0.93.2
or by the upstream's name:
  docker pull 127.0.0.1:5000/docker.io/zenmldocker/zenml:0.93.2
with other clients:
  podman pull --tls-verify=false 127.0.0.1:5000/zenml/zenml:0.93.2
  ctr images pull --plain-http 127.0.0.1:5000/zenml/zenml:0.93.2
the charts as a Helm repository:
  helm repo add airdock http://127.0.0.1:5000/charts
"
        );
        assert_eq!(
            contents.describe(),
            "\
3 repositories, 4 tags
  charts/zenml: 0.93.2_1
  docker.io/zenmldocker/zenml: 0.93.2
  zenml/zenml: 0.93.2, 0.93.1
"
        );
    }

    #[test]
    fn what_needs_client_configuration_is_explained() {
        let contents = Contents { repositories: vec![shelf("a", &["1"], Kind::Image)], more: false };
        let tls = contents.commands(&address("127.0.0.1:443", "https"));
        assert!(tls.contains("  podman pull 127.0.0.1:443/a:1\n"), "{tls}");
        assert!(tls.contains("/etc/docker/certs.d/127.0.0.1:443/ca.crt"), "{tls}");
        let plain = contents.commands(&address("10.0.0.1:80", "http"));
        assert!(plain.contains("insecure-registries"), "{plain}");
    }

    #[test]
    fn a_large_registry_is_described_in_a_few_lines() {
        let tags: Vec<String> = (0..100).map(|number| format!("v{number:03}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let repositories = (0..500).map(|number| shelf(&format!("r{number}"), &tags, Kind::Image)).collect();
        let contents = Contents { repositories, more: true };
        let commands = contents.commands(&address("127.0.0.1:5000", "http"));
        assert_eq!(commands.lines().count(), 1 + COMMANDS + 3);
        let text = contents.describe();
        assert_eq!(text.lines().count(), SHOWN + 2);
        assert!(text.starts_with("more than 500 repositories, more than 50000 tags\n"), "{text}");
        assert!(text.contains("  r0: v099, v098, v097, v096 and 96 more\n"), "{text}");
    }

    #[test]
    fn an_empty_registry_says_how_to_fill_it() {
        let text = Contents::default().commands(&address("127.0.0.1:5000", "http"));
        assert!(text.starts_with("nothing to pull yet"), "{text}");
    }
}
