//! Reads the settings: defaults, then a TOML file, then the environment, then flags. The results are the plain settings
//! structs of the other crates.
//!
//! Invariant: [`load`] reports *every* error it can find, each with its key, its place, and a remedy; it never returns
//! part of the settings. It opens no other file, and reads the environment only from its argument.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

mod check;
mod error;
mod file;
mod keys;
mod pass;
mod publish;
#[cfg(test)]
mod tests;
mod units;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use airdock_registry::server;
use airdock_sync::ingest;
use airdock_sync::publish::PublishRules;

pub use error::{ConfigError, Errors, SetIn};

/// Every key with its default and a comment.
pub const REFERENCE: &str = include_str!("../reference.toml");

/// The file read from the working directory when no other is named.
pub const FILE: &str = "airdock.toml";

/// The variable that names a file, as `--config` does.
pub const FILE_VARIABLE: &str = "AIRDOCK_CONFIG";

/// The prefix of variables for single keys; levels are separated by two underscores.
pub const VARIABLE_PREFIX: &str = "AIRDOCK__";

/// Settings from the command line. What is not set leaves the layer below as it is.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`: the file to read, which then has to exist.
    pub file: Option<PathBuf>,
    /// `--data`: `store.path`.
    pub data: Option<PathBuf>,
    /// `--listen`: `server.listen`.
    pub listen: Vec<SocketAddr>,
    /// `--tls-certificate`: `server.tls.certificate`.
    pub tls_certificate: Option<PathBuf>,
    /// `--tls-key`: `server.tls.key`.
    pub tls_key: Option<PathBuf>,
    /// `--strict`: `ingest.strict`; a flag can only turn it on.
    pub strict: bool,
    /// `--key`: `ingest.trust.keys`.
    pub keys: Vec<PathBuf>,
    /// `--bundle`: `ingest.bundles`.
    pub bundles: Vec<PathBuf>,
    /// `--mount`: `mount.paths`.
    pub mounts: Vec<PathBuf>,
    /// `--copy`: `mount.copy`; a flag can only turn it on.
    pub copy: bool,
}

/// The settings of the whole program, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Settings of the registry.
    pub registry: airdock_registry::Settings,
    /// Settings of the server.
    pub server: server::Settings,
    /// The loopback address on which the administration API listens besides its socket.
    pub admin_listen: Option<SocketAddr>,
    /// Settings of an ingest.
    pub ingest: ingest::Settings,
    /// The internal names ingested content gets.
    pub publish: PublishRules,
    /// Bundles that `serve` ingests when it starts.
    pub bundles: Vec<PathBuf>,
    /// Media that `serve` serves in place.
    pub mount: MountSettings,
    /// What is logged and how.
    pub log: LogSettings,
}

/// Media served in place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountSettings {
    /// Bundle folders and uncompressed archives.
    pub paths: Vec<PathBuf>,
    /// Whether they are also ingested.
    pub copy: bool,
}

/// What is logged, and in what form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// The least severe messages to log.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// The least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Also what may lead to failures.
    Warn,
    /// Also what happens.
    #[default]
    Info,
    /// Also why it happens.
    Debug,
    /// Everything, with the libraries' own messages.
    Trace,
}

/// The form of a logged line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Reads every layer and checks the result.
///
/// Without `overrides.file` the file is the one [`FILE_VARIABLE`] names, or else [`FILE`] in the working
/// directory when there is one; without a file the defaults apply.
///
/// # Errors
/// All of them: a file that cannot be read, keys that do not exist, values that cannot be used.
pub fn load(
    overrides: Overrides,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, Errors> {
    let mut errors = Vec::new();
    let layers = file::layers(overrides.file.as_deref(), environment, &mut errors);
    let mut config = Config { file: layers.file.clone(), ..Config::default() };
    config.visit(overrides, &mut pass::Pass::Read { layers: &layers, errors: &mut errors });
    if errors.is_empty() { Ok(config) } else { Err(Errors(errors)) }
}
