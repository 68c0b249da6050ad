//! Names for content without one, and which of several names wins.

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{IngestError, Naming};

use testkit::archive::{index_of, layout, save_docker_20, save_docker_26, save_kaniko, tarred};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, each_way, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::Tarball;

const REF_NAME: &str = r#""org.opencontainers.image.ref.name""#;

fn named(name: Option<&str>, base: Option<&str>) -> World {
    let mut world = World::new();
    world.settings.naming = Naming::new(name, base).unwrap();
    world
}

/// An archive of one image with these annotations in `index.json` and these `RepoTags` in `manifest.json`.
fn archive(remote: &Remote, annotations: &str, repo_tags: &str) -> Vec<u8> {
    let config = Algorithm::Sha256.digest(&remote.blobs[0]).encoded();
    let layer = Algorithm::Sha256.digest(&remote.blobs[1]).encoded();
    let list =
        format!(r#"[{{"Config":"blobs/sha256/{config}","RepoTags":{repo_tags},"Layers":["blobs/sha256/{layer}"]}}]"#);
    layout("", &remote.parts(), &index_of(&[(&remote.manifest, MANIFEST, annotations)]))
        .file("manifest.json", list.as_bytes())
        .end()
}

#[test]
fn the_first_of_the_names_an_archive_gives_is_used() {
    let remote = Remote::new(1);
    let full = r#""io.containerd.image.name":"ghcr.io/full/name:1""#;
    let reference = format!(r#"{REF_NAME}:"ghcr.io/ref/name:2""#);
    let bare = format!(r#"{REF_NAME}:"v3""#);
    let source = r#""containerd.io/distribution.source.ghcr.io":"source/name""#;
    let base = Some("zenml/base");
    for (annotations, repo_tags, base, expected) in [
        (format!("{full},{bare},{source}"), "null", base, "ghcr.io/full/name:1"),
        (format!("{reference},{source}"), "null", base, "ghcr.io/ref/name:2"),
        (format!("{bare},{source}"), r#"["repo/tags:4"]"#, base, "docker.io/repo/tags:4"),
        (format!("{bare},{source}"), "null", base, "zenml/base:v3"),
        (format!("{bare},{source}"), "null", None, "ghcr.io/source/name:v3"),
        (bare.clone(), "null", Some("registry.example:5000/a"), "registry.example_5000/a:v3"),
        (String::new(), r#"["<none>:<none>","registry:5000/a:v5"]"#, base, "registry_5000/a:v5"),
    ] {
        let world = named(None, base);
        let report = world.ingest("x.tar", &archive(&remote, &annotations, repo_tags));
        assert_eq!(failures(&report), "");
        assert_eq!(world.tags(), [format!("{expected} {}", remote.digest())], "{annotations} {repo_tags}");
    }
}

#[test]
fn a_name_is_given_to_the_one_image_that_has_none() {
    let unnamed = Image::new(&[], &[1]);
    let placeholder = Image::new(&["docker.io/unset-repo/unset-image-name:latest"], &[1]);
    for archive in [save_docker_20(std::slice::from_ref(&unnamed)), save_kaniko(&placeholder)] {
        for (name, expected) in [
            ("zenml/client:1", "zenml/client:1"),
            ("client", "client:latest"),
            ("docker.io/alpine:3", "docker.io/library/alpine:3"),
            ("registry.example:5000/a/b", "registry.example_5000/a/b:latest"),
        ] {
            let world = named(Some(name), None);
            let report = world.ingest("x.tar", &archive);
            assert_eq!(failures(&report), "");
            assert_eq!(world.tags().len(), 1);
            assert!(world.tags()[0].starts_with(&format!("{expected} ")), "{:?}", world.tags());
            assert!(!format!("{report:?}").contains("untagged"), "{report:?}");
        }
    }
    // With a digest it has no tag.
    let digest = Algorithm::Sha256.digest(&unnamed.docker_manifest());
    let world = named(Some(&format!("zenml/client@{digest}")), None);
    world.ingest("x.tar", &save_docker_20(std::slice::from_ref(&unnamed)));
    assert!(world.try_manifest("zenml/client", &digest.to_string()).is_some());
    assert_eq!(world.tags(), Vec::<String>::new());
}

#[test]
fn a_name_for_several_images_is_refused_with_each_of_them_and_one_for_none_is_told() {
    let images = [Image::new(&[], &[1]), Image::new(&[], &[2]), Image::new(&["a:1"], &[3])];
    let world = named(Some("zenml/client:1"), None);
    let Err(error) = world.try_ingest("x.tar", &save_docker_20(&images)) else { panic!("it went in") };
    let told = error.to_string();
    assert!(matches!(error, IngestError::Unnamed { ref images } if images.len() == 2), "{told}");
    for image in &images[..2] {
        assert!(told.contains(&Algorithm::Sha256.digest(&image.docker_manifest()).to_string()), "{told}");
    }
    assert_eq!(world.tags(), Vec::<String>::new());
    let report = world.ingest("y.tar", &save_docker_20(&images[2..]));
    assert!(report.warnings[0].message.contains("says its own name"), "{:?}", report.warnings);
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn names_that_are_none_are_refused_before_anything_is_read() {
    for bad in ["", "a b", "../x", "a:", "a@sha256:1", "A/b", ":1"] {
        assert!(Naming::new(Some(bad), None).is_err(), "{bad}");
        assert!(Naming::new(None, Some(bad)).is_err(), "{bad}");
    }
    assert!(Naming::new(None, Some("zenml/base:1")).unwrap_err().to_string().contains("has a tag"));
}

#[test]
fn a10_a_reference_by_digest_alone_goes_in_without_a_tag() {
    let remote = Remote::new(1);
    let annotations = format!(r#""io.containerd.image.name":"registry.example:5000/a/b@{}""#, remote.digest());
    let world = World::new();
    let report = world.ingest("x.tar", &archive(&remote, &annotations, "null"));
    assert_eq!(report.images[0].state, "by digest");
    assert!(world.try_manifest("registry.example_5000/a/b", &remote.digest().to_string()).is_some());
    assert_eq!(world.tags(), Vec::<String>::new());
}

#[test]
fn a11_of_two_records_of_one_image_the_one_with_the_registry_s_digest_gets_the_tag_in_any_order() {
    let remote = Remote::new(1);
    let image = Image::new(&["ghcr.io/a/b:1"], &[1]);
    let original = layout(
        "",
        &remote.parts(),
        &index_of(&[(&remote.manifest, MANIFEST, r#""io.containerd.image.name":"ghcr.io/a/b:1""#)]),
    )
    .end();
    for lost in [save_docker_20(std::slice::from_ref(&image)), save_docker_26(std::slice::from_ref(&image))] {
        for (first, second) in [(&lost, &original), (&original, &lost)] {
            let bundle = Tarball::new().file("b/1.tar", first).file("b/2.tar", second).end();
            for piped in [false, true] {
                let world = World::new();
                let report = if piped { world.pipe(&bundle) } else { world.ingest("b.tar", &bundle) };
                assert_eq!(failures(&report), "");
                assert_eq!(world.tags(), [format!("ghcr.io/a/b:1 {}", remote.digest())]);
                assert!(report.warnings[0].message.contains("keeps the registry's digest"), "{:?}", report.warnings);
                let lost = report.images.iter().find(|row| row.digest != remote.digest().to_string()).unwrap();
                assert_eq!(lost.state, "by digest");
                assert!(lost.note.as_ref().unwrap().contains("lost the registry's digest"), "{lost:?}");
            }
        }
    }
}

#[test]
fn a_directory_without_a_version_in_its_name_takes_the_name_that_is_given() {
    let remote = Remote::new(1);
    let mut files = testkit::archive::Files::new();
    testkit::archive::save_directory(&mut files, "images/app", &remote.manifest, &[&remote]);
    for (_, report) in each_way(&files) {
        assert_eq!(report.images[0].state, "by digest");
    }
    let world = named(Some("zenml/app:1"), None);
    world.ingest("x.tar", &tarred(&files));
    assert_eq!(world.tags(), [format!("zenml/app:1 {}", remote.digest())]);
}
