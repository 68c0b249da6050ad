//! From the name in a request to the repositories it may mean.
//!
//! Mirrored content is stored as `<upstream host>/<path>`, with a port written `_5000`. A first component with a dot
//! belongs to an upstream; every other repository is internal. Pure: the caller looks up what is stored.

mod namespace;
mod requested;

pub use namespace::{InvalidNamespace, Namespace};
pub use requested::{RequestedName, resolve};

/// The settings of name resolution. Hosts here are names only: nothing connects to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The upstream under which a bare name is looked up when no internal repository has it.
    pub default_upstream: Namespace,
    /// The hosts accepted in `?ns=`; `*` accepts every well-formed host.
    pub upstreams: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { default_upstream: Namespace::docker_hub(), upstreams: vec!["*".to_owned()] }
    }
}

impl Settings {
    /// Whether requests may name this upstream.
    #[must_use]
    pub fn allows(&self, ns: &Namespace) -> bool {
        // Another spelling of the same host counts too: `index.docker.io`, `GHCR.io`.
        let same =
            |allowed: &String| allowed == ns.as_str() || allowed.parse().is_ok_and(|allowed: Namespace| allowed == *ns);
        self.upstreams.iter().any(|allowed| allowed == "*" || same(allowed))
    }
}
