//! The settings in effect, written as a settings file.

use std::fmt::{self, Display, Write};
use std::path::Path;

use crate::Config;
use crate::resolve::{CONFLICTS, FORMATS, LEVELS, REFERENCES};
use crate::units::{render_duration, render_size};

impl Display for Config {
    /// Writes every key, in the order of the reference. Paths that are not UTF-8 are written lossily.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registry, server, ingest) = (&self.registry, &self.server, &self.ingest);
        if self.publish.0.is_empty() {
            // A key of the root, so it has to come before the first table.
            writeln!(f, "publish = []\n")?;
        }
        writeln!(f, "[server]\nlisten = {}", list(&server.listen))?;
        let tls = server.tls.as_ref();
        writeln!(f, "\n[server.tls]")?;
        writeln!(f, "certificate = {}", tls.map_or_else(|| text(""), |tls| path(&tls.certificate)))?;
        writeln!(f, "key = {}", tls.map_or_else(|| text(""), |tls| path(&tls.key)))?;
        let limits = &server.limits;
        writeln!(f, "\n[server.limits]\nconnections = {}", limits.connections)?;
        for (key, duration) in [
            ("first_byte", limits.first_byte),
            ("header", limits.header),
            ("idle", limits.idle),
            ("stall", limits.stall),
        ] {
            writeln!(f, "{key} = {}", text(render_duration(duration)))?;
        }
        writeln!(f, "minimum_rate = {}", text(render_size(limits.minimum_rate)))?;
        writeln!(f, "drain = {}", text(render_duration(limits.drain)))?;
        writeln!(f, "max_header_bytes = {}", text(render_size(limits.max_header_bytes as u64)))?;
        writeln!(f, "max_streams = {}", limits.max_streams)?;
        let admin = self.admin.listen.map(|address| address.to_string()).unwrap_or_default();
        writeln!(f, "\n[admin]\nlisten = {}", text(admin))?;
        writeln!(f, "\n[store]\npath = {}", path(&registry.data))?;
        writeln!(f, "upload_expiry = {}", text(render_duration(registry.upload_expiry)))?;
        writeln!(f, "\n[registry]\ndelete = {}", registry.delete)?;
        writeln!(f, "references = {}", word(&registry.references, &REFERENCES))?;
        writeln!(f, "max_uploads = {}", registry.max_uploads)?;
        writeln!(f, "\n[names]\ndefault_upstream = {}", text(&registry.names.default_upstream))?;
        writeln!(f, "upstreams = {}", list(&registry.names.upstreams))?;
        for rule in &self.publish.0 {
            writeln!(f, "\n[[publish]]\nfrom = {}", list(&rule.from))?;
            writeln!(f, "to = {}\nalias = {}", text(&rule.to), rule.alias)?;
        }
        let bundles = self.bundles.iter().map(|bundle| bundle.display());
        writeln!(f, "\n[ingest]\nbundles = {}", list(bundles))?;
        writeln!(f, "strict = {}", ingest.strict)?;
        writeln!(f, "on_conflict = {}", word(&ingest.precedence.on_conflict, &CONFLICTS))?;
        writeln!(f, "protect = {}", list(&ingest.precedence.protect))?;
        let keys = ingest.trust.keys.iter().map(|key| key.display());
        writeln!(f, "\n[ingest.trust]\nkeys = {}", list(keys))?;
        let limits = &ingest.limits;
        writeln!(f, "\n[ingest.limits]\ndocument = {}", text(render_size(limits.document)))?;
        writeln!(f, "chart = {}", text(render_size(limits.chart)))?;
        writeln!(f, "layer = {}", text(render_size(limits.layer)))?;
        writeln!(f, "entries = {}", limits.entries)?;
        writeln!(f, "images = {}\ndepth = {}\nratio = {}", limits.images, limits.depth, limits.ratio)?;
        writeln!(f, "ratio_from = {}", text(render_size(limits.ratio_from)))?;
        writeln!(f, "keep_free = {}", text(render_size(limits.keep_free)))?;
        let paths = self.mount.paths.iter().map(|path| path.display());
        writeln!(f, "\n[mount]\npaths = {}\ncopy = {}", list(paths), self.mount.copy)?;
        writeln!(f, "\n[log]\nlevel = {}", word(&self.log.level, &LEVELS))?;
        writeln!(f, "format = {}", word(&self.log.format, &FORMATS))
    }
}

fn text(value: impl Display) -> toml::Value {
    toml::Value::String(value.to_string())
}

fn path(value: &Path) -> toml::Value {
    text(value.display())
}

fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let mut line = String::from("[");
    for (position, value) in values.into_iter().enumerate() {
        let separator = if position > 0 { ", " } else { "" };
        let _ = write!(line, "{separator}{}", text(value));
    }
    line + "]"
}

fn word<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> toml::Value {
    text(words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word))
}
