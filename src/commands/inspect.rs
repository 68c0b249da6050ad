//! `airdock inspect`: everything about one reference.

use std::fmt::Write as _;

use airdock_config::Config;
use airdock_registry::oci::Tag;
use indicatif::HumanBytes;

use super::worker::ask;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::{Inspection, Piece};
use crate::cli::InspectArguments;
use crate::exit::Exit;
use crate::view::text::{self, minute, printable, word};

pub(crate) fn run(config: &Config, arguments: InspectArguments) -> anyhow::Result<Exit> {
    let InspectArguments { json, reference, .. } = arguments;
    let inspection = ask(config, Endpoint::Inspect { reference })?;
    if json {
        text::json(&inspection)?;
    } else {
        text::text(render(&inspection));
    }
    Ok(Exit::Done)
}

fn render(found: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<14}{}", printable(value));
    };
    line("repository", found.repository.as_str());
    line("digest", &found.digest.to_string());
    line("kind", &word(&found.kind));
    line("media type", found.media_type.as_str());
    if let Some(kind) = &found.artifact_type {
        line("artifact type", kind);
    }
    line("size", &format!("{} ({} bytes)", HumanBytes(found.size), found.size));
    if !found.platforms.is_empty() {
        line("platforms", &found.platforms.join(", "));
    }
    if let Some(origin) = &found.tag {
        let utc = if origin.at.is_some() { " UTC" } else { "" };
        line("from", &format!("{}, {}{utc}", origin.provenance, minute(origin.at)));
    }
    if let Some(subject) = &found.subject {
        line("about", &subject.to_string());
    }
    for (key, value) in &found.annotations {
        line("annotation", &format!("{key} = {value}"));
    }
    for child in &found.manifests {
        let platform = child.platform.as_deref().unwrap_or("no platform");
        line("manifest", &format!("{}  {:<7}  {platform}", child.descriptor.digest, word(&child.state)));
    }
    let config = found.config.iter().map(|blob| ("config", blob));
    for (name, Piece { descriptor, state, .. }) in config.chain(found.layers.iter().map(|blob| ("layer", blob))) {
        let (state, size) = (word(state), HumanBytes(descriptor.size));
        line(name, &format!("{}  {state:<7}  {size}  {}", descriptor.digest, descriptor.media_type));
    }
    for referrer in &found.referrers {
        line("referrer", &format!("{}  {}", referrer.reference, referrer.artifact_type.as_deref().unwrap_or("-")));
    }
    for place in &found.places {
        let tags: Vec<_> = place.tags.iter().map(Tag::as_str).collect();
        let tags = if tags.is_empty() { "no tag".to_owned() } else { tags.join(", ") };
        line("in", &format!("{}: {tags}", place.repository));
    }
    if found.more {
        line("in", "and more");
    }
    text
}
