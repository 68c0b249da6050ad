//! Streams, which can be read only once: order, memory, and early ends.

use std::io::Read;

use airdock_registry::oci::Algorithm;

use testkit::archive::{
    Files, index_of, layout, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman, save_storage,
    tarred,
};
use testkit::content::{gzip, zstd};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::Tarball;

/// A stream that returns few bytes at a time.
struct Trickle(std::io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.1);
        self.0.read(&mut out[..count])
    }
}

#[test]
fn the_pieces_a_pipe_comes_in_make_no_difference() {
    let bundle = Tarball::new().file("b/a.tar", &save_docker_20(&[Image::new(&["a:1"], &[1, 2])])).end();
    let mut seen = Vec::new();
    for content in [bundle.clone(), gzip(&bundle), zstd(&bundle)] {
        for step in [1, 7, 511, 4096] {
            let world = World::new();
            let report = world.try_pipe(Trickle(std::io::Cursor::new(content.clone()), step)).unwrap();
            assert_eq!(failures(&report), "");
            seen.push(world.tags());
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a08_the_order_of_entries_makes_no_difference() {
    let image = Image::new(&["a:1"], &[1, 2]);
    let manifest = image.docker_manifest();
    let list = index_of(&[(&manifest, MANIFEST, r#""io.containerd.image.name":"docker.io/library/a:1""#)]);
    let mut files: Vec<(String, Vec<u8>)> = [&manifest, &image.config, &image.layers[0], &image.layers[1]]
        .into_iter()
        .map(|blob| (format!("blobs/sha256/{}", Algorithm::Sha256.digest(blob).encoded()), blob.clone()))
        .collect();
    files.push(("index.json".into(), list));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    for turn in 0..files.len() {
        files.rotate_left(1);
        let archive = files.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content)).end();
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
            assert_eq!(failures(&report), "", "{turn}");
            assert_eq!(world.tags().len(), 1, "{turn}");
        }
    }
}

#[test]
fn a09_an_archive_cut_short_at_any_record_is_incomplete_and_leaves_no_tag() {
    let archive = save_docker_26(&[Image::new(&["a:1"], &[1])]);
    let bundle = Tarball::new().file("b/a.tar", &archive).end();
    let world = World::new();
    for content in [&archive, &bundle] {
        for end in (512..content.len()).step_by(512).chain([content.len() - 1, content.len() - 700]) {
            // A nested one is reported as well, before the end of the outer one is missed.
            let told = world.refused("x.tar", &content[..end]);
            assert!(told.contains("incomplete"), "{end} of {}: {told}", content.len());
        }
    }
    // The complete file then continues from what is there.
    assert_eq!(failures(&world.ingest("x.tar", &bundle)), "");
    world.check_whole();
}

#[test]
fn a09_every_dialect_cut_short_at_any_record_is_incomplete_and_leaves_no_tag() {
    let layer = Tarball::new().file("f", b"small").end();
    let image = Image::of_layers(&["a:1"], vec![layer]);
    let remote = Remote::new(1);
    let list = index_of(&[(&remote.manifest, MANIFEST, r#""io.containerd.image.name":"docker.io/library/a:1""#)]);
    let (mut directory, mut storage) = (Files::new(), Files::new());
    save_directory(&mut directory, "a:1", &remote.manifest, &[&remote]);
    let blobs: Vec<&[u8]> = remote.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut storage, "", "a", &[("1", &remote.manifest)], &[], &blobs);
    let world = World::new();
    for (dialect, archive) in [
        ("docker before 25", save_docker_20(std::slice::from_ref(&image))),
        ("podman", save_podman(std::slice::from_ref(&image))),
        ("kaniko", save_kaniko(&image)),
        ("image layout", layout("", &remote.parts(), &list).end()),
        ("sync tree", tarred(&directory)),
        ("storage", tarred(&storage)),
    ] {
        for end in (512..archive.len()).step_by(512) {
            let told = world.refused("x.tar", &archive[..end]);
            assert!(told.contains("incomplete"), "{dialect}, {end} of {}: {told}", archive.len());
        }
        assert!(World::new().ingest("x.tar", &archive).images.len() == 1, "{dialect}: it is whole otherwise");
    }
}

#[test]
fn a09_a_compressed_archive_cut_short_anywhere_is_incomplete_and_leaves_no_tag() {
    let archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    let world = World::new();
    for content in [gzip(&archive), zstd(&archive)] {
        for end in (20..content.len()).step_by(content.len() / 40).chain([content.len() - 1, content.len() - 8]) {
            let told = world.refused("x.tar.gz", &content[..end]);
            assert!(told.contains("incomplete") || told.contains("damaged"), "{end} of {}: {told}", content.len());
        }
    }
}

#[test]
fn a13_a_declared_size_without_content_ends_at_once() {
    let told = World::new().refused(
        "x.tar",
        &testkit::tarball::entry(b"blobs/huge", tar::EntryType::Regular, b"", |header| header.set_size(200 << 30)),
    );
    assert!(told.contains("incomplete"), "{told}");
}

#[test]
fn a13_a_named_pipe_is_read_as_a_stream() {
    let world = World::new();
    let path = world.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let archive = gzip(&save_docker_20(&[Image::new(&["a:1"], &[1])]));
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || std::fs::write(path, archive).unwrap())
    };
    assert_eq!(failures(&world.path(&path)), "");
    writer.join().unwrap();
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn json_beyond_what_may_be_kept_in_memory_goes_into_the_store_instead() {
    // Ten lists of packages of 3 MiB: more than is kept in memory.
    let lists: Vec<Vec<u8>> = (0..10_u8).map(|n| [&[b'{', b'0' + n][..], &vec![b' '; 3 << 20]].concat()).collect();
    let image = Image::new(&[], &[1]);
    let mut layers = image.layers.clone();
    layers.extend(lists.iter().cloned());
    let manifest = image.manifest_of(&layers, "application/vnd.in-toto+json");
    let index = index_of(&[(&manifest, MANIFEST, r#""io.containerd.image.name":"docker.io/library/a:1""#)]);
    let mut blobs: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    blobs.extend([manifest.as_slice(), &image.config]);
    let world = World::new();
    let report = world.pipe(&layout("", &blobs, &index).end());
    assert_eq!(failures(&report), "");
    world.check_whole();
}

#[test]
fn an_error_of_the_medium_is_told_as_one() {
    struct Bad;
    impl Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    let world = World::new();
    let stream = std::io::Cursor::new(archive[..3000].to_vec()).chain(Bad);
    let told = format!("{:?}", world.try_pipe(stream));
    assert!(told.contains("could not read it") && told.contains("os error 5"), "{told}");
}
