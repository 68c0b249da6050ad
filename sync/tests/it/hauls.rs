//! hauler's hauls: an image layout whose `index.json` has hauler's own annotations. Made by hand after hauler's source
//! (`pkg/consts`, `pkg/store`, `store save`), because hauler cannot build one without a network.

use airdock_registry::oci::{Algorithm, MediaType};

use testkit::archive::{chart, index_of, layout};
use testkit::content::zstd;
use testkit::image::Remote;
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;

fn annotations(kind: &str, name: &str, full: Option<&str>) -> String {
    let full = full.map(|full| format!(r#","io.containerd.image.name":"{full}""#)).unwrap_or_default();
    format!(r#""kind":"{kind}","org.opencontainers.image.ref.name":"{name}"{full}"#)
}

/// An artifact of one layer, as hauler makes it of a chart or a file.
fn artifact(config_type: &str, config: &[u8], layer_type: &str, layer: &[u8]) -> Vec<u8> {
    testkit::manifest::artifact((config_type, config), (layer_type, layer)).into_bytes()
}

/// A haul, with these kinds, and with names as that version writes them.
fn haul(prefix: &str, with_full_names: bool, index_name: &str) -> (Remote, Vec<u8>, Vec<u8>, Vec<u8>) {
    let image = Remote::new(1);
    let packed = chart("rancher", "2.8.5");
    let config = br#"{"name":"rancher","version":"2.8.5","apiVersion":"v2"}"#;
    let helm = artifact(MediaType::HELM_CONFIG, config, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", &packed);
    let file = artifact(
        "application/vnd.content.hauler.file.local.config.v1+json",
        b"{}",
        "application/vnd.content.hauler.file.layer.v1",
        b"#!/bin/sh",
    );
    let signature = artifact(
        "application/vnd.oci.image.config.v1+json",
        b"{ }",
        "application/vnd.dev.cosign.simplesigning.v1+json",
        b"sig",
    );
    let kind = |kind: &str| format!("{prefix}/{kind}");
    let full = with_full_names.then_some("ghcr.io/a/b:1");
    let index = index_of(&[
        (&signature, MANIFEST, &annotations(&kind("sigs"), "a/b:1", full)),
        (&image.manifest, MANIFEST, &annotations(&kind("image"), "a/b:1", full)),
        (&helm, MANIFEST, &annotations(&kind("image"), "hauler/rancher:2.8.5", None)),
        (&file, MANIFEST, &annotations(&kind("image"), "hauler/install.sh:latest", None)),
    ]);
    let mut parts = image.parts();
    parts.extend([&helm[..], config, &packed, &file, b"{}", b"#!/bin/sh", &signature, b"{ }", b"sig"]);
    // Names without hosts, and content that is not an image.
    let blob = |content: &[u8]| format!("blobs/sha256/{}", Algorithm::Sha256.digest(content).encoded());
    let list = format!(
        r#"[{{"Config":"{}","RepoTags":["a/b:1"],"Layers":["{}"]}},{{"Config":"{}","RepoTags":["hauler/rancher:2.8.5"],"Layers":["{}"]}}]"#,
        blob(&image.blobs[0]),
        blob(&image.blobs[1]),
        blob(config),
        blob(&packed)
    );
    let mut tar = layout("", &parts, &index);
    if index_name != "index.json" {
        // For containerd, `index.json` lists images only.
        let images = index_of(&[(&image.manifest, MANIFEST, &annotations(&kind("image"), "a/b:1", full))]);
        tar = layout("", &parts, &images).file(index_name, &index);
    }
    let archive = tar.file("manifest.json", list.as_bytes()).file("store.json", br#"{"store-id":"1"}"#).end();
    (image, file, signature, archive)
}

#[test]
fn a_haul_gives_images_charts_files_and_signatures_each_under_its_own_name() {
    for (prefix, index_name) in
        [("dev.hauler", "index.json"), ("dev.cosignproject.cosign", "index.json"), ("dev.hauler", "hauler-index.json")]
    {
        let (image, file, signature, archive) = haul(prefix, true, index_name);
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&zstd(&archive)) } else { world.ingest("haul.tar", &archive) };
            assert_eq!(failures(&report), "");
            assert_eq!(report.warnings, []);
            let names: Vec<String> = world.tags().iter().map(|line| line.split(' ').next().unwrap().into()).collect();
            let tag = format!("sha256-{}.sig", image.digest().encoded());
            assert_eq!(
                names,
                [
                    "charts/rancher:2.8.5".to_owned(),
                    "ghcr.io/a/b:1".into(),
                    format!("ghcr.io/a/b:{tag}"),
                    "hauler/install.sh:latest".into()
                ]
            );
            assert_eq!(world.manifest("ghcr.io/a/b", "1").bytes, image.manifest);
            assert_eq!(world.manifest("ghcr.io/a/b", &tag).bytes, signature);
            assert_eq!(world.manifest("hauler/install.sh", "latest").bytes, file);
            world.check_whole();
        }
    }
}

#[test]
fn an_old_haul_without_hosts_gives_names_as_they_stand() {
    let (image, _, _, archive) = haul("dev.cosignproject.cosign", false, "index.json");
    let world = World::new();
    let report = world.ingest("haul.tar", &archive);
    assert_eq!(failures(&report), "");
    assert_eq!(world.manifest("a/b", "1").bytes, image.manifest);
    assert!(world.try_manifest("docker.io/a/b", "1").is_none());
}

#[test]
fn a_signature_of_one_platform_goes_beside_the_digest_that_is_told() {
    let (image, other) = (Remote::new(1), Remote::new(2));
    let signature = artifact("a/b", b"{}", "c/d", b"sig");
    let subject = format!(
        r#"{},"hauler.dev/subject-digest":"{}""#,
        annotations("dev.hauler/sigs/1", "a/b:1", Some("ghcr.io/a/b:1")),
        other.digest()
    );
    let index = testkit::image::image_index(&[(&other, "linux/amd64"), (&image, "linux/arm64")]);
    let list = index_of(&[
        (&index, testkit::manifest::INDEX, &annotations("dev.hauler/imageIndex", "a/b:1", Some("ghcr.io/a/b:1"))),
        (&signature, MANIFEST, &subject),
    ]);
    let mut parts = image.parts();
    parts.extend(other.parts());
    parts.extend([&index[..], &signature, b"{}", b"sig"]);
    let world = World::new();
    let report = world.ingest("haul.tar", &layout("", &parts, &list).end());
    assert_eq!(failures(&report), "");
    let tag = format!("sha256-{}.sig", other.digest().encoded());
    assert_eq!(world.manifest("ghcr.io/a/b", &tag).bytes, signature);
}
