//! The name a client asked by, and the names it may mean.

use super::{Namespace, Settings};
use crate::oci::RepositoryName;

/// A repository as a request spells it: the path's name, and the upstream in `?ns=` when there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedName {
    /// The name in the path.
    pub path: RepositoryName,
    /// The upstream the client believes it speaks to (containerd, BuildKit, Docker's containerd store).
    pub ns: Option<Namespace>,
}

impl RequestedName {
    /// A name without an upstream.
    #[must_use]
    pub const fn bare(path: RepositoryName) -> Self {
        Self { path, ns: None }
    }

    /// The repository a push goes to: under its upstream when one was given, else the path as it is.
    #[must_use]
    pub fn write_target(&self) -> RepositoryName {
        match &self.ns {
            Some(ns) => mirrored(ns, self.below(ns)).unwrap_or_else(|| self.path.clone()),
            None => self.path.clone(),
        }
    }

    /// The repositories this name may mean, best first: the upstream of `ns` (its prefix stripped once when the path
    /// has it too, as a mirror with `override_path` sends it); else an upstream in the path; else the internal name,
    /// then the default upstream. Docker Hub's `library/` is implied where a name has one component.
    pub fn candidates<'a>(&'a self, settings: &'a Settings) -> impl Iterator<Item = RepositoryName> + 'a {
        let mut step = 0;
        std::iter::from_fn(move || {
            loop {
                step += 1;
                match self.candidate(step, settings) {
                    Step::Name(name) => return Some(name),
                    Step::Skip => {}
                    Step::End => return None,
                }
            }
        })
    }

    /// Made one at a time: the first is nearly always the one.
    fn candidate(&self, step: u8, settings: &Settings) -> Step {
        let (first, rest) = self.path.split_first();
        if let Some(ns) = &self.ns {
            if !settings.allows(ns) {
                return Step::End;
            }
            return upstream(step, ns, self.below(ns));
        }
        // Only of several components: `docker.io` alone is a repository's name, though an odd one.
        if let (Some(host), Some(rest)) = (Namespace::of_component(first), rest) {
            return upstream(step, &host, rest);
        }
        match step {
            1 => Step::Name(self.path.clone()),
            _ => match settings.default_upstream.parse() {
                Ok(default) => upstream(step - 1, &default, self.path.as_str()),
                Err(_) => Step::End,
            },
        }
    }

    fn below(&self, ns: &Namespace) -> &str {
        match self.path.split_first() {
            (first, Some(rest)) if Namespace::of_component(first).as_ref() == Some(ns) => rest,
            _ => self.path.as_str(),
        }
    }
}

enum Step {
    Name(RepositoryName),
    Skip,
    End,
}

fn upstream(step: u8, host: &Namespace, path: &str) -> Step {
    match step {
        1 => mirrored(host, path).map_or(Step::Skip, Step::Name),
        2 if host.as_str() == "docker.io" && !path.contains('/') => {
            mirrored(host, &format!("library/{path}")).map_or(Step::Skip, Step::Name)
        }
        _ => Step::End,
    }
}

fn mirrored(host: &Namespace, path: &str) -> Option<RepositoryName> {
    format!("{}/{path}", host.component()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, ns: Option<&str>) -> Vec<String> {
        let requested = RequestedName { path: path.parse().unwrap(), ns: ns.map(|ns| ns.parse().unwrap()) };
        requested.candidates(&Settings::default()).map(|name| name.to_string()).collect()
    }

    #[test]
    fn every_shape_of_protocol_3_5_means_the_mirrored_name() {
        const ECR: &str = "715803424590.dkr.ecr.eu-west-1.amazonaws.com";
        const GAR: &str = "europe-west3-docker.pkg.dev";
        for (host, path) in [(ECR, "zenml-pro-api"), (GAR, "zenml-cloud/zenml-pro/zenml-pro-api")] {
            let stored = format!("{host}/{path}");
            assert_eq!(names(path, Some(host)), [stored.as_str()], "containerd, bare mirror");
            assert_eq!(names(&stored, Some(host)), [stored.as_str()], "containerd, override_path");
            assert_eq!(names(&stored, None), [stored.as_str()], "podman, CRI-O");
        }
        assert_eq!(names("zenmldocker/zenml", Some("docker.io")), ["docker.io/zenmldocker/zenml"]);
        assert_eq!(names("zenmldocker/zenml", None), ["zenmldocker/zenml", "docker.io/zenmldocker/zenml"], "dockerd");
    }

    #[test]
    fn docker_hubs_library_is_implied() {
        let all = ["docker.io/alpine", "docker.io/library/alpine"];
        assert_eq!(names("alpine", Some("docker.io")), all);
        assert_eq!(names("docker.io/alpine", None), all);
        assert_eq!(names("alpine", None), ["alpine", "docker.io/alpine", "docker.io/library/alpine"]);
        assert_eq!(names("library/alpine", Some("registry-1.docker.io")), ["docker.io/library/alpine"]);
        assert_eq!(names("alpine", Some("ghcr.io")), ["ghcr.io/alpine"]);
    }

    #[test]
    fn a_port_is_written_with_an_underscore() {
        assert_eq!(names("x/y", Some("reg.local:5000")), ["reg.local_5000/x/y"]);
        assert_eq!(names("reg.local_5000/x/y", Some("reg.local:5000")), ["reg.local_5000/x/y"]);
        assert_eq!(names("reg.local_5000/x/y", None), ["reg.local_5000/x/y"]);
    }

    #[test]
    fn the_prefix_is_stripped_once_only() {
        assert_eq!(names("ghcr.io/ghcr.io/x", Some("ghcr.io")), ["ghcr.io/ghcr.io/x"]);
    }

    #[test]
    fn an_upstream_that_is_not_allowed_means_nothing() {
        let requested = RequestedName { path: "x".parse().unwrap(), ns: Some("ghcr.io".parse().unwrap()) };
        let settings = Settings { upstreams: vec!["docker.io".into()], ..Settings::default() };
        assert_eq!(requested.candidates(&settings).count(), 0);
    }

    #[test]
    fn a_push_goes_to_one_place() {
        let target = |path: &str, ns: Option<&str>| {
            RequestedName { path: path.parse().unwrap(), ns: ns.map(|ns| ns.parse().unwrap()) }
                .write_target()
                .to_string()
        };
        assert_eq!(target("zenml/zenml", None), "zenml/zenml");
        assert_eq!(target("x/y", Some("ghcr.io")), "ghcr.io/x/y");
        assert_eq!(target("ghcr.io/x/y", Some("ghcr.io")), "ghcr.io/x/y");
    }
}
