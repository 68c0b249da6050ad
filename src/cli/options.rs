//! How to ingest: flags of `airdock ingest`, and `options` of the administration API.
//!
//! A new option is a field here with a line in [`IngestOptions::over`], a field of [`Settings`], and the code that acts on
//! it.

use std::path::PathBuf;

use airdock_registry::OnConflict;
use airdock_sync::ingest::{InvalidNaming, Naming, Settings};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};

/// What one ingest asks for, on top of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IngestOptions {
    /// Ingest everything or nothing
    #[arg(long)]
    pub(crate) strict: bool,
    /// The name for the one image that has none, such as `zenml/client:0.93.2`
    #[arg(long, value_name = "REF")]
    pub(crate) name: Option<String>,
    /// The repository for bare tags in an archive, such as `docker.io/zenmldocker/zenml`
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) base_name: Option<String>,
    /// What happens to pushed tags that the bundle has other content for, `ingest.on_conflict` [default: keep]
    #[arg(long, value_name = "WHAT", value_parser = on_conflict())]
    pub(crate) on_conflict: Option<OnConflict>,
    /// Ingest only what this public key, or another one given this way, has signed, `ingest.trust.keys`: ECDSA on P-256 or
    /// Ed25519
    #[arg(long = "key", value_name = "PEM")]
    pub(crate) keys: Vec<PathBuf>,
    /// The inventory of everything given, with its signature in FILE.sig; inventories inside are ignored then
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
}

impl IngestOptions {
    /// These options on top of the settings of the process that ingests.
    pub(crate) fn over(self, settings: Settings, by: String) -> Result<Settings, InvalidNaming> {
        let mut settings = Settings { by, naming: self.naming()?, ..settings };
        settings.strict |= self.strict;
        settings.precedence.on_conflict = self.on_conflict.unwrap_or(settings.precedence.on_conflict);
        // A caller can require a signature, but cannot replace the keys of a server that has its own.
        if settings.trust.keys.is_empty() {
            settings.trust.keys = self.keys;
        }
        settings.trust.inventory = self.inventory;
        Ok(settings)
    }

    /// The names in effect.
    pub(crate) fn naming(&self) -> Result<Naming, InvalidNaming> {
        Naming::new(self.name.as_deref(), self.base_name.as_deref())
    }

    /// Joins these flags with the command's own settings: flags win here, and both are what is asked of a server.
    pub(crate) fn join(&mut self, own: &mut Settings) -> std::io::Result<()> {
        self.strict |= own.strict;
        if self.keys.is_empty() {
            self.keys.clone_from(&own.trust.keys);
        }
        own.trust.keys.clear();
        self.keys = self.keys.iter().map(std::path::absolute).collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn on_conflict() -> impl TypedValueParser<Value = OnConflict> {
    let words = [
        PossibleValue::new("keep").help("They stay and are reported"),
        PossibleValue::new("replace").help("The bundle's tags replace them; a rollback restores them"),
        PossibleValue::new("fail").help("Nothing is ingested"),
    ];
    PossibleValuesParser::new(words).map(|word| match &*word {
        "replace" => OnConflict::Replace,
        "fail" => OnConflict::Fail,
        _ => OnConflict::Keep,
    })
}
