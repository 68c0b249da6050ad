//! Every key: which setting it is, what it may be, and the flag that overrides it.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use airdock_registry::oci::RepositoryName;
use airdock_registry::server::TlsFiles;
use airdock_registry::{OnConflict, References};

use crate::error::Wrong;
use crate::pass::Pass;
use crate::{Config, LogFormat, LogLevel, Overrides, publish};

/// The most listeners.
const MAX_LISTENERS: usize = 64;

/// The limits of a deadline.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(100);

const REFERENCES: [(&str, References); 2] = [("strict", References::Strict), ("lax", References::Lax)];

const CONFLICTS: [(&str, OnConflict); 3] =
    [("keep", OnConflict::Keep), ("replace", OnConflict::Replace), ("fail", OnConflict::Fail)];

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

impl Display for Config {
    /// Writes every key, in the order of the reference. Paths that are not UTF-8 are written lossily.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key of the root, so it has to come before the first table.
        let mut text = if self.publish.0.is_empty() { "publish = []\n".to_owned() } else { String::new() };
        self.clone().visit(Overrides::default(), &mut Pass::Write { text: &mut text, table: String::new() });
        f.write_str(&text)
    }
}

impl Config {
    /// Reads or writes every key, in the order of the reference.
    pub(crate) fn visit(&mut self, flags: Overrides, pass: &mut Pass<'_>) {
        let Self { registry, server, admin_listen, ingest, publish, bundles, mount, log, .. } = self;
        listen(pass, &mut server.listen);
        replace(&mut server.listen, flags.listen);
        pass.parsed("server.external_url", &mut server.external_url, String::clone, external_url);
        origins(pass, &mut server.cors_origins);
        tls(pass, &mut server.tls, flags.tls_certificate, flags.tls_key);
        let limits = &mut server.limits;
        pass.number("server.limits.connections", &mut limits.connections, 1..=1_000_000);
        pass.duration("server.limits.first_byte", &mut limits.first_byte, SHORTEST..=LONGEST);
        pass.duration("server.limits.header", &mut limits.header, SHORTEST..=LONGEST);
        pass.duration("server.limits.idle", &mut limits.idle, SHORTEST..=LONGEST);
        pass.duration("server.limits.stall", &mut limits.stall, SHORTEST..=LONGEST);
        pass.size("server.limits.minimum_rate", &mut limits.minimum_rate, 0..=1 << 30);
        // Zero is valid here, unlike for the deadlines: it means not to drain.
        pass.duration("server.limits.drain", &mut limits.drain, Duration::ZERO..=LONGEST);
        let mut header_bytes = limits.max_header_bytes as u64;
        pass.size("server.limits.max_header_bytes", &mut header_bytes, 8 << 10..=1 << 20);
        limits.max_header_bytes = usize::try_from(header_bytes).unwrap_or(limits.max_header_bytes);
        pass.number("server.limits.max_streams", &mut limits.max_streams, 1..=10_000);

        let show = |address: &Option<SocketAddr>| address.iter().map(ToString::to_string).collect();
        pass.parsed("admin.listen", admin_listen, show, admin_address);

        let mut data = Some(std::mem::take(&mut registry.data));
        pass.path("store.path", &mut data);
        if data.is_none() {
            pass.wrong("store.path", "`` is not a folder", "name the folder to keep the content in");
        }
        registry.data = flags.data.or(data).unwrap_or_default();
        pass.switch("store.must_exist", &mut registry.must_exist);
        let expiry = Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 60 * 60);
        pass.duration("store.upload_expiry", &mut registry.upload_expiry, expiry);

        pass.switch("registry.delete", &mut registry.delete);
        pass.choice("registry.references", &mut registry.references, &REFERENCES);
        pass.number("registry.max_uploads", &mut registry.max_uploads, 1..=1_000_000);

        let names = &mut registry.names;
        pass.parsed("names.default_upstream", &mut names.default_upstream, ToString::to_string, publish::host);
        pass.list("names.upstreams", &mut names.upstreams);
        for wrong in names.upstreams.iter().filter(|host| *host != "*").filter_map(|host| publish::host(host).err()) {
            pass.wrong("names.upstreams", wrong.0, wrong.1);
        }

        publish::rules(pass, publish);

        pass.paths("ingest.bundles", bundles);
        replace(bundles, flags.bundles);
        pass.switch("ingest.strict", &mut ingest.strict);
        ingest.strict |= flags.strict;
        pass.choice("ingest.on_conflict", &mut ingest.precedence.on_conflict, &CONFLICTS);
        protected(pass, &mut ingest.precedence.protect);
        trust(pass, &mut ingest.trust.keys);
        replace(&mut ingest.trust.keys, flags.keys);
        let limits = &mut ingest.limits;
        pass.size("ingest.limits.document", &mut limits.document, 64 << 10..=64 << 20);
        pass.size("ingest.limits.chart", &mut limits.chart, 64 << 10..=1 << 30);
        pass.size("ingest.limits.layer", &mut limits.layer, 1 << 20..=1 << 50);
        pass.number("ingest.limits.entries", &mut limits.entries, 1..=100_000_000);
        pass.number("ingest.limits.images", &mut limits.images, 1..=1_000_000);
        pass.number("ingest.limits.depth", &mut limits.depth, 1..=64);
        pass.number("ingest.limits.ratio", &mut limits.ratio, 1..=1_000_000);
        pass.size("ingest.limits.ratio_from", &mut limits.ratio_from, 0..=1 << 50);
        pass.size("ingest.limits.keep_free", &mut limits.keep_free, 0..=1 << 50);

        pass.paths("mount.paths", &mut mount.paths);
        replace(&mut mount.paths, flags.mounts);
        pass.switch("mount.copy", &mut mount.copy);
        mount.copy |= flags.copy;

        pass.choice("log.level", &mut log.level, &LEVELS);
        pass.choice("log.format", &mut log.format, &FORMATS);
    }
}

/// Applies a repeatable flag.
fn replace<T>(values: &mut Vec<T>, flag: Vec<T>) {
    if !flag.is_empty() {
        *values = flag;
    }
}

fn listen(pass: &mut Pass<'_>, addresses: &mut Vec<SocketAddr>) {
    const KEY: &str = "server.listen";
    let mut texts = addresses.iter().map(ToString::to_string).collect();
    if !pass.list(KEY, &mut texts) {
        return;
    }
    if texts.is_empty() || texts.len() > MAX_LISTENERS {
        pass.wrong(KEY, format!("{} addresses", texts.len()), format!("write from 1 to {MAX_LISTENERS}"));
        return;
    }
    addresses.clear();
    for text in texts {
        match text.parse::<SocketAddr>() {
            // Port 0 asks for any free port, which two listeners may do.
            Ok(address) if address.port() != 0 && addresses.contains(&address) => {
                pass.wrong(KEY, format!("`{text}` is listed twice"), "list each address once");
            }
            Ok(address) => addresses.push(address),
            Err(_) => pass.wrong(
                KEY,
                format!("`{text}` is not an address to listen on"),
                "write an IP address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`",
            ),
        }
    }
}

/// Where clients reach the server through a proxy. Its path ends up in headers, so only plain characters are taken.
fn external_url(text: &str) -> Result<String, Wrong> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_~:/[]".contains(&byte));
    if text.is_empty() || rest.is_some_and(|rest| is_plain(rest) && !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(text.to_owned());
    }
    let cure = "write the URL that clients use, such as `https://example.org/registry`, or nothing without a proxy";
    Err((format!("`{text}` is not a URL of a server"), cure.to_owned()))
}

/// Origins as browsers send them: a scheme, a host and perhaps a port, without a path.
fn origins(pass: &mut Pass<'_>, origins: &mut Vec<String>) {
    const KEY: &str = "server.cors_origins";
    pass.list(KEY, origins);
    for origin in origins {
        let host = origin.split_once("://").map(|(_, host)| host);
        if *origin != "*" && host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            let cure =
                "write a scheme and a host, such as `https://console.example.org`, without a `/` at the end; or `*`";
            pass.wrong(KEY, format!("`{origin}` is not an origin"), cure);
        }
    }
}

fn tls(pass: &mut Pass<'_>, files: &mut Option<TlsFiles>, certificate: Option<PathBuf>, key: Option<PathBuf>) {
    const KEYS: [&str; 2] = ["server.tls.certificate", "server.tls.key"];
    let mut written = files.take().map(|files| (files.certificate, files.key)).unzip();
    pass.path(KEYS[0], &mut written.0);
    pass.path(KEYS[1], &mut written.1);
    let (missing, there) = match (certificate.or(written.0), key.or(written.1)) {
        (Some(certificate), Some(key)) => {
            *files = Some(TlsFiles { certificate, key });
            return;
        }
        (None, None) => return,
        (Some(_), None) => (KEYS[1], KEYS[0]),
        (None, Some(_)) => (KEYS[0], KEYS[1]),
    };
    let cure = "give both for TLS, or neither for plain HTTP";
    pass.wrong_beside(missing, there, format!("missing beside `{there}`"), cure);
}

/// Loopback only: there are no identities yet, and every client may remove everything.
fn admin_address(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    let (problem, cure) = match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Ok(Some(address)),
        Err(_) if text.is_empty() => return Ok(None),
        Ok(_) => (
            "is not a loopback address, and the administration API has no identities yet",
            "write a loopback address, such as `127.0.0.1:5001`; a later version has identities and takes any",
        ),
        Err(_) => (
            "is not an address to listen on",
            "write an IP address and a port, such as `127.0.0.1:5001`, or nothing for the socket alone",
        ),
    };
    Err((format!("`{text}` {problem}"), cure.to_owned()))
}

/// Prefixes of repository names; with a `/` at the end, the repository of exactly that name is not meant.
fn protected(pass: &mut Pass<'_>, prefixes: &mut Vec<String>) {
    const KEY: &str = "ingest.protect";
    pass.list(KEY, prefixes);
    for prefix in prefixes {
        if let Err(problem) = prefix.strip_suffix('/').unwrap_or(prefix).parse::<RepositoryName>() {
            let cure = "write the beginning of repository names, such as `zenml/`";
            pass.wrong(KEY, format!("`{prefix}`: {problem}"), cure);
        }
    }
}

/// The keys that bundles have to be signed with. An empty name is an error: it must not turn the check off.
fn trust(pass: &mut Pass<'_>, keys: &mut Vec<PathBuf>) {
    const KEY: &str = "ingest.trust.keys";
    let is_variable = matches!(pass, Pass::Read { layers, .. } if layers.variables.contains_key(KEY));
    let is_read = pass.paths(KEY, keys);
    if is_read && (keys.iter().any(|key| key.as_os_str().is_empty()) || (keys.is_empty() && is_variable)) {
        let cure = "name PEM files, each with one public key; without any, leave the key out";
        pass.wrong(KEY, "`` is not a file", cure);
    }
}
