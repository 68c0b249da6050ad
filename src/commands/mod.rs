//! One verb each, from checked settings to an exit code.

pub(crate) mod config_check;
pub(crate) mod ingest;
pub(crate) mod rebuild;
pub(crate) mod serve;

use std::path::Path;

use airdock_registry::{OpenError, Registry, Settings};
use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::control::Client;
use crate::exit::Unanswered;

/// Whoever can do work on a data folder.
enum Worker {
    /// This process: nobody else has the folder.
    Here(Registry),
    /// The server that has it.
    There(Client),
}

impl Worker {
    /// Opens the registry, or finds the server that has.
    async fn find(settings: Settings) -> anyhow::Result<Self> {
        let data = settings.data.clone();
        match Registry::open(settings).await {
            Ok(registry) => Ok(Self::Here(registry)),
            Err(OpenError::Locked { .. }) => match Client::connect(&data).await {
                Ok(client) => Ok(Self::There(client)),
                Err(source) => Err(Unanswered { folder: data.display().to_string(), source }.into()),
            },
            Err(error) => Err(error).with_context(|| opening(&data)),
        }
    }
}

fn opening(data: &Path) -> String {
    format!("cannot open the data folder `{}`", data.display())
}

/// The runtime every command runs on.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
