//! What an image's records say of it: its manifest, its config, the `manifest.json` beside them, and whether they agree.

use airdock_registry::oci::{Algorithm, MediaType};

use testkit::archive::{Files, index_of, layout, save_docker_26, tarred, untarred};
use testkit::content::{gzip, hex};
use testkit::image::Image;
use testkit::ingest::{World, failures};
use testkit::manifest::{INDEX, MANIFEST, descriptor, list, manifest};

const NAMED: &str = r#""io.containerd.image.name":"docker.io/library/a:1""#;

/// An archive with this manifest, config and layers, called `a:1`.
fn archive(manifest: &[u8], config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = [manifest, config].into_iter().chain(layers.iter().map(Vec::as_slice)).collect();
    layout("", &parts, &index_of(&[(manifest, MANIFEST, NAMED)])).end()
}

/// A manifest of this config and these layers.
fn of(config: &[u8], kind: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(kind, layer, "")).collect();
    manifest(&descriptor(MediaType::IMAGE_CONFIG, config, ""), &layers, "").into_bytes()
}

#[test]
fn b2_layers_in_another_number_or_order_than_the_config_says_are_refused_with_both_however_they_come() {
    let image = Image::new(&[], &[1, 2, 3]);
    let packed: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    let reversed = |layers: &[Vec<u8>]| layers.iter().rev().cloned().collect::<Vec<_>>();
    for (kind, layers, cause) in [
        (MediaType::IMAGE_LAYER, reversed(&image.layers), "in another order than the config"),
        (MediaType::IMAGE_LAYER_GZIP, reversed(&packed), "in another order than the config"),
        (MediaType::IMAGE_LAYER, image.layers[..2].to_vec(), "names 2 layers and the config 3"),
        (MediaType::IMAGE_LAYER_GZIP, packed[..2].to_vec(), "names 2 layers and the config 3"),
        (MediaType::IMAGE_LAYER, vec![], "names 0 layers and the config 3"),
        (
            MediaType::IMAGE_LAYER_GZIP,
            vec![packed[0].clone(), packed[1].clone(), gzip(b"another")],
            "layer 3 unpacks to",
        ),
    ] {
        let archive = archive(&of(&image.config, kind, &layers), &image.config, &layers);
        let told = World::new().refused("x.tar", &archive);
        assert!(told.contains(cause) && told.contains("docker.io/library/a:1"), "{cause}: {told}");
        let world = World::new();
        let told = format!("{:?}", world.try_mount(&world.file("x.tar", &archive)));
        assert!(told.contains(cause), "mounted, {cause}: {told}");
    }
    for (kind, layers) in [(MediaType::IMAGE_LAYER, &image.layers), (MediaType::IMAGE_LAYER_GZIP, &packed)] {
        let world = World::new();
        world.ingest("x.tar", &archive(&of(&image.config, kind, layers), &image.config, layers));
        world.check_whole();
    }
}

#[test]
fn b2_a_layer_of_many_bytes_is_held_against_its_config_only_if_it_is_plain() {
    let image = Image::of_layers(
        &[],
        [1, 2].map(|seed| testkit::image::layer("f", &testkit::content::bytes(seed, 200_000))).to_vec(),
    );
    let reversed: Vec<_> = image.layers.iter().rev().cloned().collect();
    let packed: Vec<_> = reversed.iter().map(|layer| gzip(layer)).collect();
    let plain = archive(&of(&image.config, MediaType::IMAGE_LAYER, &reversed), &image.config, &reversed);
    assert!(World::new().refused("x.tar", &plain).contains("in another order"));
    // The bound that `archive::parts::UNPACKED` sets: large compressed layers are not unpacked.
    let large = archive(&of(&image.config, MediaType::IMAGE_LAYER_GZIP, &packed), &image.config, &packed);
    assert_eq!(failures(&World::new().ingest("x.tar", &large)), "");
}

#[test]
fn b2_an_artifact_with_the_config_of_an_image_has_no_layers_to_be_unpacked() {
    let config = br#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let payload = b"{}".to_vec();
    let signature = of(config, "application/vnd.dev.cosign.simplesigning.v1+json", std::slice::from_ref(&payload));
    let world = World::new();
    let report = world.ingest("x.tar", &archive(&signature, config, &[payload]));
    assert_eq!(failures(&report), "");
    world.check_whole();
}

#[test]
fn b2_of_two_records_of_an_image_the_one_that_fits_its_config_is_used() {
    let image = Image::new(&["a:1", "b:1"], &[1, 2]);
    let good = image.docker_manifest();
    let text = String::from_utf8(good.clone()).unwrap();
    let reversed = of(&image.config, MediaType::IMAGE_LAYER, &[image.layers[1].clone(), image.layers[0].clone()]);
    let sizes = text.replacen(&format!("\"size\":{}", image.layers[0].len()), "\"size\":7", 1).into_bytes();
    for (what, bad) in [
        ("docker 25.0.0", reversed),
        ("docker 25rc1", of(&image.config, MediaType::IMAGE_LAYER, &[])),
        ("docker 25rc2", sizes),
    ] {
        // The archive of Docker 26 with another manifest in the place of the right one.
        let docker = untarred(&save_docker_26(std::slice::from_ref(&image)));
        let mut files: Files = docker.into_iter().filter(|(path, _)| !path.ends_with(&hex(&good))).collect();
        files.insert(format!("blobs/sha256/{}", hex(&bad)), bad.clone());
        let index = String::from_utf8(files["index.json"].clone()).unwrap();
        let index = index.replace(&hex(&good), &hex(&bad));
        let index = index.replace(&format!("\"size\":{}", good.len()), &format!("\"size\":{}", bad.len()));
        files.insert("index.json".into(), index.into_bytes());
        let tar = tarred(&files);
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&tar) } else { world.ingest("x.tar", &tar) };
            assert_eq!(failures(&report), "", "{what}");
            assert_eq!(world.manifest("docker.io/library/a", "1").bytes, good, "{what}");
            assert_eq!(world.manifest("docker.io/library/b", "1").bytes, good, "{what}");
            let bad = Algorithm::Sha256.digest(&bad).to_string();
            assert!(world.try_manifest("docker.io/library/a", &bad).is_none(), "{what}");
            let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
            assert!(warnings.iter().any(|told| told.contains("`manifest.json`")), "{what}: {warnings:?}");
            world.check_whole();
        }
        // Both wrong: the failure is that of the manifest.
        let item = String::from_utf8(files["manifest.json"].clone()).unwrap();
        let both = item.replace(&format!(",\"blobs/sha256/{}\"", hex(&image.layers[1])), "");
        assert_ne!(item, both);
        files.insert("manifest.json".into(), both.into_bytes());
        let told = World::new().refused("x.tar", &tarred(&files));
        assert!(told.contains("fit") || told.contains("descriptor says 7"), "{what}: {told}");
    }
}

#[test]
fn b8_an_image_without_layers_goes_in_whoever_wrote_it() {
    let image = Image::of_layers(&["a:1"], vec![]);
    let config = String::from_utf8(image.config.clone()).unwrap().replace("\"diff_ids\":[]", "\"diff_ids\":null");
    let name = format!("{}.json", hex(&config));
    let item = format!(r#"[{{"Config":"{name}","RepoTags":["a:1"],"Layers":null}}]"#);
    let docker = Files::from([(name, config.clone().into_bytes()), ("manifest.json".into(), item.into_bytes())]);
    let empty = of(config.as_bytes(), MediaType::IMAGE_LAYER, &[]);
    let null = String::from_utf8(empty.clone()).unwrap().replace("\"layers\":[]", "\"layers\":null").into_bytes();
    for (what, archive, served) in [
        ("null", archive(&null, config.as_bytes(), &[]), &null),
        ("docker save", tarred(&docker), &empty),
        ("an empty list", archive(&empty, config.as_bytes(), &[]), &empty),
    ] {
        for piped in [false, true] {
            let world = World::new();
            let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
            assert_eq!(failures(&report), "", "{what}");
            assert_eq!(&world.manifest("docker.io/library/a", "1").bytes, served, "{what}");
            world.check_whole();
        }
    }
}

/// A manifest of two layers, of which only its vendor may give out the first.
fn with_foreign(image: &Image, packed: &[Vec<u8>], kind: &str) -> Vec<u8> {
    let urls = r#","urls":["https://mcr.example/v2/a/blobs/1","https://mcr.example/other"]"#;
    let layers = [descriptor(kind, &packed[0], urls), descriptor(MediaType::IMAGE_LAYER_GZIP, &packed[1], "")];
    manifest(&descriptor(MediaType::IMAGE_CONFIG, &image.config, ""), &layers, "").into_bytes()
}

#[test]
fn b4_a_layer_that_only_its_vendor_has_is_named_with_its_host_and_not_counted() {
    let image = Image::new(&[], &[1, 2]);
    let packed: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    let digest = Algorithm::Sha256.digest(&packed[0]);
    for kind in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let manifest = with_foreign(&image, &packed, kind);
        let without = archive(&manifest, &image.config, &packed[1..]);
        let with = archive(&manifest, &image.config, &packed);
        let size = (manifest.len() + image.config.len() + packed[1].len()) as u64;
        for (archive, is_there) in [(without, false), (with, true)] {
            let worlds = [World::new(), World::new(), World::new()];
            let reports = [
                worlds[0].ingest("x.tar", &archive),
                worlds[1].pipe(&archive),
                worlds[2].mount(&worlds[2].file("x.tar", &archive)),
            ];
            for (world, report) in worlds.iter().zip(&reports) {
                let row = &report.images[0];
                let size = size + if is_there { packed[0].len() as u64 } else { 0 };
                assert_eq!((failures(report).as_str(), row.size), ("", size), "{kind}");
                let note = row.note.clone().unwrap_or_default();
                let told = format!("without layer `{digest}`, only to be had from mcr.example");
                assert_eq!(note.contains(&told), !is_there, "{note}");
                let served = world.blob("docker.io/library/a", &digest);
                assert!(
                    served == is_there.then(|| packed[0].clone()),
                    "{kind} {is_there}: {:?}",
                    served.map(|blob| blob.len())
                );
            }
            assert_eq!(reports[0].images, reports[1].images);
            assert_eq!(reports[0].images, reports[2].images);
        }
    }
}

#[test]
fn b9_a_cache_of_buildkit_which_is_an_index_of_layers_goes_in_with_all_of_them() {
    let (layer, config) = (gzip(b"a layer"), br#"{"layers":[{"parent":-1}]}"#.to_vec());
    let children = [
        descriptor(
            MediaType::IMAGE_LAYER_GZIP,
            &layer,
            r#","annotations":{"buildkit/createdat":"2024-01-01T00:00:00Z"}"#,
        ),
        descriptor("application/vnd.buildkit.cacheconfig.v0", &config, ""),
    ];
    let cache = list(&children).into_bytes();
    let named = r#""org.opencontainers.image.ref.name":"registry.example/team/app:cache""#;
    let index = index_of(&[(&cache, INDEX, named)]);
    let whole = layout("", &[&cache, &layer, &config], &index).end();
    let worlds = [World::new(), World::new(), World::new()];
    let reports =
        [worlds[0].ingest("x.tar", &whole), worlds[1].pipe(&whole), worlds[2].mount(&worlds[2].file("x.tar", &whole))];
    for (world, report) in worlds.iter().zip(&reports) {
        assert_eq!(failures(report), "");
        assert_eq!(world.manifest("registry.example/team/app", "cache").bytes, cache);
        world.check_whole();
        assert_eq!(report.images[0].size, (cache.len() + layer.len() + config.len()) as u64);
    }
    let told = World::new().refused("x.tar", &layout("", &[&cache, &config], &index).end());
    assert!(told.contains(&Algorithm::Sha256.digest(&layer).to_string()), "{told}");
}
