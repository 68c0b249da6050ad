//! `airdock verify` while a server serves from media.

use std::ffi::OsStr;
use std::path::Path;

use super::{mounting, save};
use testkit::bundle::example;
use testkit::content::{digest, noise};
use testkit::process::{Airdock, run};
use testkit::push::push_image;

/// What `airdock verify` prints, and its exit code, for the data folder `data`.
fn verify(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let all = ["verify", "--data", "data"].iter().chain(arguments).map(OsStr::new);
    let ended = run(folder, all);
    let said = String::from_utf8(ended.stdout).unwrap() + std::str::from_utf8(&ended.stderr).unwrap();
    (said, ended.status.code().unwrap())
}

fn json(said: &str) -> serde_json::Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn what_lies_on_a_medium_is_read_and_counted_by_its_name_or_with_all_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = mounting(&example()).data(folder.path().join("data")).start();
    let (said, code) = verify(folder.path(), &["zenml/zenml:0.93.2"]);
    let name = example().canonicalize().unwrap().display().to_string();
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("everything is whole: "), "{said}");
    assert!(said.contains(&format!("on the mounted `{name}`")), "{said}");
    let (one, code) = verify(folder.path(), &["--json", "zenml/zenml:0.93.2"]);
    assert_eq!(code, 0, "{one}");
    push_image(&mounted.client(), "mine", "v1", &[b"pushed"]);
    let (all, code) = verify(folder.path(), &["--json"]);
    assert_eq!(code, 0, "{all}");
    let (one, all) = (json(&one), json(&all));
    let number = |of: &serde_json::Value, path: &str| of.pointer(path).and_then(serde_json::Value::as_u64).unwrap();
    assert_eq!(one["media"][0]["name"], name);
    assert!(number(&one, "/bytes") > 0 && number(&one, "/bytes") == number(&one, "/media/0/bytes"), "{one}");
    assert!(number(&all, "/media/0/blobs") > number(&one, "/media/0/blobs"), "{all}");
    // Plus the pushed content: a config, a layer and the manifest.
    assert_eq!(number(&all, "/blobs"), number(&all, "/media/0/blobs") + 3, "{all}");
    assert!(mounted.stop().success());
}

#[test]
fn damage_on_a_medium_is_named_with_its_place_and_what_it_breaks_and_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let good = noise(300_000);
    let bad: Vec<u8> = good.iter().rev().copied().collect();
    let mut damaged = bad.clone();
    damaged[1000] ^= 1;
    let path = save(folder.path(), &[(&good, &good), (&damaged, &bad)]);
    let before = std::fs::read(&path).unwrap();
    let mounted = mounting(&path).data(folder.path().join("data")).start();
    for scope in [vec![], vec!["docker.io/library/app:v1"]] {
        let (said, code) = verify(folder.path(), &[&["--remove-damaged"], scope.as_slice()].concat());
        assert_eq!(code, 65, "{said}");
        let offset = before.windows(64).position(|window| window == &damaged[..64]).unwrap();
        let place = format!("damaged: {} in `app.tar` at byte {offset}, of the mounted `", digest(&bad));
        assert!(said.contains(&place), "{said}");
        assert!(said.contains("\n  breaks docker.io/library/app:v1\n"), "{said}");
        assert!(said.contains("nothing of a medium is changed"), "{said}");
        assert!(!said.contains("ingest the bundle again") && !said.contains("was moved"), "{said}");
        let (said, code) = verify(folder.path(), &[&["--json"], scope.as_slice()].concat());
        let said = json(&said);
        assert_eq!((code, &said["damaged"][0]["place"]["offset"]), (65, &serde_json::json!(offset)), "{said}");
        assert_eq!(said["damaged"][0]["place"]["file"], "app.tar");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!folder.path().join("data/damaged").exists());
    assert!(mounted.stop().success());
}

#[test]
fn damage_that_a_second_place_makes_up_for_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(300_000);
    let mut damaged = layer.clone();
    damaged[1000] ^= 1;
    let first = save(folder.path(), &[(&damaged, &layer)]);
    std::fs::rename(&first, first.with_file_name("a.tar")).unwrap();
    let disc = save(folder.path(), &[(&layer, &layer)]).parent().unwrap().to_owned();
    let mounted = mounting(&disc).data(folder.path().join("data")).start();
    let (said, code) = verify(folder.path(), &["--json"]);
    let found = json(&said);
    assert_eq!((code, found["damaged"].as_array().map(Vec::len)), (65, Some(1)), "{said}");
    assert_eq!(found["damaged"][0]["place"]["file"], "disc/a.tar", "{said}");
    assert_eq!(found["damaged"][0]["breaks"], serde_json::json!([]), "{said}");
    assert!(mounted.stop().success());
}

#[test]
fn a_medium_that_is_gone_is_named_and_nothing_is_mounted_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(300_000);
    let path = save(folder.path(), &[(&layer, &layer)]);
    let data = folder.path().join("data");
    let mounted = mounting(&path).data(&data).start();
    std::fs::rename(&path, path.with_extension("aside")).unwrap();
    let (said, code) = verify(folder.path(), &[]);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("it is not there; is the medium still in?"), "{said}");
    assert!(mounted.stop().success());
    let (said, code) = verify(folder.path(), &[]);
    assert!(code == 0 && said.contains("everything is whole: 0 blobs"), "{said}");
    drop(Airdock::over(&data));
}
