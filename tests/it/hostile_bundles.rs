//! Bundles whose entries point outside: nothing is written outside the data folder, and nothing outside the bundle is read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tar::EntryType;

use testkit::bundle::save;
use testkit::changes::Changes;
use testkit::process::{command, run, said};
use testkit::tarball::{Tarball, entry};

const SECRET: &[u8] = b"a file outside the bundle";

/// Archives with an honest image in them and something that leads to `outside`, by what that is.
fn archives(outside: &Path, honest: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (secret, fresh) = (outside.join("secret"), outside.join("fresh"));
    let (secret, fresh) = (secret.to_str().unwrap(), fresh.to_str().unwrap());
    let with = |tar: Tarball| tar.file("honest.tar", honest).end();
    let file = |path: &str, content: &[u8]| Tarball::new().file(path, content);
    let link = |kind, path: &str, target: &str| Tarball::new().link(kind, path, target);
    vec![
        ("parent folders", with(file("../../outside/fresh", b"x"))),
        ("parent folders within", with(file("a/../../../outside/fresh", b"x"))),
        ("an absolute path", with(file(fresh, b"x"))),
        ("a hard link", with(link(EntryType::Link, "x.tar", secret))),
        ("a symbolic link", with(link(EntryType::Symlink, "x.tar", secret))),
        ("a device", with(Tarball::new().raw(&entry(b"x", EntryType::Char, b"", |_| {})))),
        ("a file through a link", with(Tarball::new().symlink("dir", "../outside").file("dir/fresh", b"x"))),
        (
            "a layer that is a link",
            with(
                Tarball::new()
                    .symlink("l/layer.tar", "../../outside/secret")
                    .file("c.json", br#"{"rootfs":{"diff_ids":[]}}"#)
                    .file("manifest.json", br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#),
            ),
        ),
    ]
}

#[test]
fn a02_whatever_a_bundle_leads_to_only_the_data_folder_is_changed_and_nothing_outside_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |below: &str| folder.path().join(below);
    fs::create_dir_all(at("outside")).unwrap();
    fs::create_dir_all(at("media/bundle")).unwrap();
    fs::write(at("outside/secret"), SECRET).unwrap();
    save(&at("outside/image.tar"), &["secret:1".to_owned()], &[SECRET]);
    save(&at("honest.tar"), &["honest:1".to_owned()], &[b"layer"]);
    let changes = Changes::make(folder.path());
    let mut media: Vec<(&str, PathBuf)> = Vec::new();
    for (number, (what, archive)) in
        archives(&at("outside"), &fs::read(at("honest.tar")).unwrap()).into_iter().enumerate()
    {
        let path = at(&format!("media/{number}.tar"));
        fs::write(&path, archive).unwrap();
        media.push((what, path));
    }
    fs::copy(at("honest.tar"), at("media/bundle/honest.tar")).unwrap();
    symlink("../../outside/image.tar", at("media/bundle/image.tar")).unwrap();
    symlink("../../outside", at("media/bundle/outside")).unwrap();
    media.push(("links of a folder", at("media/bundle")));
    for (what, medium) in media {
        let data = at("data");
        let mut ingest = command(folder.path());
        ingest.args(["ingest", "--progress", "never", "--data"]).arg(&data).arg(&medium);
        let (output, changed) = changes.of(&mut ingest);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 65)), "{what}: {said}");
        assert!(changed.iter().any(|path| path.starts_with(data.join("incoming"))), "{what}: changes are seen");
        let elsewhere: Vec<_> = changed.iter().filter(|path| !path.starts_with(&data)).collect();
        assert!(elsewhere.is_empty(), "{what}: {elsewhere:?}");
        let inside = changed.iter().all(|path| !path.components().any(|part| part.as_os_str() == ".."));
        assert!(inside, "{what}: {changed:?}");
        let mut outside: Vec<_> =
            fs::read_dir(at("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        outside.sort();
        assert_eq!(outside, ["image.tar", "secret"], "{what}");
        assert_eq!(fs::read(at("outside/secret")).unwrap(), SECRET, "{what}");
        for blob in fs::read_dir(data.join("blobs/sha256")).unwrap() {
            let blob = fs::read(blob.unwrap().path()).unwrap();
            assert!(!blob.windows(SECRET.len()).any(|window| window == SECRET), "{what}: it was read");
        }
        fs::remove_dir_all(data).unwrap();
    }
}

#[test]
fn b19_warnings_are_shown_also_without_progress_and_when_nothing_goes_in() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).unwrap();
    fs::write(bundle.join("notes.md"), "x").unwrap();
    for progress in ["never", "always"] {
        let output = run(folder.path(), ["ingest", "bundle", "--data", "data", "--progress", progress]);
        let told = said(&output, 65);
        assert!(told.contains("warning: ") && told.contains("notes.md: left out"), "{progress}: {told}");
        let told = said(&run(folder.path(), ["inventory", "bundle", "--progress", progress]), 65);
        assert!(told.contains("warning: ") && told.contains("notes.md: left out"), "{progress}: {told}");
    }
    // An inventory that is made has them as well, beside it.
    save(&bundle.join("a.tar"), &["a:1"], &[b"layer"]);
    let output = run(folder.path(), ["inventory", "bundle", "--progress", "never"]);
    assert!(said(&output, 0).contains("notes.md: left out"), "{}", said(&output, 0));
}
