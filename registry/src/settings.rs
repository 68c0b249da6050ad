//! The settings of a [registry](crate): plain values, from wherever (file, environment, flags).

use std::path::PathBuf;
use std::time::Duration;

use crate::names;

/// The settings of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The data folder. Created when absent; one process at a time owns it.
    pub data: PathBuf,
    /// Whether the data folder must hold a store already: then none is made where a disk is not mounted.
    pub must_exist: bool,
    /// Whether clients may delete manifests, tags and blobs.
    pub delete: bool,
    /// Whether a manifest may name content that is not here.
    pub references: References,
    /// How long an upload stays after the last change before it is removed.
    pub upload_expiry: Duration,
    /// How many uploads may be open at once.
    pub max_uploads: usize,
    /// How requested names find stored ones.
    pub names: names::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("airdock-data"),
            must_exist: false,
            delete: true,
            references: References::Strict,
            upload_expiry: Duration::from_secs(24 * 60 * 60),
            max_uploads: 10_000,
            names: names::Settings::default(),
        }
    }
}

/// What a pushed manifest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum References {
    /// Every blob and manifest it names must be in the repository already.
    #[default]
    Strict,
    /// Content may be missing: sparse indexes are accepted.
    Lax,
}
