//! What ARCHITECTURE.md says about who knows what, held against the source.
//!
//! `circles` and `rooms` look at which file uses which; the tests here look at words. Comments and the tests at a file's
//! end are left out: a room may speak of what it must not use.

mod circles;
mod dependencies;
mod documents;
mod graph;
mod rooms;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use graph::{Files, Graph};
use tokens::{Token, production, tokens};

/// Product files longer than this are cut in two.
const WALL: usize = 500;

/// The crates' roots.
const CRATES: [&str; 4] = ["registry/src/lib.rs", "sync/src/lib.rs", "config/src/lib.rs", "src/main.rs"];

/// What the rest of the registry sees of `blobs` and `catalog`: an object store and a database must fit behind it.
const FACES: [&str; 5] = [
    "registry/src/blobs/lease.rs",
    "registry/src/blobs/place.rs",
    "registry/src/catalog/binding.rs",
    "registry/src/catalog/changes.rs",
    "registry/src/catalog/layer.rs",
];

struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    /// Without comments and without the tests at its end.
    code: String,
    lines: usize,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`: its path, relative to the repository, and its text.
fn files(folder: &str) -> Files {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The modules of the crate with this root.
fn graph(root: &str) -> Graph {
    let (folder, _) = root.rsplit_once('/').unwrap();
    Graph::build(&files(folder), root)
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for (path, text) in folders.iter().flat_map(|folder| files(folder)) {
        // A room's tests in a file of their own are no product.
        if path.ends_with("tests.rs") {
            continue;
        }
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code: Vec<_> = product.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        found.push(Source { path, lines: product.lines().count(), code: code.join("\n") });
    }
    for folder in folders {
        assert!(
            found.iter().any(|source| source.path.starts_with(folder)),
            "there is something to look at in {folder}"
        );
    }
    found
}

fn product() -> Vec<Source> {
    sources(&["src", "registry/src", "sync/src", "config/src"])
}

/// Those that say one of `words` and stand in none of `allowed`.
fn offenders(sources: &[Source], words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for word in words {
            if let Some(line) = source.code.lines().find(|line| says(line, word)) {
                found.push(format!("{} says `{word}`: {}", source.path, line.trim()));
            }
        }
    }
    found
}

/// Whether a line has the word with no letter directly before or after it.
fn says(line: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

fn assert_none(offenders: &[String]) {
    assert!(offenders.is_empty(), "\n{}\n", offenders.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut found: Vec<_> = CRATES.iter().flat_map(|root| circles::circles(&graph(root))).collect();
    // One added arrow may close many circles; the shortest says most about it.
    found.sort_by_key(String::len);
    assert_none(&found);
}

#[test]
fn only_the_files_of_the_catalog_use_links_and_log() {
    let uses = ["self.links", "folder.links", "self.log", "folder.log"];
    assert_none(&offenders(&sources(&["registry/src"]), &uses, &["registry/src/catalog/files/"]));
}

#[test]
fn only_the_files_of_the_catalog_say_redb() {
    assert_none(&offenders(&product(), &["redb"], &["registry/src/catalog/files/"]));
}

#[test]
fn only_the_layout_joins_paths_below_the_data_folder() {
    let mut below = sources(&["registry/src/disk", "registry/src/blobs", "registry/src/catalog"]);
    // Without an argument it is a thread that is joined.
    below.iter_mut().for_each(|source| source.code = source.code.replace(".join()", ""));
    assert_none(&offenders(&below, &["join"], &["registry/src/disk/layout.rs"]));
}

#[test]
fn d14_only_the_disk_and_the_media_open_files_and_follow_links() {
    let below = sources(&["registry/src/disk", "registry/src/blobs", "registry/src/catalog"]);
    let words =
        ["File::open", "File::create", "fs::read", "fs::read_to_string", "fs::write", "fs::copy", "fs::metadata"];
    let made = ["create_dir", "create_dir_all", "DirBuilder"];
    // What else is opened in a data folder goes through `disk/entry.rs`, which neither follows links nor waits for pipes.
    let allowed = ["registry/src/disk/", "registry/src/blobs/medium_blob.rs"];
    assert_none(&offenders(&below, &[&words[..], &made].concat(), &allowed));
}

#[test]
fn the_faces_of_blobs_and_catalog_know_neither_files_nor_a_database_nor_http() {
    for face in FACES {
        let text = fs::read_to_string(root().join(face)).unwrap_or_else(|error| panic!("{face}: {error}"));
        let words = production(&tokens(&text));
        for word in ["File", "Path", "PathBuf", "fs", "redb", "http", "hyper", "StatusCode"] {
            assert!(!words.iter().any(|token| token.is(word)), "{face} says `{word}`");
        }
    }
}

#[test]
fn errors_of_the_libraries_name_no_command() {
    let mut found = Vec::new();
    for (path, text) in ["registry/src", "sync/src", "config/src"].iter().flat_map(|folder| files(folder)) {
        for token in production(&tokens(&text)) {
            if let Token::Text(text) = token
                && text.contains("`airdock ")
            {
                found.push(format!("{path} says: {text}"));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn inside_the_registry_only_api_and_server_know_http() {
    let registry = sources(&["registry/src"]);
    let allowed = ["registry/src/api/", "registry/src/server/"];
    assert_none(&offenders(&registry, &["http", "hyper", "StatusCode", "tower"], &allowed));
}

#[test]
fn only_the_server_says_rustls_and_main_installs_its_provider() {
    assert_none(&offenders(&product(), &["rustls", "tokio_rustls"], &["registry/src/server/", "src/main.rs"]));
}

#[test]
fn only_the_config_reads_toml_and_the_environment() {
    let words = ["toml", "env::var", "env::vars", "env::var_os"];
    // The binary hands its environment over, once.
    let sources: Vec<_> = product().into_iter().filter(|source| source.path != "src/main.rs").collect();
    assert_none(&offenders(&sources, &words, &["config/src/"]));
}

#[test]
fn the_vocabulary_knows_neither_the_runtime_nor_the_disk() {
    let pure = sources(&["registry/src/oci", "registry/src/names"]);
    assert_none(&offenders(&pure, &["tokio", "std::fs", "std::net", "http", "hyper", "tracing"], &[]));
}

#[test]
fn no_socket_is_opened_outward() {
    let words = ["TcpStream::connect", "TcpSocket", "UdpSocket", "lookup_host", "ToSocketAddrs", "to_socket_addrs"];
    assert_none(&offenders(&product(), &words, &[]));
}

#[test]
fn only_the_binary_prints_exits_or_uses_a_catch_all_error() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "process::exit", "anyhow"];
    assert_none(&offenders(&product(), &words, &["src/"]));
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let everything = sources(&["src", "registry/src", "sync/src", "config/src", "testkit/src", "tests", "examples"]);
    assert_none(&offenders(&everything, &["unsafe"], &["registry/src/server/sendfile.rs", "tests/it/architecture/"]));
}

#[test]
fn no_file_is_longer_than_the_wall() {
    let long: Vec<_> = product()
        .into_iter()
        .filter(|source| source.lines > WALL)
        .map(|source| format!("{} has {} lines", source.path, source.lines))
        .collect();
    assert_none(&long);
}

#[test]
fn every_module_says_what_it_is() {
    let mute: Vec<_> = sources(&["src", "registry/src", "sync/src", "config/src", "testkit/src", "tests/it"])
        .into_iter()
        .filter(|source| !fs::read_to_string(root().join(&source.path)).unwrap().starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert_none(&mute);
}

#[test]
fn nothing_leads_to_a_crate_above() {
    // Cargo refuses cycles; this refuses the shortcut of a new edge: config below sync, or sync below the binary.
    for (manifest, above) in
        [("registry/Cargo.toml", &["airdock-sync", "airdock-config"][..]), ("sync/Cargo.toml", &["airdock-config"][..])]
    {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        for name in above {
            assert!(!text.contains(name), "{manifest} names {name}");
        }
    }
}
