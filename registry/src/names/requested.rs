//! The name in a request, and the repositories it may mean.

use super::{Namespace, Settings};
use crate::oci::RepositoryName;

/// A repository as a request spells it, with the repositories that spelling may mean. Resolved once, when the request
/// is parsed; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedName {
    /// The name in the path. Errors, lists and links repeat it as the client wrote it.
    pub path: RepositoryName,
    /// The upstream the client names in `?ns=` (containerd, BuildKit, Docker with the containerd store).
    pub ns: Option<Namespace>,
    /// Whether `path` itself may be meant.
    internal: bool,
    /// The name at the upstream, and the one in its `library/`.
    mirrored: [Option<RepositoryName>; 2],
    /// Whether reads may look at the upstream's names.
    allowed: bool,
}

impl RequestedName {
    /// Exactly this repository: no upstream is tried.
    #[must_use]
    pub const fn bare(path: RepositoryName) -> Self {
        Self { path, ns: None, internal: true, mirrored: [None, None], allowed: true }
    }

    /// The repositories a read looks in, best first, no two equal. None when `?ns=` names an upstream that is not
    /// allowed.
    pub fn candidates(&self) -> impl Iterator<Item = &RepositoryName> + Clone {
        let mirrored = if self.allowed { self.mirrored.as_slice() } else { &[] };
        self.internal.then_some(&self.path).into_iter().chain(mirrored.iter().flatten())
    }

    /// The one repository a push or a delete applies to, which a read of the same name looks in first: under the upstream of
    /// `?ns=` or of the path when there is one, else the path as it is.
    #[must_use]
    pub fn write_target(&self) -> &RepositoryName {
        if self.internal { &self.path } else { self.mirrored[0].as_ref().unwrap_or(&self.path) }
    }
}

/// What `path` may mean. With `ns`: the name under that upstream; a path that already begins with it loses that prefix
/// once, since mirrors with `override_path` send it. Else an upstream at the start of the path. Else the internal name,
/// then the default upstream. At Docker Hub a name of one component may also be meant below `library/`.
#[must_use]
pub fn resolve(settings: &Settings, path: RepositoryName, ns: Option<Namespace>) -> RequestedName {
    // Only with something behind it: `docker.io` alone is a legal, if odd, repository name.
    let prefix = match path.split_first() {
        (first, Some(rest)) => Namespace::of_component(first).map(|host| (host, rest)),
        (_, None) => None,
    };
    let internal = ns.is_none() && prefix.is_none();
    let allowed = ns.as_ref().is_none_or(|ns| settings.allows(ns));
    let mirrored = match (&ns, &prefix) {
        (Some(ns), Some((host, rest))) if host == ns => mirrored(&path, ns, rest),
        // A host without a dot is no upstream by itself, but it is one beside its own `ns`.
        (Some(ns), None) if path.split_first().0 == ns.component() => {
            mirrored(&path, ns, path.split_first().1.unwrap_or(path.as_str()))
        }
        (Some(ns), _) => mirrored(&path, ns, path.as_str()),
        (None, Some((host, rest))) => mirrored(&path, host, rest),
        (None, None) => mirrored(&path, &settings.default_upstream, path.as_str()),
    };
    RequestedName { path, ns, internal, mirrored, allowed }
}

/// The repository for `rest` at the upstream, and the one in its `library/` that may be meant instead. A name that
/// would be too long means nothing.
fn mirrored(path: &RepositoryName, host: &Namespace, rest: &str) -> [Option<RepositoryName>; 2] {
    let component = host.component();
    let name = if path.split_first() == (&*component, Some(rest)) {
        // Spelled as it is stored, as podman and CRI-O do: nothing to allocate.
        Some(path.clone())
    } else {
        format!("{component}/{rest}").parse().ok()
    };
    let implied = host.is_docker_hub() && !rest.contains('/');
    [name, if implied { format!("{component}/library/{rest}").parse().ok() } else { None }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(settings: &Settings, path: &str, ns: Option<&str>) -> RequestedName {
        resolve(settings, path.parse().unwrap(), ns.map(|ns| ns.parse().unwrap()))
    }

    fn names(path: &str, ns: Option<&str>) -> Vec<String> {
        requested(&Settings::default(), path, ns).candidates().map(ToString::to_string).collect()
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
        assert_eq!(names("x/y", Some("mirror:5000")), ["mirror_5000/x/y"]);
        assert_eq!(names("mirror_5000/x/y", Some("mirror:5000")), ["mirror_5000/x/y"], "override_path, without a dot");
        assert_eq!(names("mirror_5000", Some("mirror:5000")), ["mirror_5000/mirror_5000"]);
    }

    #[test]
    fn the_prefix_is_stripped_once_only() {
        assert_eq!(names("ghcr.io/ghcr.io/x", Some("ghcr.io")), ["ghcr.io/ghcr.io/x"]);
    }

    #[test]
    fn an_exact_name_means_itself_alone() {
        for path in ["zenml/zenml", "alpine", "docker.io/alpine"] {
            let bare = RequestedName::bare(path.parse().unwrap());
            assert_eq!(bare.candidates().collect::<Vec<_>>(), [&bare.path]);
            assert_eq!(bare.write_target(), &bare.path);
        }
    }

    #[test]
    fn another_default_upstream_is_tried_after_the_internal_name() {
        let settings = Settings { default_upstream: "mirror:5000".parse().unwrap(), ..Settings::default() };
        let requested = requested(&settings, "alpine", None);
        assert_eq!(
            requested.candidates().map(RepositoryName::as_str).collect::<Vec<_>>(),
            ["alpine", "mirror_5000/alpine"]
        );
    }

    #[test]
    fn a_name_that_is_too_long_at_the_upstream_means_the_internal_one_alone() {
        let long = "a".repeat(250);
        assert_eq!(names(&long, None), [long.as_str()]);
        assert!(names(&long, Some("ghcr.io")).is_empty());
    }

    #[test]
    fn an_upstream_that_is_not_allowed_means_nothing() {
        let settings = Settings { upstreams: vec!["index.docker.io".into()], ..Settings::default() };
        assert_eq!(requested(&settings, "x", Some("ghcr.io")).candidates().count(), 0);
        assert_eq!(
            requested(&settings, "x/y", Some("docker.io")).candidates().count(),
            1,
            "another spelling of the host"
        );
    }

    #[test]
    fn d19_a_push_goes_to_one_repository_and_a_pull_of_the_same_name_looks_there_first() {
        let target =
            |path: &str, ns: Option<&str>| requested(&Settings::default(), path, ns).write_target().to_string();
        assert_eq!(target("zenml/zenml", None), "zenml/zenml");
        assert_eq!(target("x/y", Some("ghcr.io")), "ghcr.io/x/y");
        assert_eq!(target("ghcr.io/x/y", Some("ghcr.io")), "ghcr.io/x/y");
        assert_eq!(target("index.docker.io/x/y", None), "docker.io/x/y");
        for (path, ns) in [("zenml/zenml", None), ("x/y", Some("ghcr.io")), ("index.docker.io/x/y", None), ("a", None)]
        {
            assert_eq!(names(path, ns)[0], target(path, ns), "{path}");
        }
    }
}
