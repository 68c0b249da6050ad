//! The documented bundle: a folder, or a tar of it in any compression; and other files in it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use airdock_registry::oci::TagOrDigest;
use airdock_sync::ingest::{Cancel, Event, IngestError, Input, Settings, ingest_until};
use airdock_sync::publish::PublishRules;

use testkit::archive::{chart, save_docker_20, save_docker_26};
use testkit::content::{bzip2, gzip, xz, zstd};
use testkit::image::Image;
use testkit::ingest::{World, failures};
use testkit::tarball::Tarball;

const API: &str = "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api:0.10.1";

fn parts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("bundle/images/zenml-pro-api.tar", save_docker_20(&[Image::new(&[API], &[1, 2])])),
        ("bundle/images/zenml-client.tar", save_docker_26(&[Image::new(&["zenmldocker/zenml:0.93.2"], &[1, 3])])),
        ("bundle/charts/zenml-0.93.2.tgz", chart("zenml", "0.93.2")),
        ("bundle/manifest.txt", b"zenml-pro-api 0.10.1\nzenmldocker/zenml:0.93.2\n".to_vec()),
    ]
}

fn one_tar() -> Vec<u8> {
    parts().iter().fold(Tarball::new().folder("bundle/"), |tar, (path, content)| tar.file(path, content)).end()
}

fn folder(world: &World) -> PathBuf {
    for (path, content) in parts() {
        world.file(path, &content);
    }
    world.folder.path().join("media/bundle")
}

#[test]
fn a06_the_bundle_is_the_same_as_a_folder_a_tar_compressed_or_piped() {
    let world = World::new();
    assert_eq!(failures(&world.path(&folder(&world))), "");
    let expected = world.tags();
    assert_eq!(expected.len(), 7);
    let tar = one_tar();
    // Names do not matter: each file has a misleading one.
    for (name, content) in [
        ("bundle.zip", tar.clone()),
        ("bundle.tar", gzip(&tar)),
        ("bundle.tar.gz", zstd(&tar)),
        ("bundle.zst", xz(&tar)),
        ("bundle.xz", bzip2(&tar)),
        ("bundle", gzip(&zstd(&tar))),
        ("bundle.bz2", bzip2(&xz(&tar))),
    ] {
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&content) } else { world.ingest(name, &content) };
            assert_eq!(failures(&report), "", "{name}");
            assert_eq!(report.warnings, [], "{name}");
            assert_eq!(world.tags(), expected, "{name}, piped: {piped}");
            world.check_whole();
        }
    }
}

#[test]
fn compressed_images_lie_in_compressed_bundles() {
    let image = gzip(&save_docker_26(&[Image::new(&["a:1"], &[1])]));
    let bundle = zstd(&Tarball::new().file("b/images/a.tar", &image).end());
    let world = World::new();
    assert_eq!(failures(&world.ingest("b.tar.zst", &bundle)), "");
    assert_eq!(world.tags().len(), 1);
    let mut shallow = World::new();
    shallow.settings.limits.depth = 2;
    let told = format!("{:?}", shallow.try_ingest("b.tar.zst", &bundle));
    assert!(told.contains("archives within archives") && told.contains("ingest.limits.depth"), "{told}");
}

#[test]
fn the_second_ingest_writes_nothing_says_so_and_reads_only_headers_and_documents() {
    let layer = testkit::content::bytes(1, 4 << 20);
    let image = Image::of_layers(&["a:1"], vec![Tarball::new().file("f", &layer).end()]);
    for archive in [save_docker_20(std::slice::from_ref(&image)), save_docker_26(std::slice::from_ref(&image))] {
        let bundle = Tarball::new().file("b/images/a.tar", &archive).end();
        let world = World::new();
        let first = world.ingest("b.tar", &bundle);
        assert!(first.wrote && first.bytes_read > 4 << 20);
        let second = world.ingest("b.tar", &bundle);
        assert!(!second.wrote);
        assert_eq!(second.images[0].state, "already there");
        assert!(second.bytes_read < 256 * 1024, "{}", second.bytes_read);
        let third = world.pipe(&gzip(&bundle));
        assert!(!third.wrote);
    }
}

#[test]
fn all_bytes_are_told_whether_they_were_read_or_not() {
    let world = World::new();
    let path = folder(&world);
    for _ in 0..2 {
        world.events.borrow_mut().clear();
        world.path(&path);
        let events = world.events.borrow();
        let Event::Started { total_bytes: Some(total) } = events[0] else { panic!("{:?}", events[0]) };
        let advanced = events.iter().map(|event| if let Event::Advanced { bytes } = event { *bytes } else { 0 });
        assert_eq!(advanced.sum::<u64>(), total);
        assert!(matches!(events.last(), Some(Event::Finished(report)) if report.images.len() == 3));
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Item { .. })).count(), 3);
    }
}

#[test]
fn several_inputs_appear_together_or_not_at_all() {
    let mut world = World::new();
    world.settings.strict = true;
    let good = world.file("a.tar", &save_docker_20(&[Image::new(&["a:1"], &[1])]));
    let bad = world.file("b.tar", b"not a tar");
    let paths = |paths: [&PathBuf; 2]| paths.map(|path| Input::Path(path.clone())).into_iter().collect();
    let error = world.try_inputs(paths([&good, &bad])).unwrap_err();
    assert!(matches!(&error, IngestError::Strict { failures } if failures.len() == 1), "{error:?}");
    assert_eq!(world.tags(), Vec::<String>::new());
    world.settings.strict = false;
    let report = world.try_inputs(paths([&bad, &good])).unwrap();
    assert!(failures(&report).contains("b.tar"));
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn manifest_txt_only_warns() {
    let world = World::new();
    let path = folder(&world);
    world.file("bundle/manifest.txt", b"zenml-pro-api:0.10.2\nother/thing:1.0\nzenml 0.93.2\n");
    let report = world.path(&path);
    let warnings: Vec<&str> = report.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("0.10.2") && warnings[1].contains("thing"), "{warnings:?}");
    assert!(report.warnings[0].file.ends_with("bundle/manifest.txt"));
    assert_eq!(report.failures, []);
}

#[test]
fn other_files_of_a_folder_are_left_out_and_links_never_lead_outside() {
    let world = World::new();
    let path = folder(&world);
    world.file("bundle/notes.pdf", b"%PDF");
    world.file("bundle/.hidden", b"x");
    let outside = world.file("outside.tar", &save_docker_20(&[Image::new(&["outside:1"], &[9])]));
    symlink(&outside, path.join("images/outside.tar")).unwrap();
    symlink("zenml-client.tar", path.join("images/inside.tar")).unwrap();
    symlink("..", path.join("images/loop")).unwrap();
    symlink("nowhere", path.join("images/dangling")).unwrap();
    let report = world.path(&path);
    assert_eq!(report.failures, []);
    let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    for (file, cause) in
        [("notes.pdf", "no image"), ("outside.tar", "outside"), ("loop", "folder"), ("dangling", "nothing")]
    {
        assert!(told.iter().any(|line| line.contains(file) && line.contains(cause)), "{file}: {told:?}");
    }
    assert!(world.try_manifest("docker.io/library/outside", "1").is_none());
}

#[test]
fn a_file_that_is_no_archive_is_a_failure_when_its_name_says_otherwise() {
    let world = World::new();
    let path = folder(&world);
    world.file("bundle/images/broken.tar", b"this is text");
    world.file("bundle/images/empty.tar", b"");
    world.file("bundle/images/packed.tar.lz4", b"\x04\x22\x4d\x18");
    let report = world.path(&path);
    let told = failures(&report);
    assert_eq!(report.failures.len(), 3, "{told}");
    for cause in ["broken.tar: damaged", "empty.tar: incomplete: it is empty", "packed.tar.lz4: it is a lz4 file"] {
        assert!(told.contains(cause), "{cause}: {told}");
    }
    assert_eq!(report.images.len(), 3);
    assert!(
        matches!(world.try_ingest("notes.txt", b"text"), Err(IngestError::Nothing { failures }) if failures.len() == 1)
    );
    assert!(matches!(world.try_path(&world.folder.path().join("absent")), Err(IngestError::Nothing { .. })));
}

#[test]
fn one_tag_for_two_images_is_remarked_and_the_last_one_gets_it() {
    let world = World::new();
    let image = |seed| save_docker_20(&[Image::new(&["a:1"], &[seed])]);
    let bundle = Tarball::new().file("1.tar", &image(1)).file("2.tar", &image(2)).end();
    let report = world.ingest("b.tar", &bundle);
    assert!(report.warnings[0].message.contains("docker.io/library/a:1"), "{:?}", report.warnings);
    assert_eq!(world.manifest("docker.io/library/a", "1").bytes, Image::new(&[], &[2]).docker_manifest());
}

#[test]
fn a_tag_that_moves_is_updated_and_says_so() {
    let world = World::new();
    world.ingest("a.tar", &save_docker_20(&[Image::new(&["a:1"], &[1])]));
    let report = world.ingest("b.tar", &save_docker_20(&[Image::new(&["a:1"], &[2])]));
    assert_eq!(report.images[0].state, "updated");
    assert!(report.wrote);
}

#[test]
fn a_pushed_tag_stays_and_is_named() {
    let world = World::new();
    world.ingest("a.tar", &save_docker_20(&[Image::new(&["mine:1"], &[1])]));
    let digest = world.manifest("docker.io/library/mine", "1").digest;
    world.push_tag("docker.io/library/mine", "1", "operator");
    let report = world.ingest("b.tar", &save_docker_20(&[Image::new(&["mine:1"], &[2])]));
    assert_eq!(report.images[0].state, "kept");
    let note = report.images[0].note.as_ref().unwrap();
    assert!(note.contains("docker.io/library/mine:1") && note.contains("pushed by operator"), "{note}");
    assert_eq!(world.manifest("docker.io/library/mine", "1").digest, digest);
}

#[test]
fn a19_two_ingests_of_one_bundle_at_once_both_succeed() {
    let world = World::new();
    let path = folder(&world);
    let runtime = world.within(tokio::runtime::Handle::current);
    let one = || {
        let (registry, path, runtime) = (world.registry.clone(), path.clone(), runtime.clone());
        std::thread::spawn(move || {
            let _runtime = runtime.enter();
            let inputs = vec![Input::Path(path)];
            ingest_until(&Cancel::default(), &registry, &PublishRules::default(), inputs, &Settings::default(), &|_| {})
        })
    };
    for thread in [one(), one()] {
        let report = thread.join().unwrap().unwrap();
        assert_eq!(failures(&report), "");
        assert_eq!(report.images.len(), 3);
    }
    assert_eq!(world.tags().len(), 7);
    world.check_whole();
}

#[test]
fn a19_deletes_beside_an_ingest_leave_every_tag_whole_and_another_ingest_brings_all_of_them() {
    let world = World::new();
    let path = folder(&world);
    world.path(&path);
    let tags = world.tags();
    let runtime = world.within(tokio::runtime::Handle::current);
    let mut deleted = 0;
    for round in 0..20 {
        std::thread::scope(|scope| {
            let ingesting = scope.spawn(|| {
                let _runtime = runtime.enter();
                let (rules, settings) = (PublishRules::default(), Settings::default());
                let inputs = vec![Input::Path(path.clone())];
                ingest_until(&Cancel::default(), &world.registry, &rules, inputs, &settings, &|_| {})
            });
            while !ingesting.is_finished() {
                for line in &tags {
                    let (name, digest) = line.split_once(' ').unwrap();
                    let (repository, tag) = name.rsplit_once(':').unwrap();
                    // Now and then only a tag; deleting a manifest deletes its tags.
                    let reference = if round % 4 == 3 { tag } else { digest };
                    let repository = world.registry.repository(repository.parse().unwrap());
                    let gone = runtime.block_on(repository.delete_manifest(&TagOrDigest::parse(reference).unwrap()));
                    deleted += usize::from(gone.is_ok());
                }
            }
            assert_eq!(failures(&ingesting.join().unwrap().unwrap()), "");
        });
        // The rest is listed, served and complete.
        world.check_whole();
    }
    assert!(deleted > 20, "only {deleted} deletes met anything");
    world.path(&path);
    assert_eq!(world.tags(), tags);
}

#[test]
fn an_ingest_that_is_stopped_leaves_no_tag() {
    let world = World::new();
    let path = folder(&world);
    let cancel = Cancel::default();
    // Cancelled in the middle, when the first image is complete.
    let items = std::cell::Cell::new(0);
    let progress = |event: Event| {
        if matches!(event, Event::Item { .. }) {
            items.set(items.get() + 1);
            cancel.cancel();
        }
    };
    let result = world.within(|| {
        let inputs = vec![Input::Path(path.clone())];
        ingest_until(&cancel, &world.registry, &PublishRules::default(), inputs, &world.settings, &progress)
    });
    assert_eq!(result, Err(IngestError::Cancelled));
    assert_eq!(items.get(), 1, "it reads no further");
    assert_eq!(world.tags(), Vec::<String>::new());
    assert_eq!(failures(&world.path(&path)), "");
}
