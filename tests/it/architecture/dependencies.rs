//! That every dependency a crate declares is named in its code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::tokens::{Token, production, tokens};
use super::{assert_none, files, root};

/// Where a crate's tests may be besides its `src`.
const BESIDES: [&str; 3] = ["tests", "benches", "examples"];

/// The folders of the crates: the root's and those of the members, each with `/` at its end.
fn crates() -> Vec<String> {
    let manifest = manifest("");
    let (_, members) = manifest.split_once("members = [").expect("a workspace has members");
    let members = members.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2);
    std::iter::once(String::new()).chain(members.map(|member| format!("{member}/"))).collect()
}

fn manifest(folder: &str) -> String {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap()
}

/// What code calls a member whose library has a name of its own, by the name of its package.
fn renamed() -> BTreeMap<String, String> {
    let named = |manifest: &str, heading: &str| {
        let (_, section) = manifest.split_once(heading)?;
        let section = section.split("\n[").next()?;
        section
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .map(|name| name.trim_matches('"').replace('-', "_"))
    };
    let of_crate = |folder: String| {
        let text = manifest(&folder);
        Some((named(&text, "[package]")?, named(&text, "[lib]")?))
    };
    crates().into_iter().filter_map(of_crate).collect()
}

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
    let renamed = renamed();
    let is_said = |name: &String| said.contains(renamed.get(name).unwrap_or(name));
    declared(manifest, heading).into_iter().filter(|name| !is_said(name)).collect()
}

#[test]
fn every_dependency_that_is_declared_is_used() {
    let mut found = Vec::new();
    for folder in crates() {
        let manifest = manifest(&folder);
        let product: Vec<_> = files(&format!("{folder}src")).into_values().collect();
        let said = product.iter().flat_map(|text| words(production(&tokens(text)))).collect();
        let besides =
            BESIDES.map(|name| format!("{folder}{name}")).into_iter().filter(|name| root().join(name).is_dir());
        let rest = besides.flat_map(|folder| files(&folder).into_values());
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
    let manifests: Vec<_> = crates().iter().map(|folder| manifest(folder)).collect();
    let of_crates = manifests.iter().flat_map(|text| {
        ["[dependencies]", "[dev-dependencies]"].into_iter().flat_map(move |heading| declared(text, heading))
    });
    let of_crates: BTreeSet<_> = of_crates.collect();
    let unused: Vec<_> = declared(&manifests[0], "[workspace.dependencies]").difference(&of_crates).cloned().collect();
    assert_none(&unused);
}

#[test]
fn a_dependency_that_only_comments_or_tests_name_is_unused() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# Why.\nused-one.workspace = true\nother = \"1\"\n\n[lints]\nworkspace = true\n";
    assert_eq!(declared(manifest, "[dependencies]"), BTreeSet::from(["used_one".into(), "other".into()]));
    let code = "use used_one::X; // other\n#[cfg(test)]\nmod tests { use other::Y; }";
    let said = words(production(&tokens(code))).collect();
    assert_eq!(unused(manifest, "[dependencies]", &said), ["other"]);
}
