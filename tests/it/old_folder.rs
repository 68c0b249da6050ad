//! A data folder that an earlier version wrote (`tests/fixtures/data-folder`): it opens, serves and rolls back the same.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use testkit::client::{Client, Request};
use testkit::content::{digest, sha512};
use testkit::process::{Airdock, printed, run};
use testkit::pull::{referrers, table};

/// The version whose folder it is, and the name of the files.
const MADE_BY: &str = "fe08275";

fn fixture(ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-folder").join(format!("{MADE_BY}.{ending}"))
}

/// What the version that wrote the folders said of them.
fn ledger() -> Value {
    serde_json::from_slice(&fs::read(fixture("json")).unwrap()).unwrap()
}

/// Unpacks the folder that a clean stop left (`clean`), a killed server (`killed`), or a kill in the middle of a rollback
/// (`cut`).
fn unpack(which: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let packed = zstd::Decoder::new(fs::File::open(fixture("tar.zst")).unwrap()).unwrap();
    let mut archive = tar::Archive::new(packed);
    // An upload as old as the fixture would have expired.
    archive.set_preserve_mtime(false);
    archive.unpack(folder.path()).unwrap();
    let data = folder.path().join(which);
    assert_eq!(data.join("metadata.seal").exists(), which == "clean", "a killed server leaves no seal");
    (folder, data)
}

#[track_caller]
fn command(data: &Path, arguments: &[&str]) -> String {
    let output = run(data.parent().unwrap(), [arguments, &["--data", data.to_str().unwrap()]].concat());
    printed(&output, 0)
}

#[track_caller]
fn document(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&command(data, arguments)).unwrap()
}

/// The tags; the earlier version did not list manifests without one.
fn listed(data: &Path) -> Value {
    let rows = command(data, &["ls", "--json"]);
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row.get("tag").is_some()).collect()
}

/// Fetches everything the ledger knows of: whatever has the digest it is asked by is the same byte for byte.
fn assert_served(client: &Client, expected: &Value) {
    let of = |digest_of: &str, content: &[u8]| match digest_of.starts_with("sha512:") {
        true => sha512(content),
        false => digest(content),
    };
    let tags = expected.as_object().unwrap().iter().map(|(repository, has)| (repository.clone(), has["tags"].clone()));
    assert_eq!(json!(table(client)), tags.collect::<Value>());
    for (repository, has) in expected.as_object().unwrap() {
        for (manifest, media_type) in has["manifests"].as_object().unwrap() {
            let answer = client.get(&format!("/v2/{repository}/manifests/{manifest}")).expect(200);
            assert_eq!(&of(manifest, &answer.body), manifest, "of `{repository}`");
            assert_eq!(answer.header("content-type"), media_type.as_str(), "`{repository}@{manifest}`");
            let expected = has["referrers"].get(manifest).cloned().unwrap_or_else(|| json!([]));
            assert_eq!(json!(referrers(client, repository, manifest)), expected, "about `{repository}@{manifest}`");
        }
        for blob in has["blobs"].as_array().unwrap() {
            let blob = blob.as_str().unwrap();
            let answer = client.get(&format!("/v2/{repository}/blobs/{blob}")).expect(200);
            assert_eq!(of(blob, &answer.body), blob, "of `{repository}`");
        }
        for (tag, manifest) in has["tags"].as_object().unwrap() {
            let answer = client.get(&format!("/v2/{repository}/manifests/{tag}")).expect(200);
            assert_eq!(of(manifest.as_str().unwrap(), &answer.body), *manifest, "`{repository}:{tag}`");
        }
    }
}

#[test]
fn a_folder_an_earlier_version_wrote_serves_and_lists_the_same() {
    let ledger = ledger();
    for which in ["clean", "killed", "cut"] {
        let (_folder, data) = unpack(which);
        let files = |below: &str| fs::read_dir(data.join(below)).unwrap().count();
        assert_eq!((files("releases/pending"), files("incoming")), if which == "cut" { (1, 1) } else { (0, 0) });
        let expected = &ledger[which];
        let identity = fs::read(data.join("store.json")).unwrap();
        let airdock = Airdock::over(&data);
        assert_served(&airdock.client(), &expected["served"]);
        assert_eq!(document(&data, &["releases", "--json"]), expected["releases"], "{which}");
        assert_eq!(listed(&data), expected["listed"], "{which}");
        assert_eq!((files("releases/pending"), files("incoming")), (0, 0), "{which}");
        assert!(airdock.stop().success());
        // Once more, from the metadata this version has written in the meantime.
        let airdock = Airdock::over(&data);
        assert_served(&airdock.client(), &expected["served"]);
        assert!(airdock.stop().success());
        assert_eq!(listed(&data), expected["listed"], "{which}");
        let whole = document(&data, &["verify", "--json"]);
        assert_eq!((&whole["damaged"], &whole["more"]), (&json!([]), &json!(0)), "{which}");
        assert!(whole["blobs"].as_u64().unwrap() > 0 && whole["manifests"].as_u64().unwrap() > 0, "{whole}");
        assert_eq!(fs::read(data.join("store.json")).unwrap(), identity, "the layout keeps its version");
        assert!(String::from_utf8(identity).unwrap().contains(r#""version":1"#));
    }
}

#[test]
fn a_folder_an_earlier_version_wrote_rolls_forward_and_back_the_same() {
    let ledger = ledger();
    let (_folder, data) = unpack("clean");
    let airdock = Airdock::over(&data);
    let client = airdock.client();
    let tables = ledger["rollbacks"].as_array().unwrap();
    assert_eq!(tables.len(), 2, "forward and back");
    for expected in tables {
        command(&data, &["release", "rollback", &expected["to"].to_string()]);
        assert_eq!(json!(table(&client)), expected["tags"], "at release {}", expected["to"]);
        assert_eq!(document(&data, &["releases", "--json"])["in_effect"], expected["to"]);
    }
    assert_served(&client, &ledger["clean"]["served"]);
}

#[test]
fn an_upload_begun_with_an_earlier_version_is_finished_with_this_one() {
    let ledger = ledger();
    let upload = |key: &str| ledger["upload"][key].as_str().unwrap();
    let (has, rest) = (upload("has"), upload("rest"));
    for which in ["clean", "killed"] {
        let (_folder, data) = unpack(which);
        let airdock = Airdock::over(&data);
        let client = airdock.client();
        let status = client.get(upload("location")).expect(204);
        assert_eq!(status.header("range"), Some(&*format!("0-{}", has.len() - 1)));
        let whole = format!("{has}{rest}");
        let finish = format!("{}?digest={}", upload("location"), digest(&whole));
        client.send(&Request::new("PUT", &finish).body(rest)).expect(201);
        assert_eq!(client.get(&format!("/v2/team/tool/blobs/{}", digest(&whole))).expect(200).text(), whole);
    }
}
