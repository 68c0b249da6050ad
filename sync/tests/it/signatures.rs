//! An inventory lists exactly what an ingest finds, in every dialect; and which keys and signatures are accepted.

use airdock_sync::ingest::{Cancel, IngestError, Input, check_keys, inventory};

use testkit::archive::{
    Files, chart, index_of, layout, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman,
    save_storage, tarred,
};
use testkit::content::{gzip, zstd};
use testkit::image::{Image, Remote, image_index, referrer};
use testkit::ingest::World;
use testkit::manifest::{INDEX, MANIFEST};
use testkit::signer::{Signer, pem};

fn list(world: &World, input: Input) -> String {
    inventory(vec![input], &world.settings, &Cancel::default(), &|_| {}).unwrap().to_string()
}

/// An image of every dialect, with artifacts that belong to it and content without a name.
fn everything() -> Files {
    let image = |name: &'static str, seed| [Image::new(&[name], &[seed, 2])];
    let mut files = Files::new();
    files.insert("docker-20.tar".into(), save_docker_20(&image("a/docker:20", 3)));
    files.insert("docker-26.tar".into(), save_docker_26(&image("a/docker:26", 4)));
    files.insert("podman.tar".into(), save_podman(&image("a/podman:1", 5)));
    files.insert("kaniko.tar".into(), save_kaniko(&image("a/kaniko:1", 6)[0]));
    files.insert("kaniko.tar.gz".into(), gzip(&save_kaniko(&image("a/kaniko:2", 7)[0])));
    files.insert("nameless.tar".into(), save_docker_20(&[Image::new(&[], &[8])]));
    files.insert("charts/c-1.0.0.tgz".into(), chart("c", "1.0.0"));
    files.insert("charts/p-1.0.0.tgz".into(), chart("p", "1.0.0"));
    files.insert("charts/p-1.0.0.tgz.prov".into(), b"signed by somebody".to_vec());
    let (amd, arm, subject) = (Remote::new(21), Remote::new(22), Remote::new(23));
    let index = image_index(&[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    save_directory(&mut files, "synced/ghcr.io/a/b:1", &index, &[&amd, &arm]);
    let blobs: Vec<&[u8]> = subject.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut files, "storage/docker/registry/v2/", "kept", &[("1", &subject.manifest)], &[], &blobs);
    // An image, an artifact about it, and its signature under cosign's tag.
    let (about, signature) = (referrer(&subject), Remote::new(24));
    let tag = format!(r#""org.opencontainers.image.ref.name":"sha256-{}.sig""#, subject.digest().encoded());
    let named = r#""io.containerd.image.name":"ghcr.io/a/signed:1""#;
    let (list, empty) = (image_index(&[(&subject, "linux/amd64")]), b"{}".as_slice());
    let entries: [(&[u8], &str, &str); 4] = [
        (&subject.manifest, MANIFEST, named),
        (&about, MANIFEST, ""),
        (&signature.manifest, MANIFEST, &tag),
        (&list, INDEX, r#""io.containerd.image.name":"ghcr.io/a/list:1""#),
    ];
    let parts = [subject.parts(), signature.parts(), vec![&about, &list, empty]].concat();
    files.insert("layout.tar".into(), layout("", &parts, &index_of(&entries)).end());
    files
}

#[test]
fn an_inventory_names_what_an_ingest_finds_of_every_dialect_in_every_way() {
    let files = everything();
    let world = World::new();
    let folder = world.files("bundle", &files);
    let text = list(&world, Input::Path(folder.clone()));
    assert!(!world.folder.path().join("data/blobs").exists() || world.tags().is_empty(), "nothing is taken in");
    for (name, content) in [("b.tar", tarred(&files)), ("b.tar.zst", zstd(&tarred(&files)))] {
        assert_eq!(list(&world, Input::Path(world.file(name, &content))), text, "{name}");
    }
    let stream = Box::new(std::io::Cursor::new(gzip(&tarred(&files))));
    assert_eq!(list(&world, Input::Stream(stream, "standard input".into())), text);
    // Everything an ingest finds is listed, and nothing else.
    let report = world.path(&folder);
    let mut found: Vec<_> = report.images.iter().map(|row| row.digest.clone()).collect();
    let mut named: Vec<_> = text.lines().skip(1).map(|line| line.split_once("  ").unwrap().0.to_owned()).collect();
    for digests in [&mut found, &mut named] {
        digests.sort();
        digests.dedup();
    }
    assert_eq!(named, found, "{text}");
    for name in
        ["  -\n", "  @sha256:", "  :sha256-", "  charts/p:1.0.0\n", "  docker.io/a/kaniko:2\n", "  ghcr.io/a/b:1\n"]
    {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn all_of_it_goes_in_signed_and_nothing_of_it_without_its_line() {
    let signer = Signer::p256();
    let mut files = everything();
    let mut world = World::new();
    world.trust(&[&signer]);
    let text = list(&world, Input::Path(world.files("listed", &files)));
    let mut put = |name: &str, text: &str| {
        files.insert("inventory.txt".into(), text.as_bytes().to_vec());
        files.insert("inventory.txt.sig".into(), signer.sign_text(text.as_bytes()));
        world.try_path(&world.files(name, &files))
    };
    for line in text.lines().skip(1) {
        let shorter = text.replace(&format!("{line}\n"), "");
        let Err(IngestError::Untrusted { problems }) = put("shorter", &shorter) else { panic!("{line} is not missed") };
        let name = line.split_once("  ").unwrap().1;
        assert!(problems.iter().any(|problem| problem.message.contains(&format!("`{name}`"))), "{line}: {problems:?}");
    }
    put("whole", &text).unwrap();
    assert_eq!(world.releases().len(), 1);
}

#[test]
fn a_bundle_with_something_bad_in_it_has_no_inventory() {
    let world = World::new();
    let mut archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    let bundle = Files::from([("a.tar".into(), archive.clone()), ("b.tar".into(), archive.split_off(3000))]);
    let made =
        inventory(vec![Input::Path(world.files("bundle", &bundle))], &world.settings, &Cancel::default(), &|_| {});
    assert!(matches!(&made, Err(IngestError::Strict { failures }) if failures.len() == 1), "{made:?}");
    let stopped = Cancel::default();
    stopped.cancel();
    let made = inventory(vec![Input::Path(world.file("a.tar", &archive))], &world.settings, &stopped, &|_| {});
    assert_eq!(made, Err(IngestError::Cancelled));
}

#[test]
fn a_damaged_layer_gives_no_inventory_though_nothing_is_stored() {
    let image = Image::new(&["a:1"], &[1]);
    let one = std::slice::from_ref(&image);
    for mut archive in [save_docker_20(one), save_docker_26(one), save_podman(one)] {
        let at = archive.windows(100).position(|window| window == &image.layers[0][600..700]).unwrap();
        archive[at] ^= 1;
        let world = World::new();
        for content in [archive.clone(), gzip(&archive)] {
            let input = Input::Path(world.file("a.tar", &content));
            let made = inventory(vec![input], &world.settings, &Cancel::default(), &|_| {});
            assert!(matches!(made, Err(IngestError::Strict { .. })), "{made:?}");
        }
    }
}

#[test]
fn a_file_that_is_no_key_to_verify_with_says_what_to_use_before_anything_is_read() {
    let signer = Signer::p256();
    let der = |bytes: &[u8]| pem("PUBLIC KEY", bytes);
    let rsa = [0x30, 0x82, 1, 0x22, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0, 3];
    let p384 = [0x30, 0x76, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22, 3];
    let off_the_curve = [
        &[
            0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
            7,
        ][..],
        &[3, 0x42, 0, 4],
        &[7; 64],
    ]
    .concat();
    for (content, said) in [
        (String::new(), "no key in it"),
        ("ssh-ed25519 AAAA me".into(), "no key in it"),
        (der(&rsa), "an RSA key; use ECDSA on P-256 or Ed25519"),
        (der(&p384), "P-384; use"),
        (der(b"nothing"), "another kind"),
        (der(&off_the_curve), "damaged"),
        (pem("PRIVATE KEY", &[1, 2, 3]), "private key"),
        (pem("EC PRIVATE KEY", &[1, 2, 3]), "private key"),
        (pem("CERTIFICATE", &[1, 2, 3]), "something else"),
        (format!("{}{}", signer.public(), Signer::ed25519().public()), "more than one key"),
        ("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----\n".into(), "damaged"),
        (" ".repeat(100_000), "larger than"),
    ] {
        let mut world = World::new();
        world.settings.trust.keys = vec![world.key("good.pub", &signer), world.file("bad.pub", content.as_bytes())];
        let Err(IngestError::Key { message }) = check_keys(&world.settings) else { panic!("{content} is a key") };
        assert!(message.contains("bad.pub") && message.contains(said), "{said}: {message}");
        let refused = world.try_ingest("a.tar", &save_docker_20(&[Image::new(&["a:1"], &[1])]));
        assert_eq!(refused, Err(IngestError::Key { message }));
        assert_eq!(world.events.borrow().len(), 0, "it was read");
    }
    let mut world = World::new();
    world.trust(&[&signer]);
    assert!(check_keys(&world.settings).unwrap()[0].starts_with("build-0.pub (sha256:"));
    world.settings.trust.keys = vec!["/no/such.pub".into()];
    assert!(matches!(check_keys(&world.settings), Err(IngestError::Key { .. })));
}

#[test]
fn an_inventory_or_signature_over_its_bound_is_refused_with_a_sentence() {
    let signer = Signer::p256();
    let archive = || ("a.tar".to_owned(), save_docker_20(&[Image::new(&["a:1"], &[1])]));
    for (name, size) in [("inventory.txt", (4 << 20) + 1), ("inventory.txt.sig", 5000)] {
        let mut world = World::new();
        world.trust(&[&signer]);
        let mut files = Files::from([archive(), ("inventory.txt".into(), b"x".to_vec())]);
        files.insert(name.into(), vec![b'x'; size]);
        for refused in [world.try_path(&world.files("b", &files)), world.try_ingest("b.tgz", &gzip(&tarred(&files)))] {
            let Err(IngestError::Untrusted { problems }) = refused else { panic!("{refused:?}") };
            assert!(problems[0].message.contains("over the limit"), "{problems:?}");
        }
    }
    // One in each of a hundred folders.
    let mut files = Files::from([archive()]);
    files.extend((0..100).map(|n| (format!("{n}/inventory.txt"), b"x".to_vec())));
    let mut world = World::new();
    world.trust(&[&signer]);
    let Err(IngestError::Untrusted { problems }) = world.try_path(&world.files("b", &files)) else { panic!("went in") };
    assert!(problems.iter().any(|problem| problem.message.contains("more than 64")), "{problems:?}");
    assert!(problems.len() < 70);
}
