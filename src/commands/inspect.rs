//! `airdock inspect`: one reference from all sides.

use std::fmt::Write as _;

use airdock_config::Config;
use indicatif::HumanBytes;

use super::ls::when;
use super::{Worker, runtime, unexpected};
use crate::cli::InspectArguments;
use crate::exit::Exit;
use crate::output::{self, printable};
use crate::request::{Inspection, Piece, Reply, Request};

pub(crate) fn run(config: Config, arguments: InspectArguments) -> anyhow::Result<Exit> {
    let InspectArguments { json, reference, .. } = arguments;
    let reply = runtime()?.block_on(async {
        let worker = Worker::find_existing(config.registry).await?;
        worker.ask(Request::Inspect { reference }, |_| Err(unexpected())).await
    })?;
    let Reply::Inspected(inspection) = reply else { return Err(unexpected()) };
    if json {
        output::json(&*inspection)?;
    } else {
        output::text(render(&inspection));
    }
    Ok(Exit::Done)
}

fn render(found: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<14}{}", printable(value));
    };
    line("repository", &found.repository);
    line("digest", &found.digest);
    line("kind", &found.kind);
    line("media type", &found.media_type);
    if let Some(kind) = &found.artifact_type {
        line("artifact type", kind);
    }
    line("size", &format!("{} ({} bytes)", HumanBytes(found.size), found.size));
    if !found.platforms.is_empty() {
        line("platforms", &found.platforms.join(", "));
    }
    if let Some(origin) = &found.tag {
        line("from", &format!("{}, {}", origin.provenance, when(origin)));
    }
    if let Some(subject) = &found.subject {
        line("about", subject);
    }
    for (key, value) in &found.annotations {
        line("annotation", &format!("{key} = {value}"));
    }
    for child in &found.manifests {
        let platform = child.platform.as_deref().unwrap_or("no platform");
        line("manifest", &format!("{}  {:<7}  {platform}", child.digest, child.state));
    }
    for (name, blob) in
        found.config.iter().map(|config| ("config", config)).chain(found.layers.iter().map(|l| ("layer", l)))
    {
        line(name, &part(blob));
    }
    for referrer in &found.referrers {
        line("referrer", &format!("{}  {}", referrer.reference, referrer.artifact_type.as_deref().unwrap_or("-")));
    }
    for place in &found.places {
        let tags = if place.tags.is_empty() { "no tag".to_owned() } else { place.tags.join(", ") };
        line("in", &format!("{}: {tags}", place.repository));
    }
    if found.more {
        line("in", "and more");
    }
    text
}

fn part(blob: &Piece) -> String {
    format!("{}  {:<7}  {}  {}", blob.digest, blob.state, HumanBytes(blob.size), blob.media_type)
}
