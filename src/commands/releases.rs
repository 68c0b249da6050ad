//! `airdock releases` and `airdock release`: what bundles changed in the tags, and going back and forward among them.

use airdock_config::Config;
use serde::Serialize;

use super::worker::{Worker, runtime};
use crate::admin::operation::Operation;
use crate::admin::operations::releases::{ListReleases, RemoveRelease, Rollback, ShowRelease};
use crate::admin::wire::Pin;
use crate::cli::ReleaseCommand;
use crate::exit::Exit;
use crate::view::{releases, text};

/// `airdock releases`.
pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<Exit> {
    let list = ask(config, ListReleases)?;
    print(&list, json, releases::table)?;
    Ok(if list.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// `airdock release`.
pub(crate) fn one(config: &Config, command: &ReleaseCommand) -> anyhow::Result<Exit> {
    match command {
        ReleaseCommand::Show(one) => print(&ask(config, ShowRelease(one.id))?, one.json, releases::show),
        ReleaseCommand::Pin(one) => print(&ask(config, Pin { id: one.id, pinned: true })?, one.json, releases::pinned),
        ReleaseCommand::Unpin(one) => {
            print(&ask(config, Pin { id: one.id, pinned: false })?, one.json, releases::pinned)
        }
        ReleaseCommand::Rollback(to) => print(&ask(config, Rollback(to.id))?, to.json, releases::rolled_back),
        ReleaseCommand::Rm(one) => print(&ask(config, RemoveRelease(one.id))?, one.json, releases::removed),
    }
}

fn ask<O: Operation<Part = ()>>(config: &Config, operation: O) -> anyhow::Result<O::Outcome> {
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
