//! The settings of the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::api;

/// The settings of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The addresses to listen on; with port 0 the system chooses a free one.
    pub listen: Vec<SocketAddr>,
    /// The certificate and key for TLS on every listener; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// The limits on what clients may use.
    pub limits: Limits,
    /// The origins whose scripts may read answers and delete; see [`api::Settings::cors_origins`].
    pub cors_origins: Vec<String>,
    /// The URL that clients use where a proxy is in front, such as `https://example.org/registry`; empty without one.
    pub external_url: String,
}

impl Settings {
    /// The settings of the API: what the limits and the URLs mean for it.
    #[must_use]
    pub fn api(&self) -> api::Settings {
        let path = self.external_url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let prefix = path.map(|(_, path)| format!("/{path}")).unwrap_or_default();
        let prefix = prefix.trim_end_matches('/').to_owned();
        api::Settings { cors_origins: self.cors_origins.clone(), prefix, ..self.limits.api() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5000))],
            tls: None,
            limits: Limits::default(),
            cors_origins: Vec::new(),
            external_url: String::new(),
        }
    }
}

/// The paths of the certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, with the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The limits of a connection. Durations are precise to a quarter of the shortest one, at worst to five seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections open at once, and at most half of the file descriptors the process may have. The longest idle one
    /// of the address with the most gives way to a new one; without an idle one, it waits.
    pub connections: usize,
    /// The longest time from accept to the first byte; with TLS also to the end of the handshake.
    pub first_byte: Duration,
    /// The longest time from the first byte of a request to the end of its header.
    pub header: Duration,
    /// The longest time between two requests on one connection.
    pub idle: Duration,
    /// The window over which `minimum_rate` is measured, in whole seconds: relays and readers pause for minutes. A slow client
    /// that holds what others wait for (memory, a connection) gives way earlier.
    pub stall: Duration,
    /// The slowest a request or response body may move, in bytes per second, averaged over `stall`. Of a response, what the
    /// client has acknowledged counts.
    pub minimum_rate: u64,
    /// How long running requests may finish after the shutdown began, before their connections are aborted.
    pub drain: Duration,
    /// The largest request header in bytes.
    pub max_header_bytes: usize,
    /// The most requests open at once on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Limits {
    /// The limits that the API enforces: how fast a request body must arrive.
    #[must_use]
    pub fn api(&self) -> api::Settings {
        api::Settings { stall: self.stall, minimum_rate: self.minimum_rate, ..api::Settings::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            stall: Duration::from_secs(300),
            minimum_rate: 1024,
            drain: Duration::from_secs(30),
            max_header_bytes: 64 * 1024,
            max_streams: 128,
        }
    }
}
