//! That every dependency a crate declares is named in its code.

use std::collections::BTreeSet;
use std::fs;

use super::tokens::{Token, production, tokens};
use super::{assert_none, files, root};

/// Each crate: its folder, and where its tests and benches are besides.
const CRATES: [(&str, &[&str]); 4] = [
    ("", &["tests", "benches", "examples"]),
    ("registry/", &["registry/tests"]),
    ("sync/", &["sync/tests"]),
    ("config/", &[]),
];

/// The names below a heading of a manifest, as code says them.
fn declared(manifest: &str, heading: &str) -> BTreeSet<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != heading).skip(1);
    let names = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(['.', ' ', '=']));
    names.map(|(name, _)| name.replace('-', "_")).filter(|name| !name.is_empty() && !name.starts_with('#')).collect()
}

fn words(tokens: impl IntoIterator<Item = Token>) -> impl Iterator<Item = String> {
    tokens.into_iter().filter_map(|token| token.word().map(str::to_owned))
}

/// The declared names that no code says.
fn unused(manifest: &str, heading: &str, said: &BTreeSet<String>) -> Vec<String> {
    declared(manifest, heading).difference(said).cloned().collect()
}

#[test]
fn every_dependency_that_is_declared_is_used() {
    let mut found = Vec::new();
    for (folder, others) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let product: Vec<_> = files(&format!("{folder}src")).into_values().collect();
        let said = product.iter().flat_map(|text| words(production(&tokens(text)))).collect();
        let rest = others.iter().flat_map(|folder| files(folder).into_values());
        let tests = rest.chain(product.iter().cloned()).flat_map(|text| words(tokens(&text))).collect();
        for (heading, said) in [("[dependencies]", &said), ("[dev-dependencies]", &tests)] {
            let unused = unused(&manifest, heading, said);
            found.extend(unused.iter().map(|name| format!("{folder}Cargo.toml, {heading}: `{name}` is used nowhere")));
        }
    }
    assert_none(&found);
}

#[test]
fn every_dependency_of_the_workspace_is_one_of_a_crate() {
    let manifests = CRATES.map(|(folder, _)| fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap());
    let of_crates = manifests.iter().flat_map(|text| {
        ["[dependencies]", "[dev-dependencies]"].into_iter().flat_map(move |heading| declared(text, heading))
    });
    assert_none(&unused(&manifests[0], "[workspace.dependencies]", &of_crates.collect()));
}

#[test]
fn a_dependency_that_only_comments_or_tests_name_is_unused() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# Why.\nused-one.workspace = true\nother = \"1\"\n\n[lints]\nworkspace = true\n";
    assert_eq!(declared(manifest, "[dependencies]"), BTreeSet::from(["used_one".into(), "other".into()]));
    let code = "use used_one::X; // other\n#[cfg(test)]\nmod tests { use other::Y; }";
    let said = words(production(&tokens(code))).collect();
    assert_eq!(unused(manifest, "[dependencies]", &said), ["other"]);
}
