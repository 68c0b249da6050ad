//! Bundles whose entries point outside: nothing is written outside the data folder, and nothing outside the bundle is read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::support::bundle::{append, save};
use crate::support::changes::Changes;
use crate::support::process::command;

const SECRET: &[u8] = b"a file outside the bundle";

/// Adds an entry that no library would write.
fn entry(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: EntryType, target: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

/// Archives with a valid image and one entry that points to `outside`, each with a description of that entry.
fn archives(outside: &Path, honest: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (secret, fresh) = (outside.join("secret"), outside.join("fresh"));
    let (secret, fresh) = (secret.to_str().unwrap(), fresh.to_str().unwrap());
    let with = |add: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar);
        append(&mut tar, "honest.tar", honest);
        tar.into_inner().unwrap()
    };
    let file = EntryType::Regular;
    vec![
        ("parent folders", with(&|tar| entry(tar, "../../outside/fresh", file, "", b"x"))),
        ("parent folders within", with(&|tar| entry(tar, "a/../../../outside/fresh", file, "", b"x"))),
        ("an absolute path", with(&|tar| entry(tar, fresh, file, "", b"x"))),
        ("a hard link", with(&|tar| entry(tar, "x.tar", EntryType::Link, secret, b""))),
        ("a symbolic link", with(&|tar| entry(tar, "x.tar", EntryType::Symlink, secret, b""))),
        ("a device", with(&|tar| entry(tar, "x", EntryType::Char, "", b""))),
        (
            "a file through a link",
            with(&|tar| {
                entry(tar, "dir", EntryType::Symlink, "../outside", b"");
                entry(tar, "dir/fresh", file, "", b"x");
            }),
        ),
        (
            "a layer that is a link",
            with(&|tar| {
                entry(tar, "l/layer.tar", EntryType::Symlink, "../../outside/secret", b"");
                append(tar, "c.json", br#"{"rootfs":{"diff_ids":[]}}"#);
                append(tar, "manifest.json", br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#);
            }),
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
