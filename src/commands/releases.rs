//! `airdock releases` and `airdock release`: what bundles changed in the tags, and going back and forward among them.

use airdock_config::Config;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::worker::{Worker, runtime};
use crate::admin::operation::Operation;
use crate::admin::operations::releases as operations;
use crate::cli::ReleaseCommand;
use crate::exit::Exit;
use crate::view::{releases, text};

/// `airdock releases`.
pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<Exit> {
    let list = ask(config, operations::list())?;
    print(&list, json, releases::table)?;
    Ok(if list.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// `airdock release`.
pub(crate) fn one(config: &Config, command: &ReleaseCommand) -> anyhow::Result<Exit> {
    match command {
        ReleaseCommand::Show(one) => print(&ask(config, operations::show(one.id))?, one.json, releases::show),
        ReleaseCommand::Pin(one) => print(&ask(config, operations::pin(one.id, true))?, one.json, releases::pinned),
        ReleaseCommand::Unpin(one) => print(&ask(config, operations::pin(one.id, false))?, one.json, releases::pinned),
        ReleaseCommand::Rollback(to) => {
            print(&ask(config, operations::rollback(to.id))?, to.json, releases::rolled_back)
        }
        ReleaseCommand::Rm(one) => print(&ask(config, operations::remove(one.id))?, one.json, releases::removed),
    }
}

fn ask<T: DeserializeOwned>(config: &Config, operation: Operation<(), T>) -> anyhow::Result<T> {
    runtime()?.block_on(async { Worker::find(config).await?.ask(operation).await })
}

fn print<T: Serialize>(value: &T, json: bool, render: fn(&T) -> String) -> anyhow::Result<Exit> {
    if json {
        text::line(format_args!("{:#}", serde_json::to_value(value)?));
    } else {
        text::text(render(value));
    }
    Ok(Exit::Done)
}
