//! From written settings to the settings structs of each crate. A key that is not set keeps the `Default`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use airdock_registry::names;
use airdock_registry::oci::RepositoryName;
use airdock_registry::server::{self, TlsFiles};
use airdock_registry::{OnConflict, Precedence, References};
use airdock_sync::ingest::{self, TrustSettings};

use crate::error::ConfigError;
use crate::file::Layers;
use crate::raw::{self, Setting};
use crate::reader::Reader;
use crate::{AdminSettings, Config, LogFormat, LogLevel, LogSettings, MountSettings, Overrides, publish};

/// The most listeners.
const MAX_LISTENERS: usize = 64;

/// The limits of a deadline.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(100);

pub(crate) const REFERENCES: [(&str, References); 2] = [("strict", References::Strict), ("lax", References::Lax)];

pub(crate) const CONFLICTS: [(&str, OnConflict); 3] =
    [("keep", OnConflict::Keep), ("replace", OnConflict::Replace), ("fail", OnConflict::Fail)];

pub(crate) const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

pub(crate) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Checks every value and applies the flags.
pub(crate) fn resolve(mut layers: Layers, overrides: Overrides, errors: &mut Vec<ConfigError>) -> Config {
    let raw = std::mem::take(&mut layers.raw);
    let mut reader = Reader { layers: &layers, errors };
    let reader = &mut reader;
    let data = overrides.data;
    let server = server(reader, &raw.server, overrides.listen, overrides.tls_certificate, overrides.tls_key);
    let registry = registry(reader, &raw, data);
    let publish = publish::rules(reader, raw.publish.as_deref());
    let admin = admin(reader, &raw.admin);
    let (mut ingest, bundles) = ingest(reader, &raw.ingest, overrides.strict, overrides.bundles);
    ingest.trust = trust(reader, &raw.ingest.trust, overrides.keys);
    let mount = mount(reader, &raw.mount, overrides.mounts, overrides.copy);
    let log = LogSettings {
        level: reader.choice("log.level", &raw.log.level, LogLevel::default(), &LEVELS),
        format: reader.choice("log.format", &raw.log.format, LogFormat::default(), &FORMATS),
    };
    Config { file: layers.file, registry, server, admin, ingest, publish, bundles, mount, log }
}

fn server(
    reader: &mut Reader<'_>,
    raw: &raw::Server,
    listen: Vec<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> server::Settings {
    let default = server::Settings::default();
    let written = addresses(reader, &raw.listen).unwrap_or(default.listen);
    let listen = if listen.is_empty() { written } else { listen };
    let certificate = certificate.or(path(reader, "server.tls.certificate", &raw.tls.certificate));
    let key = key.or(path(reader, "server.tls.key", &raw.tls.key));
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            lone(reader, "server.tls.key", "server.tls.certificate");
            None
        }
        (None, Some(_)) => {
            lone(reader, "server.tls.certificate", "server.tls.key");
            None
        }
    };
    server::Settings { listen, tls, limits: limits(reader, &raw.limits, &default.limits) }
}

/// Reports a certificate without its key, or the reverse, at the place of the one that is set.
fn lone(reader: &mut Reader<'_>, missing: &str, there: &str) {
    let place = reader.layers.place(there);
    reader.wrong_at(
        missing,
        place,
        format!("missing beside `{there}`"),
        "give both for TLS, or neither for plain HTTP",
    );
}

fn addresses(reader: &mut Reader<'_>, setting: &Setting) -> Option<Vec<SocketAddr>> {
    const KEY: &str = "server.listen";
    let texts = reader.list(KEY, setting)?;
    if texts.is_empty() || texts.len() > MAX_LISTENERS {
        reader.wrong(KEY, format!("{} addresses", texts.len()), format!("write from 1 to {MAX_LISTENERS}"));
        return None;
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(address) if address_is_taken(&addresses, address) => {
                reader.wrong(KEY, format!("`{text}` is listed twice"), "list each address once");
            }
            Ok(address) => addresses.push(address),
            Err(_) => reader.wrong(
                KEY,
                format!("`{text}` is not an address to listen on"),
                "write an IP address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`",
            ),
        }
    }
    Some(addresses)
}

/// Loopback only: there are no identities yet, and every client may remove everything.
fn admin(reader: &mut Reader<'_>, raw: &raw::Admin) -> AdminSettings {
    const KEY: &str = "admin.listen";
    let text = reader.text(KEY, &raw.listen, "");
    let listen = match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(address),
        Ok(_) => {
            reader.wrong(
                KEY,
                format!("`{text}` is not a loopback address, and the administration API has no identities yet"),
                "write a loopback address, such as `127.0.0.1:5001`; a later version has identities and takes any",
            );
            None
        }
        Err(_) if text.is_empty() => None,
        Err(_) => {
            reader.wrong(
                KEY,
                format!("`{text}` is not an address to listen on"),
                "write an IP address and a port, such as `127.0.0.1:5001`, or nothing for the socket alone",
            );
            None
        }
    };
    AdminSettings { listen }
}

/// Port 0 asks for any free port, which two listeners may do.
fn address_is_taken(addresses: &[SocketAddr], address: SocketAddr) -> bool {
    address.port() != 0 && addresses.contains(&address)
}

fn limits(reader: &mut Reader<'_>, raw: &raw::ServerLimits, default: &server::Limits) -> server::Limits {
    let mut deadline =
        |key: &str, setting: &Setting, default: Duration| reader.duration(key, setting, default, SHORTEST..=LONGEST);
    let first_byte = deadline("server.limits.first_byte", &raw.first_byte, default.first_byte);
    let header = deadline("server.limits.header", &raw.header, default.header);
    let idle = deadline("server.limits.idle", &raw.idle, default.idle);
    let stall = deadline("server.limits.stall", &raw.stall, default.stall);
    // Zero is valid here, unlike for the deadlines: it means not to drain.
    let drain = reader.duration("server.limits.drain", &raw.drain, default.drain, Duration::ZERO..=LONGEST);
    server::Limits {
        connections: reader.number("server.limits.connections", &raw.connections, default.connections, 1..=1_000_000),
        first_byte,
        header,
        idle,
        stall,
        minimum_rate: reader.size("server.limits.minimum_rate", &raw.minimum_rate, default.minimum_rate, 0..=1 << 30),
        drain,
        max_header_bytes: usize::try_from(reader.size(
            "server.limits.max_header_bytes",
            &raw.max_header_bytes,
            default.max_header_bytes as u64,
            8 << 10..=1 << 20,
        ))
        .unwrap_or(default.max_header_bytes),
        max_streams: reader.number("server.limits.max_streams", &raw.max_streams, default.max_streams, 1..=10_000),
    }
}

fn registry(reader: &mut Reader<'_>, raw: &raw::Raw, data: Option<PathBuf>) -> airdock_registry::Settings {
    let default = airdock_registry::Settings::default();
    if matches!(&raw.store.path, Some(raw::Written::Text(path)) if path.is_empty()) {
        reader.wrong("store.path", "`` is not a folder", "name the folder to keep the content in");
    }
    let written = path(reader, "store.path", &raw.store.path);
    airdock_registry::Settings {
        data: data.or(written).unwrap_or(default.data),
        delete: reader.switch("registry.delete", &raw.registry.delete, default.delete),
        references: reader.choice("registry.references", &raw.registry.references, default.references, &REFERENCES),
        upload_expiry: reader.duration(
            "store.upload_expiry",
            &raw.store.upload_expiry,
            default.upload_expiry,
            Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 60 * 60),
        ),
        max_uploads: reader.number(
            "registry.max_uploads",
            &raw.registry.max_uploads,
            default.max_uploads,
            1..=1_000_000,
        ),
        names: names(reader, &raw.names),
    }
}

fn names(reader: &mut Reader<'_>, raw: &raw::Names) -> names::Settings {
    let default = names::Settings::default();
    let written = reader.text("names.default_upstream", &raw.default_upstream, default.default_upstream.as_str());
    let default_upstream =
        publish::host(reader, "names.default_upstream", &written).unwrap_or(default.default_upstream);
    let upstreams = reader.list("names.upstreams", &raw.upstreams).unwrap_or(default.upstreams);
    for host in upstreams.iter().filter(|host| *host != "*") {
        publish::host(reader, "names.upstreams", host);
    }
    names::Settings { default_upstream, upstreams }
}

fn ingest(
    reader: &mut Reader<'_>,
    raw: &raw::Ingest,
    strict: bool,
    bundles: Vec<PathBuf>,
) -> (ingest::Settings, Vec<PathBuf>) {
    let default = ingest::Settings::default();
    let written = reader.list("ingest.bundles", &raw.bundles).unwrap_or_default();
    let bundles = if bundles.is_empty() { written.into_iter().map(PathBuf::from).collect() } else { bundles };
    let kept = default.precedence.on_conflict;
    let on_conflict = reader.choice("ingest.on_conflict", &raw.on_conflict, kept, &CONFLICTS);
    let precedence = Precedence { on_conflict, protect: protected(reader, &raw.protect) };
    let limits = default.limits;
    let written = &raw.limits;
    let settings = ingest::Settings {
        strict: reader.switch("ingest.strict", &raw.strict, default.strict) || strict,
        limits: ingest::Limits {
            document: reader.size("ingest.limits.document", &written.document, limits.document, 64 << 10..=64 << 20),
            chart: reader.size("ingest.limits.chart", &written.chart, limits.chart, 64 << 10..=1 << 30),
            layer: reader.size("ingest.limits.layer", &written.layer, limits.layer, 1 << 20..=1 << 50),
            entries: reader.number("ingest.limits.entries", &written.entries, limits.entries, 1..=100_000_000),
            images: reader.number("ingest.limits.images", &written.images, limits.images, 1..=1_000_000),
            depth: reader.number("ingest.limits.depth", &written.depth, limits.depth, 1..=64),
            ratio: reader.number("ingest.limits.ratio", &written.ratio, limits.ratio, 1..=1_000_000),
            ratio_from: reader.size("ingest.limits.ratio_from", &written.ratio_from, limits.ratio_from, 0..=1 << 50),
            keep_free: reader.size("ingest.limits.keep_free", &written.keep_free, limits.keep_free, 0..=1 << 50),
        },
        precedence,
        ..default
    };
    (settings, bundles)
}

/// The keys that bundles have to be signed with. An empty name is an error: it must not turn the check off.
fn trust(reader: &mut Reader<'_>, raw: &raw::IngestTrust, keys: Vec<PathBuf>) -> TrustSettings {
    const KEY: &str = "ingest.trust.keys";
    let written = reader.list(KEY, &raw.keys).unwrap_or_default();
    if written.iter().any(String::is_empty) || (written.is_empty() && reader.layers.variables.contains_key(KEY)) {
        reader.wrong(
            KEY,
            "`` is not a file",
            "name PEM files, each with one public key; without any, leave the key out",
        );
    }
    let keys = if keys.is_empty() { written.into_iter().map(PathBuf::from).collect() } else { keys };
    TrustSettings { keys, inventory: None }
}

/// Prefixes of repository names; with a `/` at the end, the repository of exactly that name is not meant.
fn protected(reader: &mut Reader<'_>, setting: &Setting) -> Vec<String> {
    const KEY: &str = "ingest.protect";
    let prefixes = reader.list(KEY, setting).unwrap_or_default();
    for prefix in &prefixes {
        if let Err(problem) = prefix.strip_suffix('/').unwrap_or(prefix).parse::<RepositoryName>() {
            reader.wrong(
                KEY,
                format!("`{prefix}`: {problem}"),
                "write the beginning of repository names, such as `zenml/`",
            );
        }
    }
    prefixes
}

fn mount(reader: &mut Reader<'_>, raw: &raw::Mount, paths: Vec<PathBuf>, copy: bool) -> MountSettings {
    let written = reader.list("mount.paths", &raw.paths).unwrap_or_default();
    let paths = if paths.is_empty() { written.into_iter().map(PathBuf::from).collect() } else { paths };
    MountSettings { paths, copy: reader.switch("mount.copy", &raw.copy, false) || copy }
}

/// A path; empty text means none.
fn path(reader: &mut Reader<'_>, key: &str, setting: &Setting) -> Option<PathBuf> {
    let text = reader.text(key, setting, "");
    (!text.is_empty()).then(|| PathBuf::from(text))
}
