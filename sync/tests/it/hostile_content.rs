//! Archives with well-formed entries whose content is wrong.

use airdock_registry::oci::Algorithm;

use testkit::archive::{chart, index_of, layout, save_docker_20, save_docker_26};
use testkit::content::{bytes, gzip};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::Tarball;

const NAMED: &str = r#""io.containerd.image.name":"docker.io/library/a:1""#;

fn docker(config: &[u8], layer: &[u8], manifest: &str) -> Vec<u8> {
    Tarball::new().file("c.json", config).file("l/layer.tar", layer).file("manifest.json", manifest.as_bytes()).end()
}

const ITEM: &str = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#;

#[test]
fn a_layer_whose_digest_differs_is_named_with_both() {
    let image = Image::new(&[], &[1]);
    let told = World::new().refused("x.tar", &docker(&image.config, b"another layer", ITEM));
    let (expected, found) = (Algorithm::Sha256.digest(&image.layers[0]), Algorithm::Sha256.digest(b"another layer"));
    for part in ["x.tar", "docker.io/library/a:1", "l/layer.tar", &expected.to_string(), &found.to_string()] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn an_image_that_lost_its_layers_is_refused() {
    let image = Image::new(&[], &[1]);
    for manifest in [ITEM.replace(r#""l/layer.tar""#, ""), r#"[{"Config":"c.json","RepoTags":["a:1"]}]"#.to_owned()] {
        let told = World::new().refused("x.tar", &docker(&image.config, b"", &manifest));
        assert!(told.contains("names 0 layers and the image's config 1"), "{told}");
    }
}

#[test]
fn a_manifest_json_of_one_gibibyte_is_refused_by_its_size() {
    let header =
        testkit::tarball::entry(b"manifest.json", tar::EntryType::Regular, b"", |header| header.set_size(1 << 30));
    let world = World::new();
    // From a pipe its bytes are passed over and not kept.
    let body = std::io::Read::take(std::io::repeat(b' '), 1 << 30);
    let pipe = std::io::Read::chain(std::io::Cursor::new(header.clone()), body);
    let told = format!("{:?}", world.try_pipe(std::io::Read::chain(pipe, std::io::Cursor::new([0; 1024]))));
    assert!(told.contains("manifest.json") && told.contains("limit"), "{told}");
    let path = world.file("x.tar", &header);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(512 + (1 << 30) + 1024).unwrap();
    let told = format!("{:?}", world.try_path(&path));
    assert!(told.contains("manifest.json") && told.contains("limit"), "{told}");
}

#[test]
fn documents_that_are_none_are_refused_with_their_name() {
    let image = Image::new(&[], &[1]);
    for (manifest, part) in [
        ("[", "manifest.json"),
        ("[{}]", "manifest.json"),
        (r#"[{"Config":7}]"#, "manifest.json"),
        (&format!("[{}", "[".repeat(100_000)), "manifest.json"),
        (&ITEM.replace("c.json", "absent.json"), "absent.json"),
        (&ITEM.replace("l/layer.tar", "absent/layer.tar"), "absent/layer.tar"),
        (&ITEM.replace("c.json", "../../../etc/passwd"), "passwd"),
        (&ITEM.replace(r#"["l/layer.tar"]"#, r#"["l/layer.tar","l/layer.tar"]"#), "2 layers"),
    ] {
        let told = World::new().refused("x.tar", &docker(&image.config, &image.layers[0], manifest));
        assert!(told.contains(part), "{part}: {told}");
    }
    for config in [&b"{"[..], b"[]", b"null", br#"{"rootfs":{"diff_ids":["md5:1"]}}"#, br#"{"rootfs":{"diff_ids":[]}}"#]
    {
        let told = World::new().refused("x.tar", &docker(config, &image.layers[0], ITEM));
        assert!(told.contains("c.json") || told.contains("config"), "{told}");
    }
}

#[test]
fn a07_a_blob_that_is_not_what_its_name_or_descriptor_says_is_refused() {
    let image = Image::new(&[], &[1]);
    let manifest = image.docker_manifest();
    let list = index_of(&[(&manifest, MANIFEST, NAMED)]);
    let name = |content: &[u8]| format!("blobs/sha256/{}", Algorithm::Sha256.digest(content).encoded());
    let build = |files: &[(&[u8], &[u8])], list: &[u8]| {
        let tar = files.iter().fold(Tarball::new(), |tar, (named, content)| tar.file(&name(named), content));
        tar.file("index.json", list).file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).end()
    };
    let (layer, config) = (image.layers[0].as_slice(), image.config.as_slice());
    let mut changed = layer.to_vec();
    changed[100] ^= 1;
    let other_config = String::from_utf8(config.to_vec()).unwrap().replace("amd64", "arm64");
    let other_manifest = String::from_utf8(manifest.clone()).unwrap().replace("\"layers\"", "\"Layers\"");
    let lie = String::from_utf8(list.clone()).unwrap().replace(&format!("\"size\":{}", manifest.len()), "\"size\":7");
    let short =
        String::from_utf8(manifest.clone()).unwrap().replace(&format!("\"size\":{}", layer.len()), "\"size\":99");
    let short_list = index_of(&[(short.as_bytes(), MANIFEST, NAMED)]);
    for (what, archive) in [
        ("layer", build(&[(layer, &changed), (config, config), (&manifest, &manifest)], &list)),
        ("config", build(&[(layer, layer), (config, other_config.as_bytes()), (&manifest, &manifest)], &list)),
        ("manifest", build(&[(layer, layer), (config, config), (&manifest, other_manifest.as_bytes())], &list)),
        ("index size", build(&[(layer, layer), (config, config), (&manifest, &manifest)], lie.as_bytes())),
        ("layer size", build(&[(layer, layer), (config, config), (short.as_bytes(), short.as_bytes())], &short_list)),
    ] {
        let told = World::new().refused("x.tar", &archive);
        assert!(told.contains("blobs/sha256/") && told.contains("damaged or changed"), "{what}: {told}");
    }
    for missing in [
        &[(layer, layer), (config, config)][..],
        &[(layer, layer), (&manifest, &manifest)],
        &[(config, config), (&manifest, &manifest)],
    ] {
        assert!(World::new().refused("x.tar", &build(missing, &list)).contains("does not hold"));
    }
}

#[test]
fn layers_that_are_elsewhere_and_larger_than_can_be_added_up_do_no_harm() {
    let diff_ids = [b"1", b"2", b"3"].map(|of| format!("\"{}\"", Algorithm::Sha256.digest(of))).join(",");
    let config =
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#);
    let config = config.as_bytes();
    let foreign = |of: &[u8]| {
        let digest = Algorithm::Sha256.digest(of);
        let kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{},"urls":["https://example.com/"]}}"#, i64::MAX)
    };
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{},{},{}]}}"#,
        Algorithm::Sha256.digest(config),
        config.len(),
        foreign(b"1"),
        foreign(b"2"),
        foreign(b"3"),
    );
    let index = index_of(&[(manifest.as_bytes(), MANIFEST, r#""org.opencontainers.image.ref.name":"a/b:1""#)]);
    let report = World::new().ingest("x.tar", &layout("", &[config, manifest.as_bytes()], &index).end());
    let size = (config.len() + manifest.len()) as u64;
    assert_eq!((failures(&report), report.images[0].size), (String::new(), size));
}

#[test]
fn an_empty_config_of_a_wrong_size_is_refused_by_name_and_the_others_go_in() {
    let (good, empty) = (Remote::new(1), Algorithm::Sha256.digest(b"{}"));
    let bad = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":3}},"layers":[]}}"#
    );
    let name = |name: &str| format!(r#""org.opencontainers.image.ref.name":"{name}""#);
    let (one, two) = (name("a/good:1"), name("a/bad:1"));
    let index = index_of(&[(&good.manifest, MANIFEST, &one), (bad.as_bytes(), MANIFEST, &two)]);
    let mut parts = good.parts();
    parts.push(bad.as_bytes());
    let world = World::new();
    let report = world.ingest("x.tar", &layout("", &parts, &index).end());
    let told = failures(&report);
    assert!(told.contains("a/bad:1") && told.contains("says 3"), "{told}");
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn a_layout_of_another_version_or_without_sense_is_refused() {
    let tar = |layout: &[u8], index: &[u8]| Tarball::new().file("oci-layout", layout).file("index.json", index).end();
    for (layout, index, cause) in [
        (&br#"{"imageLayoutVersion":"2.0.0"}"#[..], &b"{}"[..], "2.0.0"),
        (b"{}", b"{}", "oci-layout"),
        (br#"{"imageLayoutVersion":"1.0.0"}"#, b"[", "index.json"),
        (br#"{"imageLayoutVersion":"1.0.0"}"#, br#"{"manifests":[{"digest":"sha256:1","size":1}]}"#, "index.json"),
        (br#"{"imageLayoutVersion":"1.0.0"}"#, br#"{"manifests":[{"digest":7}]}"#, "index.json"),
    ] {
        let told = World::new().refused("x.tar", &tar(layout, index));
        assert!(told.contains(cause), "{cause}: {told}");
    }
}

#[test]
fn a_manifest_that_reads_two_ways_is_refused() {
    let image = Image::new(&[], &[1]);
    let manifest = String::from_utf8(image.docker_manifest()).unwrap();
    let both = manifest.replace("\"layers\"", "\"manifests\":[],\"layers\"");
    let list = index_of(&[(both.as_bytes(), MANIFEST, NAMED)]);
    let told =
        World::new().refused("x.tar", &layout("", &[both.as_bytes(), &image.config, &image.layers[0]], &list).end());
    assert!(told.contains("two ways"), "{told}");
}

#[test]
fn names_a_terminal_would_act_on_are_made_harmless() {
    let image = Image::new(&[], &[1]);
    let manifest = ITEM.replace("a:1", "\\u001b[31mred").replace("c.json", "\\u001b[2J.json");
    let told = World::new().refused("x.tar", &docker(&image.config, &image.layers[0], &manifest));
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn bytes_changed_at_will_never_leave_a_tag_to_something_broken() {
    let images = [Image::new(&["a:1"], &[1, 2]), Image::new(&["b:1"], &[1, 3])];
    let bundle = Tarball::new()
        .file("b/old.tar", &save_docker_20(&images))
        .file("b/new.tar", &save_docker_26(&images))
        .file("b/app.tgz", &chart("app", "1.0.0"))
        .end();
    let world = World::new();
    let mut outcomes = [0, 0];
    for (seed, packed) in (0..120).map(|seed| (seed, seed % 4 == 3)) {
        let mut content = if packed { gzip(&bundle) } else { bundle.clone() };
        // One to four bytes, each somewhere.
        let random = bytes(seed + 1, 40);
        for change in random.chunks_exact(10).take(1 + usize::from(random[0] % 4)) {
            let at = change[1..9].iter().fold(0_usize, |at, byte| at << 7 ^ usize::from(*byte)) % content.len();
            content[at] ^= change[9] | 1;
        }
        let outcome = if seed % 2 == 0 {
            world.try_ingest("x.tar", &content)
        } else {
            world.try_pipe(std::io::Cursor::new(content))
        };
        outcomes[usize::from(outcome.is_ok_and(|report| report.failures.is_empty()))] += 1;
    }
    world.check_whole();
    assert!(outcomes[0] > 20, "changes are seen: {outcomes:?}");
}

#[test]
fn d11_d20_a_manifest_that_go_reads_otherwise_is_refused_in_a_bundle_too_with_the_field_named() {
    let remote = Remote::new(1);
    let manifest = String::from_utf8(remote.manifest.clone()).unwrap();
    let other = testkit::manifest::descriptor("a/b", "other", "");
    let child = testkit::manifest::descriptor(MANIFEST, &manifest, "");
    let resized = child.replace(&format!("\"size\":{}", manifest.len()), "\"size\":5");
    for (root, media_type, named) in [
        (manifest.replacen('{', &format!("{{\"LAYERS\":[{other}],"), 1), MANIFEST, "`LAYERS`"),
        (manifest.replacen('{', &format!("{{\"Config\":{other},"), 1), MANIFEST, "`Config`"),
        (manifest.replacen('{', "{\"subject\":[],", 1), MANIFEST, "`subject`"),
        (testkit::manifest::list(&[child, resized]), testkit::manifest::INDEX, "different sizes"),
    ] {
        let index = index_of(&[(root.as_bytes(), media_type, NAMED)]);
        let mut blobs = remote.parts();
        blobs.push(root.as_bytes());
        let told = World::new().refused("x.tar", &layout("", &blobs, &index).end());
        assert!(told.contains(named), "{told}");
    }
}
