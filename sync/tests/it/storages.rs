//! The storage of a registry, as a folder and in archives.

use testkit::archive::{Files, save_storage, tarred};
use testkit::image::{Remote, image_index, referrer};
use testkit::ingest::{World, each_way, failures};

const V2: &str = "docker/registry/v2/";

#[test]
fn every_tag_of_every_repository_comes_in_as_it_stands() {
    let (app, other) = (Remote::new(1), Remote::new(2));
    for root in [V2, "oc-mirror/docker/registry/v2/", ""] {
        let mut files = Files::new();
        let tags = [("1", app.manifest.as_slice()), ("latest", &app.manifest), ("2", &other.manifest)];
        let blobs: Vec<&[u8]> = app.blobs.iter().chain(&other.blobs).map(Vec::as_slice).collect();
        save_storage(&mut files, root, "team/app", &tags, &[], &blobs);
        save_storage(&mut files, root, "registry.example/a", &[("1", &other.manifest)], &[], &blobs);
        for (world, report) in each_way(&files) {
            assert_eq!(report.warnings, [], "{root}");
            assert_eq!(
                world.tags(),
                [
                    format!("registry.example/a:1 {}", other.digest()),
                    format!("team/app:1 {}", app.digest()),
                    format!("team/app:2 {}", other.digest()),
                    format!("team/app:latest {}", app.digest()),
                ],
                "{root}"
            );
        }
    }
}

#[test]
fn what_has_no_tag_comes_in_by_its_digest_and_what_an_index_lists_only_with_it() {
    let (amd, arm, old) = (Remote::new(1), Remote::new(2), Remote::new(3));
    let index = image_index(&[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    let signature = referrer(&amd);
    let mut files = Files::new();
    let mut blobs: Vec<&[u8]> = [&amd, &arm, &old].iter().flat_map(|remote| &remote.blobs).map(Vec::as_slice).collect();
    blobs.push(b"{}");
    let revisions = [amd.manifest.as_slice(), &arm.manifest, &old.manifest, &signature];
    save_storage(&mut files, V2, "team/app", &[("1", &index)], &revisions, &blobs);
    for (world, report) in each_way(&files) {
        assert_eq!(world.tags().len(), 1);
        assert_eq!(world.manifest("team/app", "1").bytes, index);
        for manifest in [&old.manifest, &signature, &amd.manifest] {
            let digest = airdock_registry::oci::Algorithm::Sha256.digest(manifest).to_string();
            assert_eq!(world.manifest("team/app", &digest).bytes, manifest);
        }
        let states: Vec<&str> = report.images.iter().map(|row| row.state.as_str()).collect();
        assert_eq!(states, ["new", "by digest", "by digest"]);
    }
}

#[test]
fn an_untagged_manifest_without_its_blobs_is_told_and_a_tagged_one_is_refused() {
    let (app, gone) = (Remote::new(1), Remote::new(2));
    let mut files = Files::new();
    let blobs: Vec<&[u8]> = app.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut files, V2, "app", &[("1", &app.manifest)], &[&gone.manifest], &blobs);
    for (world, report) in each_way(&files) {
        assert_eq!(world.tags().len(), 1);
        assert!(report.warnings[0].message.contains(&gone.digest().to_string()), "{:?}", report.warnings);
    }
    save_storage(&mut files, V2, "app", &[("2", &gone.manifest)], &[], &[]);
    let world = World::new();
    let report = world.ingest("x.tar", &tarred(&files));
    assert!(failures(&report).contains("app:2"), "{report:?}");
    assert_eq!(world.tags(), [format!("app:1 {}", app.digest())]);
}

#[test]
fn links_that_lead_nowhere_are_refused_by_name() {
    let app = Remote::new(1);
    let mut files = Files::new();
    let blobs: Vec<&[u8]> = app.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut files, V2, "app", &[("1", &app.manifest), ("2", &app.manifest)], &[], &blobs);
    files.insert(format!("{V2}repositories/app/_manifests/tags/2/current/link"), b"no digest".to_vec());
    files.insert(format!("{V2}repositories/app/_manifests/tags/t t/current/link"), b"sha256:1".to_vec());
    files.insert(format!("{V2}repositories/App/_manifests/tags/1/current/link"), b"sha256:1".to_vec());
    let world = World::new();
    let report = world.ingest("x.tar", &tarred(&files));
    let told = failures(&report);
    assert!(told.contains("app:2") && told.contains("no digest") && told.contains("app:t t"), "{told}");
    assert!(told.contains("App"), "{told}");
    assert_eq!(world.tags(), [format!("app:1 {}", app.digest())]);
}

#[test]
fn a07_a_blob_of_a_storage_that_is_not_what_its_name_says_is_refused() {
    let app = Remote::new(1);
    let mut files = Files::new();
    let blobs: Vec<&[u8]> = app.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut files, V2, "app", &[("1", &app.manifest)], &[], &blobs);
    files.values_mut().filter(|content| **content == app.blobs[1]).for_each(|content| content[40] ^= 1);
    let told = World::new().refused("x.tar", &tarred(&files));
    assert!(told.contains("app:1") && told.contains("damaged"), "{told}");
}

#[test]
fn a_second_ingest_of_a_storage_reads_no_blob() {
    let app = Remote::new(1);
    let mut files = Files::new();
    let blobs: Vec<&[u8]> = app.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut files, V2, "app", &[("1", &app.manifest)], &[], &blobs);
    let world = World::new();
    let folder = world.files("tree", &files);
    let (first, again) = (world.path(&folder), world.path(&folder));
    assert!(!again.wrote);
    let layer = app.blobs[1].len() as u64;
    assert!(first.bytes_read > again.bytes_read + layer / 2, "{} then {}", first.bytes_read, again.bytes_read);
}
