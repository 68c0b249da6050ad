//! What the listener may be told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::api;

/// The settings of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The addresses to listen on; port 0 asks the system for a free one.
    pub listen: Vec<SocketAddr>,
    /// TLS on every listener, from these files; plain HTTP when absent.
    pub tls: Option<TlsFiles>,
    /// How much of everything a client may use.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5000))], tls: None, limits: Limits::default() }
    }
}

/// Where the certificate chain and its key lie, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Every bound a connection lives under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; more wait in the system's queue.
    pub connections: usize,
    /// From accepted to the first byte (with TLS: to the end of the handshake).
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its header.
    pub header: Duration,
    /// Between two requests on one connection.
    pub idle: Duration,
    /// Without one byte moved in either direction while a request is being answered.
    pub stall: Duration,
    /// Bytes per second a body has to move at, measured over a window of `stall`.
    pub minimum_rate: u64,
    /// From the signal to stop until connections are cut.
    pub drain: Duration,
    /// The largest request header in bytes.
    pub max_header_bytes: usize,
    /// Requests open at once on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Limits {
    /// The part of them that the API keeps: how fast a request's body has to come.
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
            stall: Duration::from_secs(60),
            minimum_rate: 1024,
            drain: Duration::from_secs(30),
            max_header_bytes: 64 * 1024,
            max_streams: 128,
        }
    }
}
