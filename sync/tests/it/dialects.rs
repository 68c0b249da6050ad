//! Every dialect of `docker save`, and that an image is the same image whichever tool saved it.

use airdock_registry::oci::Algorithm;

use testkit::archive::{save_docker_20, save_docker_26, save_kaniko, save_podman};
use testkit::content::{bzip2, gzip, xz, zstd};
use testkit::image::Image;
use testkit::ingest::{World, failures};
use testkit::tarball::Tarball;

const NAME: &str = "zenmldocker/zenml:0.93.2";

#[test]
fn docker_20_docker_26_and_podman_give_the_manifest_docker_26_writes() {
    let image = Image::new(&[NAME], &[1, 2]);
    let expected = image.docker_manifest();
    for (tool, archive) in [
        ("docker 20", save_docker_20(std::slice::from_ref(&image))),
        ("docker 26", save_docker_26(std::slice::from_ref(&image))),
        ("podman", save_podman(std::slice::from_ref(&image))),
    ] {
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
            assert_eq!(report.failures, [], "{tool}");
            let served = world.manifest("docker.io/zenmldocker/zenml", "0.93.2");
            assert_eq!(served.bytes, expected, "{tool}");
            assert_eq!(world.manifest("zenml/zenml", "0.93.2").digest, served.digest, "{tool}");
            assert_eq!(report.images[0].image, "docker.io/zenmldocker/zenml:0.93.2", "{tool}");
            assert_eq!(report.images[0].internal, ["zenml/zenml:0.93.2"], "{tool}");
            assert_eq!(report.images[0].platforms, ["linux/amd64"], "{tool}");
            assert!(report.images[0].note.as_ref().unwrap().contains("lost the registry's digest"), "{tool}");
            world.check_whole();
        }
    }
}

#[test]
fn a10_several_images_share_layers_that_are_linked_and_stored_once() {
    let images = [
        Image::new(&["alpine:3", "registry.example:5000/a/alpine:3.1"], &[1, 2]),
        Image::new(&["app:latest"], &[1, 3]),
        // One layer twice in one image.
        Image::new(&["twice"], &[4, 4]),
    ];
    for archive in [save_docker_20(&images), save_docker_26(&images), save_podman(&images)] {
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
            assert_eq!(report.failures, []);
            let names: Vec<String> =
                world.tags().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
            assert_eq!(
                names,
                [
                    "docker.io/library/alpine:3",
                    "docker.io/library/app:latest",
                    "docker.io/library/twice:latest",
                    "registry.example_5000/a/alpine:3.1",
                ]
            );
            world.check_whole();
        }
    }
}

#[test]
fn a10_an_untagged_image_goes_in_by_digest_and_is_told() {
    for names in ["null", "[]", "[\"<none>:<none>\"]"] {
        let image = Image::new(&[], &[1]);
        let text = format!(r#"[{{"Config":"c.json","RepoTags":{names},"Layers":["l/layer.tar"]}}]"#);
        let archive = Tarball::new()
            .file("c.json", &image.config)
            .file("l/layer.tar", &image.layers[0])
            .file("manifest.json", text.as_bytes());
        let world = World::new();
        let report = world.ingest("x.tar", &archive.end());
        let row = &report.images[0];
        assert_eq!(row.state, "by digest");
        assert!(row.note.as_ref().unwrap().contains("no name"), "{row:?}");
        assert_eq!(world.manifest("untagged", &row.digest).bytes, image.docker_manifest());
        assert_eq!(world.tags(), Vec::<String>::new());
    }
}

#[test]
fn a11_an_archive_that_lost_the_registry_s_digest_is_reported_with_the_new_one_and_what_that_breaks() {
    let image = Image::new(&["ghcr.io/a/b:1"], &[1]);
    let digest = Algorithm::Sha256.digest(&image.docker_manifest()).to_string();
    for archive in [save_docker_20, save_docker_26, save_podman].map(|save| save(std::slice::from_ref(&image))) {
        let world = World::new();
        let report = world.ingest("x.tar", &archive);
        let row = &report.images[0];
        assert_eq!(row.digest, digest);
        assert_eq!(world.manifest("ghcr.io/a/b", "1").digest.to_string(), digest, "what is reported is served");
        let note = row.note.as_ref().unwrap();
        assert!(note.contains("lost the registry's digest") && note.contains("pins by `@sha256:`"), "{note}");
    }
}

#[test]
fn docker_26_leaves_untagged_images_out_of_its_index_and_they_still_go_in() {
    let images = [Image::new(&["app:1"], &[1]), Image::new(&[], &[2])];
    let world = World::new();
    let report = world.ingest("x.tar", &save_docker_26(&images));
    assert_eq!(report.images.len(), 2);
    let digest = Algorithm::Sha256.digest(&images[1].docker_manifest()).to_string();
    assert!(world.try_manifest("untagged", &digest).is_some());
    assert!(world.try_manifest("docker.io/library/app", "1").is_some());
}

#[test]
fn kaniko_and_crane_layers_stay_compressed_and_are_checked_against_the_config() {
    let image = Image::new(&["registry.example/a/b:1"], &[1, 2]);
    let packed: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    for piped in [false, true] {
        let world = World::new();
        let archive = save_kaniko(&image);
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(report.failures, []);
        let expected = image.manifest_of(&packed, "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(world.manifest("registry.example/a/b", "1").bytes, expected);
        world.check_whole();
        // The second time, none of the layers is needed.
        let again = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert!(!again.wrote);
    }
    let mut other = image.clone();
    other.layers[1] = Image::new(&[], &[9]).layers[0].clone();
    let world = World::new();
    let told = world.refused("x.tar", &save_kaniko(&other));
    assert!(told.contains("expected"), "{told}");
    // Its layers may be here by now under the digests in their names. They still do not belong to this image.
    let again = world.refused("x.tar", &save_kaniko(&other));
    assert_eq!(again, told);
}

#[test]
fn a_layer_s_compression_is_told_by_its_bytes_and_not_by_its_name() {
    let image = Image::new(&["a:1"], &[1]);
    for (packed, kind) in
        [(gzip(&image.layers[0]), "+gzip"), (zstd(&image.layers[0]), "+zstd"), (image.layers[0].clone(), "")]
    {
        let item = br#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["0.tar.xz"]}]"#;
        let archive = Tarball::new()
            .file("config.json", &image.config)
            .file("0.tar.xz", &packed)
            .file("manifest.json", item)
            .end();
        let world = World::new();
        let report = world.ingest("x.tar", &archive);
        assert_eq!(report.failures, []);
        assert_eq!(report.warnings, [], "a config under any name is a part of its image");
        let served = String::from_utf8(world.manifest("docker.io/library/a", "1").bytes.to_vec()).unwrap();
        assert!(served.contains(&format!("application/vnd.oci.image.layer.v1.tar{kind}\"")), "{served}");
        world.check_whole();
    }
}

#[test]
fn a_layer_packed_as_no_layer_may_be_is_named_with_its_compression_and_the_cure() {
    let (image, good) = (Image::new(&["a:1"], &[1, 2]), Image::new(&["good:1"], &[3]));
    for (packed, kind) in [(xz(&image.layers[1]), "xz"), (bzip2(&image.layers[1]), "bzip2")] {
        for name in ["ab/layer.tar".to_owned(), format!("{}.tar", Algorithm::Sha256.digest(&image.layers[1]).encoded())]
        {
            let list = format!(
                r#"[{{"Config":"{0}.json","RepoTags":["a:1"],"Layers":["1/layer.tar","{name}"]}},
                    {{"Config":"{1}.json","RepoTags":["good:1"],"Layers":["3/layer.tar"]}}]"#,
                image.config_digest().encoded(),
                good.config_digest().encoded()
            );
            let archive = Tarball::new()
                .file(&format!("{}.json", image.config_digest().encoded()), &image.config)
                .file(&format!("{}.json", good.config_digest().encoded()), &good.config)
                .file("1/layer.tar", &image.layers[0])
                .file(&name, &packed)
                .file("3/layer.tar", &good.layers[0])
                .file("manifest.json", list.as_bytes())
                .end();
            for piped in [false, true] {
                let world = World::new();
                let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
                let told = failures(&report);
                assert!(told.contains("docker.io/library/a:1") && told.contains(&format!("`{name}`")), "{told}");
                assert!(told.contains(&format!("with {kind},")) && told.contains("docker save"), "{told}");
                assert_eq!(report.images.len(), 1, "the other image of the archive goes in");
                assert!(world.tags()[0].starts_with("docker.io/library/good:1 "), "{:?}", world.tags());
            }
        }
    }
}

#[test]
fn a_layer_under_a_name_no_tool_uses_is_told_when_it_comes_from_a_pipe() {
    let image = Image::new(&["a:1"], &[1]);
    let item = br#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["odd.tar"]}]"#;
    let archive = Tarball::new()
        .file("config.json", &image.config)
        .file("odd.tar", &image.layers[0])
        .file("manifest.json", item)
        .end();
    assert_eq!(World::new().ingest("x.tar", &archive).failures, []);
    let world = World::new();
    let told = format!("{:?}", world.try_pipe(std::io::Cursor::new(archive)));
    assert!(told.contains("uncompressed and not from a pipe"), "{told}");
    assert_eq!(world.tags(), Vec::<String>::new());
}

#[test]
fn one_bad_image_of_several_is_named_and_the_others_go_in() {
    let mut bad = Image::new(&["bad:1"], &[2]);
    bad.layers[0] = Image::new(&[], &[7]).layers[0].clone();
    let images = [Image::new(&["good:1"], &[1]), bad, Image::new(&["fine:1"], &[3])];
    for piped in [false, true] {
        let mut world = World::new();
        let archive = save_docker_20(&images);
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(report.failures.len(), 1);
        let told = failures(&report);
        assert!(
            told.contains("docker.io/library/bad:1") && told.contains("layer.tar") && told.contains("damaged"),
            "{told}"
        );
        assert_eq!(world.tags().len(), 2);
        world.check_whole();

        world = World::new();
        world.settings.strict = true;
        let refused =
            if piped { world.try_pipe(std::io::Cursor::new(archive)) } else { world.try_ingest("x.tar", &archive) };
        assert!(refused.unwrap_err().to_string().contains("strict"));
        assert_eq!(world.tags(), Vec::<String>::new());
    }
}
