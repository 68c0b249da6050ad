//! `airdock rebuild`: the derived metadata anew from blobs and links, here or by the server that has the folder.

use airdock_config::Config;
use anyhow::Context as _;

use super::{Worker, runtime};
use crate::control::RebuildCounts;
use crate::exit::Exit;
use crate::output::{self, printable};

pub(crate) fn run(config: Config) -> anyhow::Result<Exit> {
    let counts = runtime()?.block_on(async {
        match Worker::find(config.registry).await? {
            Worker::Here(registry) => {
                let counts = RebuildCounts::from(registry.rebuild().await.context("cannot rebuild the metadata")?);
                registry.close().await.context("cannot close the registry")?;
                anyhow::Ok(counts)
            }
            Worker::There(server) => server.rebuild().await.context("the server cannot rebuild the metadata"),
        }
    })?;
    for problem in &counts.problems {
        output::line(format_args!("left out: {}", printable(problem)));
    }
    let RebuildCounts { repositories, manifests, tags, problems } = counts;
    output::line(format_args!("rebuilt from disk: {repositories} repositories, {manifests} manifests, {tags} tags"));
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}
