//! `airdock releases` and `airdock release`: what bundles changed in the tags, and going back and forward among them.

use airdock_config::Config;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::worker::ask;
use crate::admin::endpoint::Endpoint;
use crate::cli::ReleaseCommand;
use crate::exit::Exit;
use crate::view::{releases, text};

/// `airdock releases`.
pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<Exit> {
    let list = show(config, Endpoint::ListReleases, json, releases::table)?;
    Ok(if list.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// `airdock release`.
pub(crate) fn one(config: &Config, command: &ReleaseCommand) -> anyhow::Result<Exit> {
    let pin = |id, pinned, json| show(config, Endpoint::PinRelease { id, pinned }, json, releases::pinned).map(drop);
    match command {
        ReleaseCommand::Show(one) => {
            show(config, Endpoint::ShowRelease { id: one.id }, one.json, releases::show).map(drop)
        }
        ReleaseCommand::Pin(one) => pin(one.id, true, one.json),
        ReleaseCommand::Unpin(one) => pin(one.id, false, one.json),
        ReleaseCommand::Rollback(one) => {
            show(config, Endpoint::Rollback { to: one.id }, one.json, releases::rolled_back).map(drop)
        }
        ReleaseCommand::Rm(one) => {
            show(config, Endpoint::RemoveRelease { id: one.id }, one.json, releases::removed).map(drop)
        }
    }?;
    Ok(Exit::Done)
}

/// Asks, and prints the answer.
fn show<T: Serialize + DeserializeOwned>(
    config: &Config,
    endpoint: Endpoint,
    json: bool,
    render: fn(&T) -> String,
) -> anyhow::Result<T> {
    let value = ask(config, endpoint)?;
    if json {
        text::line(format_args!("{:#}", serde_json::to_value(&value)?));
    } else {
        text::text(render(&value));
    }
    Ok(value)
}
