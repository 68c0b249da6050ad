//! `airdock rebuild`: rebuilds the derived index from blobs and links.

use airdock_config::Config;
use airdock_registry::RebuildReport;

use super::worker::ask;
use crate::admin::endpoint::Endpoint;
use crate::exit::Exit;
use crate::view::text::{self, counted, printable};

pub(crate) fn run(config: &Config) -> anyhow::Result<Exit> {
    let RebuildReport { repositories, manifests, tags, problems } = ask(config, Endpoint::Rebuild)?;
    for problem in &problems {
        text::line(format_args!("left out: {}", printable(problem)));
    }
    let repositories = counted(repositories as u64, "repository", "repositories");
    let (manifests, tags) = (counted(manifests as u64, "manifest", "manifests"), counted(tags as u64, "tag", "tags"));
    text::line(format_args!("rebuilt from disk: {repositories}, {manifests}, {tags}"));
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}
