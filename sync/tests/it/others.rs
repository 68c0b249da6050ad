//! What bundles hold beside images that have one name: other archives, names that are none, several images of one name.

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{Cancel, IngestError, Input, inventory};

use testkit::archive::{Files, index_of, layout, save_docker_20, save_docker_26, tarred, untarred};
use testkit::content::{gzip, hex};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::Tarball;

#[test]
fn b13_a_whole_archive_of_something_else_in_a_bundle_is_a_warning_and_a_failure_when_given_by_name() {
    let program = Tarball::new().file("bin/rke2", b"\x7fELF").file("LICENSE", b"free").end();
    let image = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    let files = Files::from([
        ("b/images.tar".to_owned(), image),
        ("b/rke2.linux-amd64.tar.gz".to_owned(), gzip(&program)),
        ("b/sboms.tar".to_owned(), program.clone()),
        ("b/database.sql.gz".to_owned(), gzip(b"insert")),
    ]);
    let tar = tarred(&files);
    let mut worlds = [World::new(), World::new(), World::new()];
    worlds.iter_mut().for_each(|world| world.settings.strict = true);
    let reports = [
        worlds[0].path(&worlds[0].files("medium", &files)),
        worlds[1].ingest("medium.tar", &tar),
        worlds[2].pipe(&gzip(&tar)),
    ];
    for (world, report) in worlds.iter().zip(&reports) {
        assert_eq!(failures(report), "");
        assert_eq!(world.tags().len(), 1);
        let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        for name in ["rke2.linux-amd64.tar.gz: left out", "sboms.tar: left out", "database.sql.gz: left out"] {
            assert!(told.iter().any(|line| line.contains(name)), "{name}: {told:?}");
        }
    }
    for (name, content) in [("rke2.tar.gz", gzip(&program)), ("sboms.tar", program), ("x.gz", gzip(b"text"))] {
        let told = World::new().refused(name, &content);
        assert!(told.contains(name), "{told}");
    }
    // What is damaged stays a failure.
    let damaged = Tarball::new().file("images/a.tar.gz", &gzip(b"not a tar")).end();
    assert!(World::new().refused("x.tar", &damaged).contains("damaged"));
}

#[test]
fn b13_the_names_in_a_package_of_zarf_are_those_of_the_base_and_in_no_other_layout() {
    let image = Remote::new(1);
    let base = r#""org.opencontainers.image.base.name":"ghcr.io/stefanprodan/podinfo:6.4.0""#;
    let images = |prefix: &str| layout(prefix, &image.parts(), &index_of(&[(&image.manifest, MANIFEST, base)]));
    let package = images("images/").file("zarf.yaml", b"kind: ZarfPackageConfig\n").end();
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&package) } else { world.ingest("zarf.tar", &package) };
        assert_eq!(failures(&report), "");
        assert_eq!(world.manifest("ghcr.io/stefanprodan/podinfo", "6.4.0").bytes, image.manifest);
    }
    let world = World::new();
    world.ingest("x.tar", &images("images/").end());
    assert_eq!(world.tags(), Vec::<String>::new(), "to others it is the name of another image");
}

#[test]
fn b12_an_id_is_no_name_and_an_image_is_one_row() {
    let image = Remote::of(Image::new(&[], &[1]));
    let (digest, id) = (image.digest(), Algorithm::Sha256.digest(&image.blobs[0]));
    let entry = |name: &str, tag: &str| {
        format!(r#""io.containerd.image.name":"{name}","org.opencontainers.image.ref.name":"{tag}""#)
    };
    let names = [
        entry("docker.io/win/app:1", "1"),
        entry(&format!("docker.io/win/app@{digest}"), &format!("@{digest}")),
        entry(&id.to_string(), &id.to_string()),
    ];
    let entries: Vec<_> = names.iter().map(|names| (image.manifest.as_slice(), MANIFEST, names.as_str())).collect();
    let item = format!(
        r#"[{{"Config":"blobs/sha256/{}","RepoTags":["win/app:1","win/app@{digest}","{id}"],"Layers":["blobs/sha256/{}"]}}]"#,
        id.encoded(),
        hex(&image.blobs[1])
    );
    let export = layout("", &image.parts(), &index_of(&entries)).file("manifest.json", item.as_bytes()).end();
    // The same without the layout's own documents.
    let mut files = untarred(&export);
    files.remove("index.json");
    files.remove("oci-layout");
    let name = format!("blobs/sha256/{}", digest.encoded());
    files.remove(&name);
    for (archive, is_whole) in [(export, true), (tarred(&files), false)] {
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
            let rows: Vec<&str> = report.images.iter().map(|row| row.image.as_str()).collect();
            assert_eq!((failures(&report).as_str(), rows), ("", vec!["docker.io/win/app:1"]), "{is_whole}");
            let note = report.images[0].note.clone().unwrap_or_default();
            assert!(!note.contains("no image reference") && !note.contains("untagged"), "{note}");
            assert_eq!(world.tags().len(), 1);
        }
    }
}

/// An image of one layer for a platform.
fn of_platform(names: &[&str], seed: u64, platform: &str) -> Image {
    let mut image = Image::new(names, &[seed]);
    image.config = String::from_utf8(image.config).unwrap().replace("amd64", platform).into_bytes();
    image
}

#[test]
fn b16_one_name_saved_for_two_platforms_is_one_index_of_both_in_whatever_order_they_come() {
    let (amd, arm) = (of_platform(&["x/multi:1", "x/multi:amd"], 1, "amd64"), of_platform(&["x/multi:1"], 2, "arm64"));
    let saved = [&amd, &arm].map(|image| save_docker_20(std::slice::from_ref(image)));
    let one = Tarball::new().file("b/1.tar", &saved[0]).file("b/2.tar", &saved[1]).end();
    let other = Tarball::new().file("b/1.tar", &saved[1]).file("b/2.tar", &saved[0]).end();
    let mut digests = Vec::new();
    for archive in [one, other] {
        let mut world = World::new();
        world.settings.strict = true;
        let report = world.ingest("b.tar", &archive);
        let index = world.manifest("docker.io/x/multi", "1");
        let text = String::from_utf8(index.bytes.to_vec()).unwrap();
        for image in [&amd, &arm] {
            let digest = Algorithm::Sha256.digest(&image.docker_manifest()).to_string();
            assert!(text.contains(&digest), "{text}");
            assert_eq!(world.manifest("docker.io/x/multi", &digest).bytes, image.docker_manifest());
        }
        assert!(text.contains(r#""platform":{"architecture":"arm64","os":"linux"}"#), "{text}");
        assert_eq!(world.manifest("docker.io/x/multi", "amd").bytes, amd.docker_manifest());
        let row = report.images.iter().find(|row| row.image == "docker.io/x/multi:1").unwrap();
        assert_eq!(
            (row.platforms.as_slice(), report.images.len()),
            (&["linux/amd64", "linux/arm64"].map(String::from)[..], 2)
        );
        assert!(row.note.as_ref().unwrap().contains("index of them was made here"), "{row:?}");
        assert_eq!(report.warnings, []);
        // Signed as it is ingested.
        let inputs = vec![Input::Path(world.folder.path().join("media/b.tar"))];
        let inventory = world.within(|| inventory(inputs, &world.settings, &Cancel::default(), &|_| {})).unwrap();
        assert!(inventory.entries.iter().any(|entry| *entry.digest() == index.digest), "{inventory:?}");
        digests.push(index.digest);
        world.check_whole();
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn b16_one_name_for_two_images_of_one_platform_is_told_with_it_and_refused_by_strict() {
    let saved = [1, 2].map(|seed| save_docker_26(&[of_platform(&["x/app:1"], seed, "arm64")]));
    let bundle = Tarball::new().file("b/1.tar", &saved[0]).file("b/2.tar", &saved[1]).end();
    let mut world = World::new();
    let report = world.ingest("b.tar", &bundle);
    let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].matches("(linux/arm64)").count() == 2, "{told:?}");
    world.settings.strict = true;
    let outcome = world.try_ingest("b.tar", &bundle);
    assert!(matches!(&outcome, Err(IngestError::Strict { failures }) if failures.len() == 1), "{outcome:?}");
    // One image in two forms is no conflict.
    let image = Image::new(&["x/app:2"], &[3]);
    let remote = Remote::of(image.clone());
    let named = r#""io.containerd.image.name":"docker.io/x/app:2""#;
    let original = layout("", &remote.parts(), &index_of(&[(&remote.manifest, MANIFEST, named)])).end();
    let bundle = Tarball::new().file("b/1.tar", &save_docker_20(&[image])).file("b/2.tar", &original).end();
    world.ingest("b.tar", &bundle);
    assert_eq!(world.manifest("docker.io/x/app", "2").bytes, remote.manifest);
}

#[test]
fn d24_the_names_of_one_image_are_bounded_and_told() {
    // Not so many that `index.json` is over its own limit.
    let names: Vec<String> = (0..12_000).map(|at| format!("x/app:v{at}")).collect();
    let image = Image::new(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[1]);
    for archive in [save_docker_20(std::slice::from_ref(&image)), save_docker_26(&[image])] {
        let world = World::new();
        let report = world.ingest("x.tar", &archive);
        assert_eq!(report.images.len(), 1000);
        let note = report.images[0].note.as_ref().unwrap();
        assert!(note.contains("it has more names; only the first 1000 were used"), "{note}");
    }
}
