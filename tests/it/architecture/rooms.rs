//! Which room may know which: the arrows of ARCHITECTURE.md.
//!
//! A room is a module directly below a crate's root. It may name rooms of the lines above its own, so arrows point up
//! here and down in the picture. Rooms of one line do not know each other. A room that is not listed fails the test: it
//! is to be given its place first.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::{assert_none, graph};

type Lines = &'static [&'static [&'static str]];
/// A room and others.
type Exceptions = &'static [(&'static str, &'static [&'static str])];

const REGISTRY: Lines = &[
    &["oci", "cache"],
    &["error"],
    &["names"],
    &["disk", "settings"],
    &["blobs"],
    &["catalog"],
    &["content"],
    &["core"],
    &["repository", "release", "charts", "verify"],
    &["mount"],
    &["registry"],
    &["api"],
    &["server"],
];

const SYNC: Lines = &[
    &["text", "limits", "report"],
    &["problem", "reference"],
    &["progress"],
    &["manifest_txt", "publish"],
    &["input"],
    &["inventory"],
    &["archive"],
    &["ingest"],
    &["probe"],
];

const CONFIG: Lines = &[&["units", "error"], &["check"], &["file"], &["pass"], &["publish"], &["keys"]];

const BINARY: Lines = &[&["exit", "cli", "telemetry"], &["admin"], &["view"], &["app"], &["commands"]];

/// What the lines would allow and must not be used: the server serves any tower service, and what goes over the wire
/// is known in `api`.
const NEVER: Exceptions = &[
    ("server", &["registry", "repository", "release", "charts", "mount", "verify", "core", "catalog", "names"]),
    ("content", &["names", "disk"]),
];

/// What the lines forbid and is right: the one error of the use cases wraps those of the rooms below them, whose files
/// use nothing else. That these do not lead back is for the test of circles.
const WRAPS: Exceptions = &[("error", &["disk", "blobs", "catalog"])];

/// Links, log and index, and the names of mounted media: the rest of the registry asks the catalog.
const CATALOG_INSIDES: &[[&str; 2]] = &[["catalog", "files"], ["catalog", "mount"]];

/// What `graph` has that `lines` do not allow, or that is `never` to be.
fn wrong_arrows(graph: &Graph, lines: Lines, never: Exceptions, wraps: Exceptions) -> Vec<String> {
    let line = |room: &str| lines.iter().position(|line| line.contains(&room));
    let is_of = |exceptions: Exceptions, from: &str, to: &str| {
        exceptions.iter().any(|(room, others)| *room == from && others.contains(&to))
    };
    let mut found = BTreeSet::new();
    for (file, named) in &graph.named {
        let from = room(graph.module(file));
        // The root puts the crate together and passes names on.
        if from.is_empty() {
            continue;
        }
        let Some(own) = line(from) else {
            found.insert(format!("the room `{from}` has no place yet"));
            continue;
        };
        for (module, path) in named {
            let to = room(module);
            let is_below = line(to).is_some_and(|to| to < own) || is_of(wraps, from, to);
            if !to.is_empty() && to != from && (!is_below || is_of(never, from, to)) {
                found.insert(format!("{from} → {to}: {file} says `{path}`"));
            }
        }
    }
    found.into_iter().collect()
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn rooms_of_the_registry_look_down_only() {
    assert_none(&wrong_arrows(&graph("registry/src/lib.rs"), REGISTRY, NEVER, WRAPS));
}

#[test]
fn rooms_of_sync_look_down_only() {
    assert_none(&wrong_arrows(&graph("sync/src/lib.rs"), SYNC, &[], &[]));
}

#[test]
fn rooms_of_the_config_look_down_only() {
    assert_none(&wrong_arrows(&graph("config/src/lib.rs"), CONFIG, &[], &[]));
}

#[test]
fn rooms_of_the_binary_look_down_only() {
    assert_none(&wrong_arrows(&graph("src/main.rs"), BINARY, &[], &[]));
}

#[test]
fn links_index_and_media_are_named_in_the_catalog_alone() {
    let graph = graph("registry/src/lib.rs");
    let mut found = Vec::new();
    for (file, named) in graph.named.iter().filter(|(file, _)| room(graph.module(file)) != "catalog") {
        // As it is written: what the catalog itself passes on is the catalog's.
        let is_inside = |path: &str| {
            let parts: Vec<_> = path.split("::").collect();
            parts.windows(2).any(|pair| CATALOG_INSIDES.iter().any(|inside| pair == inside))
        };
        let insides = named.values().filter(|path| is_inside(path));
        found.extend(insides.map(|path| format!("{file} says `{path}`")).collect::<BTreeSet<_>>());
    }
    assert_none(&found);
}

#[cfg(test)]
mod tests {
    use super::super::graph::Files;
    use super::*;

    const LINES: Lines = &[&["low"], &["left", "right"], &["high"]];

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = Files::from([(
            "src/lib.rs".to_owned(),
            "mod low; mod left; mod right; mod high; pub use high::High;".to_owned(),
        )]);
        for room in ["low", "left", "right", "high"] {
            all.insert(format!("src/{room}.rs"), format!("pub struct {};", room.to_uppercase()));
        }
        all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        wrong_arrows(&Graph::build(&all, "src/lib.rs"), LINES, &[("high", &["left"])], &[("low", &["left"])])
    }

    #[test]
    fn a_room_may_look_down_and_not_up_or_aside() {
        assert!(found(&[("src/high.rs", "use crate::{low, right::RIGHT}; fn x(_: low::LOW) {}")]).is_empty());
        assert_eq!(
            found(&[("src/low.rs", "fn x() -> super::high::HIGH {}")]),
            ["low → high: src/low.rs says `super::high::HIGH`"]
        );
        assert_eq!(found(&[("src/left.rs", "use crate::right;")]).len(), 1);
    }

    #[test]
    fn what_is_forbidden_by_name_is_so_in_spite_of_the_lines() {
        assert_eq!(found(&[("src/high.rs", "use crate::left::LEFT;")]).len(), 1);
    }

    #[test]
    fn what_is_allowed_by_name_is_so_in_spite_of_the_lines() {
        assert!(found(&[("src/low.rs", "use crate::left::LEFT;")]).is_empty());
    }

    #[test]
    fn a_name_that_is_passed_on_leads_to_the_room_that_defines_it_too() {
        let files = [("src/low.rs", "use crate::HIGH;"), ("src/lib.rs", "mod low; mod high; pub use high::HIGH;")];
        assert_eq!(found(&files), ["low → high: src/low.rs says `crate::HIGH`"]);
    }

    #[test]
    fn a_room_without_a_place_is_told_of() {
        let files = [("src/lib.rs", "mod low; mod new;"), ("src/new.rs", "")];
        assert_eq!(found(&files), ["the room `new` has no place yet"]);
    }
}
