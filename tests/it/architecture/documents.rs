//! That the documents lead to what is there.

use std::fs;
use std::path::{Path, PathBuf};

use super::graph::Files;
use super::{assert_none, files, root};

/// Where documents are; each folder by itself.
const FOLDERS: [&str; 8] = ["", "docs", "docs/decisions", "tests", "benches", "docker", "examples", "sync/fuzz"];

/// Documents that name files by their path from the root.
const GUIDES: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "FORMAT.md"];

fn documents() -> Vec<PathBuf> {
    let entries = FOLDERS.iter().filter_map(|folder| fs::read_dir(root().join(folder)).ok()).flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(found.len() > GUIDES.len(), "there are documents to look at");
    found
}

/// What stands between `open` and `close`, wherever it does.
fn between<'t>(text: &'t str, open: &'t str, close: char) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inside, _)| inside)
}

/// Links that lead to no file.
fn broken_links(text: &str, folder: &Path) -> Vec<String> {
    let files = between(text, "](", ')').filter(|link| !link.contains("://") && !link.starts_with('#'));
    let missing = files.filter(|link| !folder.join(link.split('#').next().unwrap_or_default()).exists());
    missing.map(str::to_owned).collect()
}

/// Paths between backticks that lead to no file.
fn broken_paths(text: &str) -> Vec<String> {
    let below = |path: &&str| {
        ["registry/", "sync/", "config/", "src/", "tests/", "benches/", "docs/"]
            .iter()
            .any(|start| path.starts_with(start))
    };
    let plain = |path: &&str| path.chars().all(|part| part.is_ascii_alphanumeric() || "/._-".contains(part));
    let paths = text.split('`').skip(1).step_by(2).filter(below).filter(plain);
    let exists = |path: &str| [path.to_owned(), format!("{path}.rs")].iter().any(|path| root().join(path).exists());
    paths.filter(|path| !exists(path)).map(str::to_owned).collect()
}

#[test]
fn every_link_of_the_documents_leads_to_a_file() {
    let mut found = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let links = broken_links(&text, path.parent().unwrap());
        found.extend(links.iter().map(|link| format!("{} links to {link}", path.display())));
    }
    assert_none(&found);
}

#[test]
fn every_path_that_a_guide_names_is_there() {
    let mut found = Vec::new();
    for guide in GUIDES {
        let text = fs::read_to_string(root().join(guide)).unwrap();
        found.extend(broken_paths(&text).iter().map(|path| format!("{guide} names {path}")));
    }
    assert_none(&found);
}

#[test]
fn every_decision_is_in_the_index() {
    let folder = root().join("docs/decisions");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let missing: Vec<_> = names.filter(|name| name != "README.md" && !index.contains(&format!("]({name})"))).collect();
    assert_none(&missing);
}

/// The tests that a document names: between brackets, or behind `Tests:`.
fn tests_named(text: &str) -> Vec<&str> {
    // A link is none.
    let brackets = text.split("[`").skip(1).filter_map(|rest| rest.split_once(']'));
    let in_brackets = brackets.filter(|(_, behind)| !behind.starts_with('(')).map(|(inside, _)| inside);
    let behind = text.lines().filter_map(|line| line.strip_prefix("Tests: `"));
    let lists = in_brackets.chain(behind).flat_map(|list| list.split('`').step_by(2));
    lists.filter(|name| !name.is_empty()).collect()
}

/// Whether there is a file, a folder or a test of this name: `oci::manifest`, `sync/tests/it/signed`, `s13_…`.
fn is_test(name: &str, files: &Files) -> bool {
    let name = name.replace("::", "/");
    match name.strip_suffix('…') {
        Some(start) => files.values().any(|text| text.contains(&format!("fn {start}"))),
        None => files.iter().any(|(path, text)| {
            path.ends_with(&format!("/{name}.rs"))
                || path.contains(&format!("/{name}/"))
                || *path == format!("{name}.rs")
                || text.contains(&format!("fn {name}("))
        }),
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let code: Files = ["registry", "sync", "config", "tests"].iter().flat_map(|folder| files(folder)).collect();
    let mut found = Vec::new();
    for path in documents().iter().filter(|path| {
        path.ends_with("ARCHITECTURE.md") || path.parent().is_some_and(|parent| parent.ends_with("decisions"))
    }) {
        let text = fs::read_to_string(path).unwrap();
        let missing = tests_named(&text).into_iter().filter(|name| !is_test(name, &code));
        found.extend(missing.map(|name| format!("{} names {name}", path.display())));
    }
    assert_none(&found);
}

/// What is wrong with the table of cases: a row whose last cell names no test, or one that is not there. A script is named by
/// its path.
fn untested_cases(text: &str, files: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let (case, _) = row.split_once(" | ").unwrap_or((row, ""));
        let held = row.rsplit(" | ").next().unwrap_or_default();
        if case == "id" {
            continue;
        }
        let named: Vec<_> = held.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !held.contains("open: ") {
            found.push(format!("{case} names no test and is not open"));
        }
        let there = |name: &&str| is_test(name, files) || (name.contains('/') && root().join(name).exists());
        found.extend(named.iter().filter(|name| !there(name)).map(|name| format!("{case} names {name}")));
    }
    found
}

#[test]
fn every_case_has_its_tests_or_says_why_not() {
    let code: Files = ["registry", "sync", "config", "src", "tests"].iter().flat_map(|folder| files(folder)).collect();
    let text = fs::read_to_string(root().join("docs/cases.md")).unwrap();
    assert!(text.lines().filter(|line| line.starts_with("| ")).count() > 58, "the table has its rows");
    assert_none(&untested_cases(&text, &code));
}

#[test]
fn a_case_without_a_test_is_found() {
    let text =
        "| id | test |\n|---|---|\n| B1 | `it_is` |\n| B2 | `it_is_not` |\n| B3 | none |\n| B4 | open: no disk |\n";
    let files = Files::from([("tests/it/x.rs".into(), "fn it_is() {}".into())]);
    assert_eq!(untested_cases(text, &files), ["B2 names it_is_not", "B3 names no test and is not open"]);
}

#[test]
fn names_of_tests_are_found_in_a_document() {
    let text = "1. All. [`use_cases`, `crash`]\n2. [`x`](b.md) [`s13_…` in `pull`]\n\nTests: `mounts`, `devices`\n";
    assert_eq!(tests_named(text), ["use_cases", "crash", "s13_…", "pull", "mounts", "devices"]);
    let files = Files::from([
        ("tests/it/pull.rs".into(), "fn s13_it_holds() {}".into()),
        ("tests/it/crash/mod.rs".into(), String::new()),
    ]);
    assert!(["pull", "it/pull", "crash", "s13_…", "s13_it_holds"].iter().all(|name| is_test(name, &files)));
    assert!(!["pul", "s14_…", "it_holds"].iter().any(|name| is_test(name, &files)));
}

#[test]
fn a_link_and_a_path_to_nowhere_are_found() {
    let text = "[a](README.md) [b](README.md#x) [c](https://example.com/x) [d](nowhere.md) `tests/it` `tests/nowhere.rs` `tests/<x>`";
    assert_eq!(broken_links(text, root()), ["nowhere.md"]);
    assert_eq!(broken_paths(text), ["tests/nowhere.rs"]);
}
