//! What name resolution may be told.

/// The settings of name resolution. Nothing here opens a connection: these are names, not addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The upstream a bare name is looked for under when no internal repository has it.
    pub default_upstream: String,
    /// The hosts accepted in `?ns=`; `*` accepts every well-formed host.
    pub upstreams: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { default_upstream: "docker.io".to_owned(), upstreams: vec!["*".to_owned()] }
    }
}

impl Settings {
    /// Whether requests may name this upstream.
    #[must_use]
    pub fn allows(&self, ns: &super::Namespace) -> bool {
        self.upstreams.iter().any(|allowed| allowed == "*" || allowed == ns.as_str())
    }
}
