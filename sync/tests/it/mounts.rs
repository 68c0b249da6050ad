//! Bundles served in place have the content an ingest of them would have, and little of them is read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::IngestError;

use testkit::archive::{
    Files, chart, index_of, layout, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman, tarred,
};
use testkit::content::{gzip, zstd};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::{Tarball, entry};

fn images() -> [Image; 2] {
    [Image::new(&["zenmldocker/zenml:0.93.2", "app:1"], &[1, 2]), Image::new(&["app:2"], &[1, 3])]
}

/// An image layout with one image, its blobs in the order containerd writes.
fn containerd(prefix: &str) -> Tarball {
    let image = Image::new(&[], &[5]);
    let manifest = image.docker_manifest();
    let named = r#""io.containerd.image.name":"ghcr.io/a/b:1""#;
    layout(prefix, &[&manifest, &image.config, &image.layers[0]], &index_of(&[(&manifest, MANIFEST, named)]))
}

#[test]
fn every_dialect_mounted_is_what_an_ingest_of_it_is() {
    let archives = [
        ("docker 20", save_docker_20(&images())),
        ("docker 26", save_docker_26(&images())),
        ("podman", save_podman(&images())),
        ("kaniko", save_kaniko(&images()[0])),
        ("containerd", containerd("").end()),
    ];
    let mut bundle = Tarball::new().file("b/charts/c-1.0.0.tgz", &chart("c", "1.0.0"));
    for (tool, archive) in &archives {
        bundle = bundle.file(&format!("b/images/{tool}.tar"), archive);
        let (ingested, mounted) = (World::new(), World::new());
        let brought = ingested.ingest("x.tar", archive);
        let found = mounted.mount(&mounted.file("x.tar", archive));
        assert_eq!(failures(&found), "", "{tool}");
        assert!(!found.wrote);
        assert_eq!(mounted.tags(), ingested.tags(), "{tool}");
        assert_eq!(found.images, brought.images, "{tool}");
        mounted.check_whole();
    }
    // All of them, tars in a tar, beside a chart and an open layout.
    let bundle = bundle.raw(&containerd("b/layout/").unfinished()).end();
    let (ingested, mounted) = (World::new(), World::new());
    ingested.ingest("b.tar", &bundle);
    assert_eq!(failures(&mounted.mount(&mounted.file("b.tar", &bundle))), "");
    assert_eq!(mounted.tags(), ingested.tags());
    assert!(mounted.try_manifest("charts/c", "1.0.0").is_some());
    mounted.check_whole();
}

#[test]
fn the_example_bundle_is_mounted_unchanged() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/zenml-air-gapped-bundle");
    let (ingested, mounted) = (World::new(), World::new());
    let brought = ingested.path(&example);
    let found = mounted.mount(&example);
    assert_eq!((failures(&found), &found.warnings), (String::new(), &brought.warnings));
    assert_eq!(mounted.tags(), ingested.tags());
    mounted.check_whole();
}

#[test]
fn of_ten_gigabytes_less_than_one_megabyte_is_read() {
    const SIZE: u64 = 10 << 30;
    // The layer is not read, so a hole in the file will do, with any digest.
    let diff_id = Algorithm::Sha256.digest(b"said to be");
    let config =
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
    let manifest = r#"[{"Config":"c.json","RepoTags":["large:1"],"Layers":["l/layer.tar"]}]"#;
    let header = entry(b"l/layer.tar", tar::EntryType::Regular, b"", |header| header.set_size(SIZE));
    let rest = Tarball::new().file("c.json", config.as_bytes()).file("manifest.json", manifest.as_bytes()).end();
    let world = World::new();
    let path = world.file("large.tar", &header);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&rest, header.len() as u64 + SIZE).unwrap();
    let found = world.mount(&path);
    assert_eq!(failures(&found), "");
    assert!(found.bytes_read < 1 << 20, "{}", found.bytes_read);
    assert!(found.images[0].size > SIZE);
    assert!(world.try_manifest("large", "1").is_some());
}

#[test]
fn what_is_compressed_is_refused_and_says_what_to_do() {
    let archive = save_docker_20(&images());
    for (name, packed) in [("x.tar.gz", gzip(&archive)), ("x.tar.zst", zstd(&archive))] {
        let world = World::new();
        let mounted = world.try_mount(&world.file(name, &packed));
        assert!(matches!(mounted, Err(IngestError::Compressed)), "{name}: {mounted:?}");
        assert_eq!(world.tags(), Vec::<String>::new());
    }
    // Beside a valid archive it is reported, and the rest is served.
    let world = World::new();
    let bundle = Tarball::new().file("a.tar.gz", &gzip(&archive)).file("b.tar", &containerd("").end()).end();
    let found = world.mount(&world.file("bundle.tar", &bundle));
    let refused = failures(&found);
    assert!(refused.contains("a.tar.gz") && refused.contains("ingest it instead"), "{refused}");
    assert_eq!(world.tags().len(), 1);
    // In strict mode nothing is.
    let mut world = World::new();
    world.settings.strict = true;
    assert!(matches!(world.try_mount(&world.file("bundle.tar", &bundle)), Err(IngestError::Strict { .. })));
}

#[test]
fn a_pipe_and_a_folder_of_nothing_cannot_be_mounted() {
    let world = World::new();
    let empty = world.file("folder/notes.txt", b"nothing here");
    assert!(matches!(world.try_mount(empty.parent().unwrap()), Err(IngestError::Nothing { .. })));
    assert!(matches!(world.try_mount(std::path::Path::new("/dev/null")), Err(IngestError::Nothing { .. })));
    assert!(matches!(world.try_mount(std::path::Path::new("/no/such")), Err(IngestError::Nothing { .. })));
}

#[test]
fn an_image_whose_layer_has_another_size_fails_alone() {
    let image = Image::new(&[], &[7]);
    let manifest = image.docker_manifest();
    let named = r#""io.containerd.image.name":"ghcr.io/a/bad:1""#;
    let digest = Algorithm::Sha256.digest(&image.layers[0]);
    let index = index_of(&[(&manifest, MANIFEST, named)]);
    let bad = layout("bad/", &[&manifest, &image.config], &index)
        .file(&format!("bad/blobs/sha256/{}", digest.encoded()), &image.layers[0][512..]);
    let world = World::new();
    let found = world.mount(&world.file("x.tar", &bad.raw(&containerd("good/").unfinished()).end()));
    assert!(failures(&found).contains("ghcr.io/a/bad:1"), "{}", failures(&found));
    assert_eq!(world.tags().len(), 1);
    world.check_whole();
}

#[test]
fn a_small_blob_that_was_changed_is_never_given_out() {
    let image = images()[0].clone();
    let mut archive = save_docker_20(std::slice::from_ref(&image));
    let layer = &image.layers[1];
    let at = archive.windows(layer.len()).position(|window| window == layer).unwrap();
    archive[at + 700] ^= 1;
    let world = World::new();
    assert_eq!(failures(&world.mount(&world.file("x.tar", &archive))), "");
    assert_eq!(world.blob("app", &Algorithm::Sha256.digest(layer)), None);
    assert!(world.blob("app", &Algorithm::Sha256.digest(&image.layers[0])).is_some());
}

/// Flips a byte of `layer` inside `archive`.
fn flip(archive: &mut [u8], layer: &[u8]) {
    let at = archive.windows(layer.len()).position(|window| window == layer).unwrap();
    archive[at + layer.len() / 2] ^= 1;
}

#[test]
fn a_layer_in_two_archives_is_served_from_the_undamaged_one() {
    let [one, two] = [Image::new(&["a:1"], &[1, 2]), Image::new(&["b:1"], &[2, 3])];
    type Save = fn(&[Image]) -> Vec<u8>;
    let (plain, packed) = (one.layers[1].clone(), gzip(&one.layers[1]));
    let tools: [(&str, Save, &Vec<u8>); 4] = [
        ("docker 20", save_docker_20, &plain),
        ("docker 26", save_docker_26, &plain),
        ("podman", save_podman, &plain),
        ("kaniko", |images| save_kaniko(&images[0]), &packed),
    ];
    for (tool, save, layer) in tools {
        let digest = Algorithm::Sha256.digest(layer);
        let (mut first, mut second) = (save(std::slice::from_ref(&one)), save(std::slice::from_ref(&two)));
        flip(&mut first, layer);
        for both in [false, true] {
            if both {
                flip(&mut second, layer);
            }
            let files = Files::from([("1.tar".into(), first.clone()), ("2.tar".into(), second.clone())]);
            let (folder, tar) = (World::new(), World::new());
            let archive = tarred(&files);
            assert_eq!(failures(&folder.mount(&folder.files("bundle", &files))), "", "{tool}");
            assert_eq!(failures(&tar.mount(&tar.file("bundle.tar", &archive))), "", "{tool}");
            for world in [folder, tar] {
                for name in ["a", "b"] {
                    let given = world.blob(name, &digest);
                    assert_eq!(given, (!both).then(|| layer.clone()), "{tool}: {name}, both damaged: {both}");
                }
            }
        }
    }
}

#[test]
fn a_blob_in_two_directories_is_served_from_the_undamaged_one() {
    let remote = Remote::new(1);
    let packed = &remote.blobs[1];
    let digest = Algorithm::Sha256.digest(packed);
    let mut files = Files::new();
    for folder in ["a:1", "b:1"] {
        save_directory(&mut files, folder, &remote.manifest, &[&remote]);
    }
    for (damaged, given) in [(["a:1"].as_slice(), Some(packed.clone())), (&["a:1", "b:1"], None)] {
        for folder in damaged {
            let path = format!("{folder}/{}", digest.encoded());
            files.insert(path, packed.iter().map(|byte| byte ^ 1).collect());
        }
        let world = World::new();
        assert_eq!(failures(&world.mount(&world.files("bundle", &files))), "");
        for name in ["a", "b"] {
            assert_eq!(world.blob(name, &digest), given, "{name}");
        }
    }
}

#[test]
fn below_a_protected_prefix_an_ingested_tag_goes_before_that_of_a_medium() {
    let [old, new] = [Image::new(&["zenml/app:1"], &[1]), Image::new(&["zenml/app:1", "zenml/app:new"], &[2])];
    for protected in [false, true] {
        let mut world = World::new();
        if protected {
            world.settings.precedence.protect.push("docker.io/zenml/".into());
        }
        world.ingest("old.tar", &save_docker_26(std::slice::from_ref(&old)));
        let ingested = world.manifest("zenml/app", "1").digest;
        let report = world.mount(&world.file("new.tar", &save_docker_26(std::slice::from_ref(&new))));
        let mounted = world.manifest("zenml/app", "new").digest;
        assert_eq!(world.manifest("zenml/app", "1").digest, if protected { ingested } else { mounted });
        let stays = report.images.iter().any(|row| row.note.as_ref().is_some_and(|note| note.contains("is protected")));
        assert_eq!(stays, protected, "{:?}", report.images);
    }
}
