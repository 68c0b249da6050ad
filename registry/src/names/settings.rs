//! What name resolution can be configured with.

use super::Namespace;

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
        self.upstreams.iter().any(|allowed| allowed == "*" || allowed == ns.as_str())
    }
}
