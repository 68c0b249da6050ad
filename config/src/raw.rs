//! The settings as they are written: every key, not interpreted yet.
//!
//! A value of any type is accepted here, so that [`reader`](crate::reader) can report a wrong type together with all other
//! errors.

use std::fmt;

use serde::Deserialize;

/// A value as written, or nothing.
pub(crate) type Setting = Option<Written>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    pub(crate) server: Server,
    pub(crate) admin: Admin,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) names: Names,
    pub(crate) publish: Option<Vec<Rule>>,
    pub(crate) ingest: Ingest,
    pub(crate) mount: Mount,
    pub(crate) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: Setting,
    pub(crate) tls: Tls,
    pub(crate) limits: ServerLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: Setting,
    pub(crate) key: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerLimits {
    pub(crate) connections: Setting,
    pub(crate) first_byte: Setting,
    pub(crate) header: Setting,
    pub(crate) idle: Setting,
    pub(crate) stall: Setting,
    pub(crate) minimum_rate: Setting,
    pub(crate) drain: Setting,
    pub(crate) max_header_bytes: Setting,
    pub(crate) max_streams: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) path: Setting,
    pub(crate) upload_expiry: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) delete: Setting,
    pub(crate) references: Setting,
    pub(crate) max_uploads: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Names {
    pub(crate) default_upstream: Setting,
    pub(crate) upstreams: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) from: Setting,
    pub(crate) to: Setting,
    pub(crate) alias: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ingest {
    pub(crate) bundles: Setting,
    pub(crate) strict: Setting,
    pub(crate) on_conflict: Setting,
    pub(crate) protect: Setting,
    pub(crate) trust: IngestTrust,
    pub(crate) limits: IngestLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IngestTrust {
    pub(crate) keys: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IngestLimits {
    pub(crate) document: Setting,
    pub(crate) chart: Setting,
    pub(crate) layer: Setting,
    pub(crate) entries: Setting,
    pub(crate) images: Setting,
    pub(crate) depth: Setting,
    pub(crate) ratio: Setting,
    pub(crate) ratio_from: Setting,
    pub(crate) keep_free: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mount {
    pub(crate) paths: Setting,
    pub(crate) copy: Setting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: Setting,
    pub(crate) format: Setting,
}

/// One value of any type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    Switch(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Written>),
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Fraction(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => {
                f.write_str("[")?;
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}
