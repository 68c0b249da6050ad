//! What the server knows of a request besides the request.

use std::fmt;
use std::sync::Arc;

use super::body::FileWindows;

/// What the server knows of a request's connection, passed as a request extension. Every field is optional.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// Identifies the request in logs and in error bodies.
    pub request: Option<RequestId>,
    /// Set when the connection can send ranges of files itself; without it, bodies are read into memory.
    pub windows: Option<Arc<FileWindows>>,
}

/// Identifies one request in logs: `<connection>-<request>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// The number of the connection, counted since the process started.
    pub connection: u64,
    /// The number of the request on that connection.
    pub request: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connection, self.request)
    }
}
