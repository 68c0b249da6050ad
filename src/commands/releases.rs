//! `airdock releases` and `airdock release`: what bundles made of the tags, and going back and forward among them.

use airdock_config::Config;

use super::{Worker, runtime, unexpected};
use crate::cli::ReleaseCommand;
use crate::exit::Exit;
use crate::output;
use crate::releases;
use crate::request::{ReleaseReply, ReleaseRequest, Reply, Request};
use crate::user;

/// `airdock releases`.
pub(crate) fn list(config: Config, json: bool) -> anyhow::Result<Exit> {
    run(config, ReleaseRequest::List, json)
}

/// `airdock release`.
pub(crate) fn one(config: Config, command: &ReleaseCommand) -> anyhow::Result<Exit> {
    let (request, json) = match command {
        ReleaseCommand::Show(one) => (ReleaseRequest::Show { id: one.id }, one.json),
        ReleaseCommand::Pin(one) => (ReleaseRequest::Pin { id: one.id, pinned: true }, one.json),
        ReleaseCommand::Unpin(one) => (ReleaseRequest::Pin { id: one.id, pinned: false }, one.json),
        ReleaseCommand::Rollback(target) => (ReleaseRequest::Rollback { to: target.id, by: user::own() }, target.json),
        ReleaseCommand::Rm(one) => (ReleaseRequest::Remove { id: one.id, by: user::own() }, one.json),
    };
    run(config, request, json)
}

fn run(config: Config, request: ReleaseRequest, json: bool) -> anyhow::Result<Exit> {
    let reply = runtime()?.block_on(async {
        let worker = Worker::find(config.registry).await?;
        worker.ask(Request::Releases(request), |_| Ok(())).await
    })?;
    let Reply::Releases(reply) = reply else { return Err(unexpected()) };
    let damaged = matches!(&reply, ReleaseReply::List(list) if !list.problems.is_empty());
    output::text(if json { releases::json(&reply) } else { releases::render(&reply) });
    Ok(if damaged { Exit::Failed } else { Exit::Done })
}
