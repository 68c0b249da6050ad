//! skopeo's `dir:` folders and the trees of `skopeo sync`.

use testkit::archive::{Files, save_directory, tarred};
use testkit::image::{Remote, image_index};
use testkit::ingest::{World, each_way, failures};

#[test]
fn a_sync_tree_says_names_by_its_folders_and_keeps_digests() {
    let (busybox, app) = (Remote::new(1), Remote::new(2));
    let mut files = Files::new();
    save_directory(&mut files, "busybox:1", &busybox.manifest, &[&busybox]);
    save_directory(&mut files, "registry.example:5000/team/app:v1", &app.manifest, &[&app]);
    save_directory(&mut files, "docker.io/zenmldocker/zenml:0.93.2", &app.manifest, &[&app]);
    for (world, report) in each_way(&files) {
        assert_eq!(report.warnings, []);
        assert_eq!(
            world.tags(),
            [
                format!("busybox:1 {}", busybox.digest()),
                format!("docker.io/zenmldocker/zenml:0.93.2 {}", app.digest()),
                format!("registry.example_5000/team/app:v1 {}", app.digest()),
                format!("zenml/zenml:0.93.2 {}", app.digest()),
            ]
        );
        assert!(report.images.iter().all(|row| row.note.is_none()), "{:?}", report.images);
        assert_eq!(world.manifest("busybox", "1").bytes, busybox.manifest);
    }
}

#[test]
fn a_directory_with_all_platforms_keeps_its_index_and_says_which_are_absent() {
    let (amd, arm) = (Remote::new(1), Remote::new(2));
    let index = image_index(&[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    let mut whole = Files::new();
    save_directory(&mut whole, "app:1", &index, &[&amd, &arm]);
    for (world, report) in each_way(&whole) {
        assert_eq!(world.manifest("app", "1").bytes, index);
        assert_eq!(report.images[0].platforms, ["linux/amd64", "linux/arm64"]);
    }
    let mut sparse = Files::new();
    save_directory(&mut sparse, "app:1", &index, &[&amd]);
    for (world, report) in each_way(&sparse) {
        assert_eq!(world.manifest("app", "1").bytes, index);
        assert_eq!(report.images[0].platforms, ["linux/amd64"]);
        assert_eq!(report.images[0].note.as_deref(), Some("without linux/arm64, which the archive does not hold"));
    }
}

#[test]
fn a_directory_given_itself_goes_by_its_own_name_or_by_digest() {
    let remote = Remote::new(1);
    let mut files = Files::new();
    save_directory(&mut files, "", &remote.manifest, &[&remote]);
    files.insert("signature-1".into(), b"\x00gpg".to_vec());
    files.insert("signature-2".into(), b"\x00gpg".to_vec());
    let world = World::new();
    let report = world.path(&world.files("app:1", &files));
    assert_eq!(world.tags(), [format!("app:1 {}", remote.digest())]);
    assert!(report.images[0].note.as_ref().unwrap().contains("2 signature files"), "{:?}", report.images);
    assert_eq!(report.warnings, []);
    let world = World::new();
    let report = world.path(&world.files("app", &files));
    assert_eq!(report.images[0].state, "by digest");
    assert!(world.try_manifest("untagged", &remote.digest().to_string()).is_some());
}

#[test]
fn a_second_ingest_of_a_directory_reads_no_blob() {
    let remote = Remote::new(1);
    let mut files = Files::new();
    save_directory(&mut files, "app:1", &remote.manifest, &[&remote]);
    let world = World::new();
    let folder = world.files("tree", &files);
    let first = world.path(&folder);
    let again = world.path(&folder);
    assert!(!again.wrote);
    let layer = remote.blobs[1].len() as u64;
    assert!(first.bytes_read > again.bytes_read + layer / 2, "{} then {}", first.bytes_read, again.bytes_read);
}

#[test]
fn a07_a_blob_of_a_directory_that_is_not_what_its_name_says_is_refused() {
    let mut remote = Remote::new(1);
    let mut files = Files::new();
    save_directory(&mut files, "app:1", &remote.manifest, &[&remote]);
    let layer = remote.blobs.pop().unwrap();
    let path = files.iter().find(|(_, content)| **content == layer).map(|(path, _)| path.clone()).unwrap();
    files.get_mut(&path).unwrap()[40] ^= 1;
    let told = World::new().refused("x.tar", &tarred(&files));
    assert!(told.contains("app:1") && told.contains("damaged"), "{told}");
    files.remove(&path);
    let told = World::new().refused("x.tar", &tarred(&files));
    assert!(told.contains("app:1") && told.contains("does not hold"), "{told}");
}

#[test]
fn a_manifest_json_of_another_tool_is_left_out_with_a_warning() {
    let remote = Remote::new(1);
    let mut files = Files::new();
    save_directory(&mut files, "app:1", &remote.manifest, &[&remote]);
    files.insert("web/manifest.json".into(), br#"{"name":"a web page","version":"1"}"#.to_vec());
    let world = World::new();
    let report = world.path(&world.files("tree", &files));
    assert_eq!(failures(&report), "");
    assert!(report.warnings[0].message.contains("describes no image"), "{:?}", report.warnings);
    assert_eq!(world.tags().len(), 1);
}
