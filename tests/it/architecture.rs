//! What ARCHITECTURE.md says about who knows what, held against the source.
//!
//! Comments are left out: a room may speak of what it must not use.

use std::fs;
use std::path::{Path, PathBuf};

/// Product files longer than this are cut in two.
const WALL: usize = 500;

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

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            // A room's tests in a file of their own are no product.
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]\nmod ").next().unwrap();
                let code: Vec<_> = production.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                found.push(Source {
                    path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
                    lines: production.lines().count(),
                    code: code.join("\n"),
                });
            }
        }
    }
    assert!(!found.is_empty(), "there is something to look at in {folders:?}");
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
fn only_the_metadata_says_sled() {
    assert_none(&offenders(&product(), &["sled"], &["registry/src/metadata/"]));
}

#[test]
fn only_the_layout_joins_paths_in_the_store() {
    let mut store = sources(&["registry/src/store"]);
    // Without an argument it is a thread that is joined.
    store.iter_mut().for_each(|source| source.code = source.code.replace(".join()", ""));
    // A temporary file's name and the bytes of an upload's folder are the layout's too.
    let allowed = ["registry/src/store/layout.rs", "registry/src/store/durable.rs", "registry/src/store/blobs.rs"];
    assert_none(&offenders(&store, &["join"], &allowed));
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
fn rooms_look_down_only() {
    let below: [(&str, &[&str]); 7] = [
        ("registry/src/oci", &["crate::names", "crate::store", "crate::metadata", "crate::repository", "crate::api"]),
        ("registry/src/names", &["crate::store", "crate::metadata", "crate::repository", "crate::api"]),
        (
            "registry/src/store",
            &["crate::metadata", "crate::mounts", "crate::repository", "crate::registry", "crate::api"],
        ),
        ("registry/src/mounts", &["crate::metadata", "crate::repository", "crate::registry", "crate::api"]),
        ("registry/src/metadata", &["crate::repository", "crate::registry", "crate::api", "crate::server"]),
        ("registry/src/repository", &["crate::api", "crate::server"]),
        ("registry/src/server", &["crate::repository", "crate::metadata", "crate::registry"]),
    ];
    for (room, words) in below {
        assert_none(&offenders(&sources(&[room]), words, &[]));
    }
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
    assert_none(&offenders(&everything, &["unsafe"], &["registry/src/server/sendfile.rs", "tests/it/architecture.rs"]));
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
