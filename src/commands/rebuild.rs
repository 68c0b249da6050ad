//! `airdock rebuild`: the derived metadata anew from blobs and links, here or by the server that has the folder.

use airdock_config::Config;

use super::{Worker, runtime, unexpected};
use crate::exit::Exit;
use crate::output::{self, printable};
use crate::request::{RebuildCounts, Reply, Request};
use crate::words::counted;

pub(crate) fn run(config: Config) -> anyhow::Result<Exit> {
    let reply = runtime()?.block_on(async {
        let worker = Worker::find(config.registry).await?;
        worker.ask(Request::Rebuild, |_| Ok(())).await
    })?;
    let Reply::Rebuilt(RebuildCounts { repositories, manifests, tags, problems }) = reply else {
        return Err(unexpected());
    };
    for problem in &problems {
        output::line(format_args!("left out: {}", printable(problem)));
    }
    let repositories = counted(repositories, "repository", "repositories");
    let (manifests, tags) = (counted(manifests, "manifest", "manifests"), counted(tags, "tag", "tags"));
    output::line(format_args!("rebuilt from disk: {repositories}, {manifests}, {tags}"));
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}
