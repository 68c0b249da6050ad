//! An ingest that was cancelled halfway continues where it was: from a seekable medium, blobs that are in already are not
//! read again.

use std::path::{Path, PathBuf};

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{Cancel, Event, IngestError, Input, ingest_until};
use airdock_sync::publish::PublishRules;

use testkit::archive::{
    Files, index_of, layout, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman, save_storage,
    tarred,
};
use testkit::content::bytes;
use testkit::image::{Image, Remote, layer};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::Tarball;

/// Larger than a step of the progress, so that an ingest can be cancelled within it.
const LAYER: usize = 2 << 20;

fn image() -> Image {
    Image::of_layers(&["ghcr.io/a/b:1"], (1..=10).map(|seed| layer("f", &bytes(seed, LAYER))).collect())
}

/// Every dialect in a seekable form: its name and its path in `world`.
fn dialects(world: &World) -> Vec<(&'static str, PathBuf)> {
    let (image, remote) = (image(), Remote::of(image()));
    let one = std::slice::from_ref(&image);
    let named = r#""io.containerd.image.name":"ghcr.io/a/b:1""#;
    let list = index_of(&[(&remote.manifest, MANIFEST, named)]);
    let blobs: Vec<&[u8]> = remote.blobs.iter().map(Vec::as_slice).collect();
    let (mut directory, mut storage, mut open) = (Files::new(), Files::new(), Files::new());
    save_directory(&mut directory, "ghcr.io/a/b:1", &remote.manifest, &[&remote]);
    save_storage(&mut storage, "docker/registry/v2/", "a/b", &[("1", &remote.manifest)], &[], &blobs);
    for part in remote.parts() {
        open.insert(format!("blobs/sha256/{}", Algorithm::Sha256.digest(part).encoded()), part.to_vec());
    }
    open.insert("index.json".into(), list.clone());
    open.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    vec![
        ("docker before 25", world.file("docker_20.tar", &save_docker_20(one))),
        ("docker from 25 on", world.file("docker_26.tar", &save_docker_26(one))),
        ("podman", world.file("podman.tar", &save_podman(one))),
        ("kaniko", world.file("kaniko.tar", &save_kaniko(&image))),
        ("image layout", world.file("layout.tar", &layout("", &remote.parts(), &list).end())),
        ("folder of an image layout", world.files("layout", &open)),
        ("sync tree", world.files("directory", &directory)),
        ("sync tree in a tar", world.file("directory.tar", &tarred(&directory))),
        ("storage", world.files("storage", &storage)),
        ("storage in a tar", world.file("storage.tar", &tarred(&storage))),
        ("bundle", world.file("bundle.tar", &Tarball::new().file("b/images/a.tar", &save_docker_20(one)).end())),
    ]
}

/// The bytes of all blobs in the store.
fn stored(world: &World) -> u64 {
    let blobs = world.folder.path().join("data/blobs/sha256");
    let Ok(entries) = std::fs::read_dir(blobs) else { return 0 };
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn size(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().unwrap().len();
    }
    std::fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
}

#[test]
fn a09_an_ingest_that_was_stopped_halfway_reads_nothing_twice() {
    let media = World::new();
    for (dialect, path) in dialects(&media) {
        let world = World::new();
        let cancel = Cancel::default();
        // Half of the layers; several may be in progress.
        let told = std::cell::Cell::new(0);
        let progress = |event: Event| {
            if let Event::Advanced { bytes } = event {
                told.set(told.get() + bytes);
                if told.get() > 5 * LAYER as u64 {
                    cancel.cancel();
                }
            }
        };
        let inputs = vec![Input::Path(path.clone())];
        let rules = PublishRules::default();
        let stopped =
            world.within(|| ingest_until(&cancel, &world.registry, &rules, inputs, &world.settings, &progress));
        assert!(matches!(stopped, Err(IngestError::Cancelled)), "{dialect}: {stopped:?}");
        assert_eq!(world.tags(), Vec::<String>::new(), "{dialect}");
        let (there, whole) = (stored(&world), size(&path));
        assert!(there >= LAYER as u64 && there < whole - LAYER as u64, "{dialect}: {there} of {whole} bytes");

        let report = world.path(&path);
        assert_eq!(failures(&report), "", "{dialect}");
        world.check_whole();
        let left = whole - there;
        // Headers and documents are read again, and the first bytes of layers.
        let spare = 256 * 1024;
        assert!(report.bytes_read <= left + spare, "{dialect}: {} read of {left} left", report.bytes_read);
        let again = world.path(&path);
        assert!(!again.wrote && again.bytes_read <= spare, "{dialect}: {} read once more", again.bytes_read);
    }
}
