//! A16: with a key, only what it has signed goes in, all of it; otherwise no tag moves and no release appears.

use std::io::Read;
use std::path::{Path, PathBuf};

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{Cancel, IngestError, Input, Report, inventory};

use testkit::archive::{Files, chart, save_docker_20, save_docker_26, save_kaniko, save_podman, tarred};
use testkit::content::{gzip, zstd};
use testkit::image::Image;
use testkit::ingest::World;
use testkit::signer::Signer;

const FORMER: &str = "app:1";

/// A bundle as it is made outside: archives of several tools, a chart.
fn bundle(seed: u64) -> Files {
    let images = [Image::new(&["zenmldocker/zenml:0.93.2", FORMER], &[seed + 10, 2])];
    let mut files = Files::new();
    files.insert("images/docker.tar".into(), save_docker_20(&images));
    files.insert("images/podman.tar".into(), save_podman(&[Image::new(&["podman:1"], &[seed, 3])]));
    files.insert("images/packed.tar.gz".into(), gzip(&save_docker_26(&[Image::new(&["packed:1"], &[seed, 4])])));
    files.insert("charts/c-1.0.0.tgz".into(), chart("c", "1.0.0"));
    files
}

fn list(path: &Path) -> String {
    let world = World::new();
    inventory(vec![Input::Path(path.to_owned())], &world.settings, &Cancel::default(), &|_| {}).unwrap().to_string()
}

/// The inventory of these files.
fn inventory_of(files: &Files) -> String {
    let world = World::new();
    list(&world.files("listed", files))
}

/// The files with an inventory signed by `signer`.
fn signed(mut files: Files, signer: &Signer) -> Files {
    let text = inventory_of(&files);
    sign(&mut files, &text, signer);
    files
}

fn sign(files: &mut Files, text: &str, signer: &Signer) {
    files.insert("inventory.txt".into(), text.as_bytes().to_vec());
    files.insert("inventory.txt.sig".into(), signer.sign(text.as_bytes()));
}

/// The files below one folder, as in a tar of a bundle.
fn below(folder: &str, files: &Files) -> Files {
    files.iter().map(|(path, content)| (format!("{folder}/{path}"), content.clone())).collect()
}

type Way = (&'static str, fn(&World, &Files) -> Result<Report, IngestError>);

/// The ways to ingest a bundle.
const WAYS: [Way; 6] = [
    ("folder", |world, files| world.try_path(&world.files("folder", files))),
    ("tar", |world, files| world.try_ingest("bundle.tar", &tarred(files))),
    ("tar of a folder", |world, files| world.try_ingest("bundle.tar", &tarred(&below("bundle", files)))),
    ("zstd", |world, files| world.try_ingest("bundle.tar.zst", &zstd(&tarred(&below("bundle", files))))),
    ("pipe", |world, files| world.try_pipe(std::io::Cursor::new(gzip(&tarred(files))))),
    ("mount", |world, files| world.try_mount(&world.files("mount", files))),
];

/// A registry with an earlier bundle, which requires a signature from now on.
fn guarded(signers: &[&Signer]) -> World {
    let mut world = World::new();
    world.path(&world.files("former", &bundle(90)));
    world.trust(signers);
    world
}

/// Compressed files cannot be mounted and are left out for a mount.
fn fit(way: &str, files: &Files) -> Files {
    let mut files = files.clone();
    if way == "mount" {
        files.remove("images/packed.tar.gz");
    }
    files
}

/// Ingests `files` in every way; each must be refused before anything becomes visible. Returns the errors.
fn refused(trusted: &[&Signer], make: impl Fn(Files) -> Files) -> String {
    let mut told = String::new();
    let world = guarded(trusted);
    let (tags, releases) = (world.tags(), world.releases());
    assert_eq!((tags.len() > 3, releases.len()), (true, 1));
    for (way, give) in WAYS {
        let files = make(fit(way, &bundle(1)));
        let problems = match give(&world, &files) {
            Err(IngestError::Untrusted { problems } | IngestError::Strict { failures: problems }) => problems,
            other => panic!("{way}: {other:?}"),
        };
        assert_eq!(world.tags(), tags, "{way}: a tag moved");
        assert_eq!(world.releases(), releases, "{way}: a release appeared");
        assert!(!problems.is_empty(), "{way}: nothing is said of what is wrong");
        told += &problems.iter().map(|problem| format!("{way}: {problem}\n")).collect::<String>();
    }
    told
}

#[track_caller]
fn says(told: &str, what: &str) {
    for (way, _) in WAYS {
        let said = told.lines().any(|line| line.starts_with(&format!("{way}: ")) && line.contains(what));
        assert!(said, "{way} does not say `{what}`:\n{told}");
    }
}

#[test]
fn a_signed_bundle_goes_in_in_every_way_it_can_come_and_the_release_says_who_signed() {
    for signer in [Signer::p256(), Signer::ed25519()] {
        for (way, give) in WAYS {
            let world = guarded(&[&Signer::p256(), &signer]);
            let files = signed(fit(way, &bundle(1)), &signer);
            let report = give(&world, &files).unwrap();
            let [signature] = report.signatures.as_slice() else { panic!("{way}: {:?}", report.signatures) };
            assert!(signature.inventory.ends_with("inventory.txt"), "{way}: {signature}");
            assert_eq!(signature.key, "build-1.pub", "{way}");
            world.check_whole();
            let releases = world.releases();
            if way == "mount" {
                assert_eq!(releases.len(), 1);
            } else {
                assert_eq!(releases, [vec![], vec![signature.clone()]], "{way}");
            }
            // The second time most of it is not read; everything signed must be there nevertheless.
            give(&world, &files).unwrap();
            let mut swapped = files.clone();
            swapped.insert("images/docker.tar".into(), save_docker_20(&[Image::new(&[FORMER], &[9])]));
            assert!(matches!(give(&world, &swapped), Err(IngestError::Untrusted { .. })), "{way}");
        }
    }
}

#[test]
fn a16_an_unsigned_bundle_is_refused_before_any_tag_moves() {
    let signer = Signer::p256();
    let told = refused(&[&signer], |files| files);
    says(&told, "no inventory");
    says(&told, "build-0.pub (sha256:");
    says(&told, "make an inventory where the bundle is made");
}

#[test]
fn a16_what_can_be_told_without_unpacking_is_refused_before_a_blob_is_written() {
    let (signer, other) = (Signer::p256(), Signer::p256());
    for files in [bundle(1), signed(bundle(1), &other)] {
        let world = guarded(&[&signer]);
        let blobs = || std::fs::read_dir(world.folder.path().join("data/blobs/sha256")).unwrap().count();
        let before = blobs();
        for (way, give) in &WAYS[..3] {
            assert!(matches!(give(&world, &files), Err(IngestError::Untrusted { .. })), "{way}");
            assert_eq!(blobs(), before, "{way}");
        }
        // Compressed or from a pipe it must be read to its end first; an inventory given separately is verified at once.
        let mut world = guarded(&[&signer]);
        let given = world.file("list.txt", list(&world.files("listed", &bundle(1))).as_bytes());
        world.file("list.txt.sig", b"nobody's");
        world.settings.trust.inventory = Some(given);
        let Err(IngestError::Untrusted { problems }) = world.try_pipe(Untouched) else { panic!("went in") };
        assert!(problems[0].message.contains("its signature is not by"), "{problems:?}");
    }
}

/// A stream that must not be read.
struct Untouched;

impl Read for Untouched {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("it was read")
    }
}

#[test]
fn a16_an_inventory_without_its_signature_is_refused() {
    let signer = Signer::p256();
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.remove("inventory.txt.sig");
        files
    });
    says(&told, "inventory.txt: it has no signature");
    says(&told, "inventory.txt.sig`; sign it");
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.remove("inventory.txt");
        files
    });
    says(&told, "inventory.txt: its signature is there and it is not");
}

#[test]
fn a16_a_signature_by_another_key_is_refused_and_the_keys_that_were_tried_are_named() {
    let (one, two, other) = (Signer::p256(), Signer::ed25519(), Signer::p256());
    let told = refused(&[&one, &two], |files| signed(files, &other));
    says(&told, "build-0.pub (sha256:");
    says(&told, "build-1.pub (sha256:");
    // One byte more, one byte less, rubbish, or nothing is not a signature.
    for change in [
        |s: &[u8]| [s, b"\0"].concat(),
        |s: &[u8]| s[1..].to_vec(),
        |_: &[u8]| b"rubbish".to_vec(),
        |_: &[u8]| Vec::new(),
    ] {
        let told = refused(&[&one, &two], |files| {
            let mut files = signed(files, &one);
            let changed = change(&files["inventory.txt.sig"]);
            files.insert("inventory.txt.sig".into(), changed);
            files
        });
        says(&told, "is not by");
    }
}

#[test]
fn a16_an_inventory_changed_after_it_was_signed_is_refused() {
    let signer = Signer::p256();
    for change in [
        |text: &str| text.replace('\n', "\r\n"),
        |text: &str| format!("{text}\n"),
        |text: &str| text.replace("podman:1", "podman:2"),
        |text: &str| text.replace("# expires 2100", "# expires 2900"),
    ] {
        let told = refused(&[&signer], |files| {
            let text = inventory_of(&files).replacen('\n', "\n# expires 2100-01-01T00:00:00Z\n", 1);
            let mut files = files;
            sign(&mut files, &text, &signer);
            files.insert("inventory.txt".into(), change(&text).into_bytes());
            files
        });
        says(&told, "its signature is not by");
    }
}

#[test]
fn a16_an_expired_inventory_is_refused_and_says_since_when() {
    let signer = Signer::p256();
    let until = |expires: &'static str| {
        let signer = &signer;
        move |mut files: Files| {
            let text = inventory_of(&files).replacen('\n', &format!("\n# expires {expires}\n"), 1);
            sign(&mut files, &text, signer);
            files
        }
    };
    let told = refused(&[&signer], until("2020-01-02T03:04:05Z"));
    says(&told, "it expired at 2020-01-02T03:04:05Z");
    let world = guarded(&[&signer]);
    world.path(&world.files("bundle", &until("2100-01-01T00:00:00Z")(bundle(1))));
}

#[test]
fn a16_a_swapped_blob_under_a_signed_inventory_is_refused() {
    let signer = Signer::p256();
    // The layer's bytes, of what the store does not have already, under the name and digest of what was signed.
    let layer = Image::new(&[], &[11]).layers.remove(0);
    let told = refused(&[&signer], |files| {
        // A mount does not read layers until they are pulled; then they are hashed (`mounts`, `served`).
        let mut files = signed(files, &signer);
        for (path, needle) in [("images/docker.tar", &layer[600..700]), ("charts/c-1.0.0.tgz", &[0x1f, 0x8b][..])] {
            let archive = files.get_mut(path).unwrap();
            let at = archive.windows(needle.len()).position(|window| window == needle).unwrap();
            archive[at + needle.len() - 1] ^= 0x40;
        }
        files
    });
    for way in ["folder", "tar", "tar of a folder", "zstd", "pipe"] {
        let line = told.lines().find(|line| line.starts_with(&format!("{way}: ")) && line.contains("docker.tar"));
        assert!(line.is_some_and(|line| line.contains("damaged or changed on the way")), "{way}:\n{told}");
    }
    // The whole image, replaced by another valid one of the same name.
    for archive in [
        save_docker_20(&[Image::new(&["podman:1"], &[7])]),
        save_docker_26(&[Image::new(&["podman:1"], &[7])]),
        save_podman(&[Image::new(&["podman:1"], &[7])]),
        save_kaniko(&Image::new(&["podman:1"], &[7])),
    ] {
        let told = refused(&[&signer], |files| {
            let mut files = signed(files, &signer);
            files.insert("images/podman.tar".into(), archive.clone());
            files
        });
        says(&told, "`docker.io/library/podman:1` is sha256:");
        says(&told, "where the inventory says sha256:");
    }
}

#[test]
fn a16_what_is_there_and_not_named_or_named_and_not_there_is_refused() {
    let signer = Signer::p256();
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.insert("images/more.tar".into(), save_docker_20(&[Image::new(&["more:1"], &[7])]));
        files
    });
    says(&told, "the inventory does not name sha256:");
    says(&told, "as `docker.io/library/more:1`");
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.remove("images/podman.tar");
        files
    });
    says(&told, "as `docker.io/library/podman:1`, which is not in what was given");
    // The same content under another name, and with one more name.
    for names in [&["other:1"][..], &["podman:1", "other:1"]] {
        let told = refused(&[&signer], |files| {
            let mut files = signed(files, &signer);
            files.insert("images/podman.tar".into(), save_podman(&[Image::new(names, &[1, 3])]));
            files
        });
        says(&told, "as `docker.io/library/other:1`");
    }
    // Two signed images with their names exchanged.
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.insert(
            "images/podman.tar".into(),
            save_podman(&[Image::new(&["zenmldocker/zenml:0.93.2", FORMER], &[1, 3])]),
        );
        files.insert("images/docker.tar".into(), save_docker_20(&[Image::new(&["podman:1"], &[11, 2])]));
        files
    });
    says(&told, "`docker.io/library/podman:1` is sha256:");
}

#[test]
fn a16_one_bad_archive_in_a_signed_bundle_keeps_all_of_it_out() {
    let signer = Signer::p256();
    let told = refused(&[&signer], |files| {
        let mut files = signed(files, &signer);
        files.insert("images/evil.tar".into(), vec![7; 2000]);
        files
    });
    says(&told, "evil.tar");
}

#[test]
fn a16_an_inventory_inside_an_archive_of_the_bundle_is_about_that_archive_alone() {
    let signer = Signer::p256();
    let told = refused(&[&signer], |files| {
        let inner = signed(files, &signer);
        Files::from([("images/inner.tar".into(), tarred(&inner))])
    });
    says(&told, "no inventory");
    says(&told, "inner.tar: inventory.txt` is about that archive alone");
    // With a name from outside it is accepted.
    let world = guarded(&[&signer]);
    let inner = signed(bundle(1), &signer);
    let outer = Files::from([("images/inner.tar".into(), tarred(&inner))]);
    world.path(&world.files("bundle", &signed(outer, &signer)));
}

#[test]
fn a16_an_image_behind_a_name_that_two_images_claim_is_refused() {
    // Which of the two gets the internal name depends on the order of their files, which nobody has signed.
    let signer = Signer::p256();
    let host = "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api:1";
    let other = "europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/zenml-pro-api:1";
    let told = refused(&[&signer], |mut files| {
        files.insert("a.tar".into(), save_docker_20(&[Image::new(&[host], &[7])]));
        files.insert("b.tar".into(), save_docker_20(&[Image::new(&[other], &[8])]));
        signed(files, &signer)
    });
    says(&told, "zenml/zenml-pro-api:1` is two images");
    let world = World::new();
    let twice = Files::from([
        ("a.tar".into(), save_docker_20(&[Image::new(&["a:1"], &[7])])),
        ("b.tar".into(), save_docker_20(&[Image::new(&["a:1"], &[8])])),
    ]);
    let path = world.files("twice", &twice);
    let made = inventory(vec![Input::Path(path)], &world.settings, &Cancel::default(), &|_| {});
    let Err(IngestError::Contested { names }) = made else { panic!("{made:?}") };
    assert!(names[0].file.contains("a:1") && names[0].message.contains(" and sha256:"), "{names:?}");
}

#[test]
fn an_inventory_given_by_itself_is_for_everything_and_those_inside_do_not_count() {
    let (signer, stranger) = (Signer::p256(), Signer::p256());
    let archive = gzip(&tarred(&signed(bundle(1), &stranger)));
    let mut world = guarded(&[&signer]);
    let given = world.file("carried/list.txt", list(&world.file("b.tar.gz", &archive)).as_bytes());
    world.settings.trust.inventory = Some(given.clone());
    let without = world.try_ingest("b.tar.gz", &archive).unwrap_err();
    let IngestError::Untrusted { problems } = &without else { panic!("{without:?}") };
    assert!(problems[0].message.contains("carried/list.txt.sig`; sign it"), "{problems:?}");
    let text = std::fs::read(&given).unwrap();
    world.file("carried/list.txt.sig", &signer.sign_text(&text));
    let report = world.try_pipe(std::io::Cursor::new(archive.clone())).unwrap();
    assert_eq!(report.signatures[0].inventory, given.display().to_string());
    // The content is checked against it like any other.
    assert!(matches!(world.try_path(&world.files("x", &bundle(5))), Err(IngestError::Untrusted { .. })));
    world.settings.trust.inventory = Some(PathBuf::from("/no/such"));
    assert!(matches!(world.try_ingest("b.tar.gz", &archive), Err(IngestError::Untrusted { .. })));
}

#[test]
fn two_bundles_of_one_ingest_each_bring_their_own_inventory() {
    let (one, two) = (Signer::p256(), Signer::ed25519());
    let world = guarded(&[&one, &two]);
    let other = |name| Files::from([("x.tar".to_owned(), save_docker_20(&[Image::new(&[name], &[7])]))]);
    let first = world.files("first", &signed(bundle(1), &one));
    let inputs = |second: PathBuf| vec![Input::Path(first.clone()), Input::Path(second)];
    let refused = world.try_inputs(inputs(world.files("plain", &other("more:1"))));
    assert!(matches!(refused, Err(IngestError::Untrusted { .. })), "{refused:?}");
    let refused = world.try_inputs(inputs(world.files("differs", &signed(other("podman:1"), &two))));
    let Err(IngestError::Untrusted { problems }) = refused else { panic!("{refused:?}") };
    assert!(problems[0].message.contains("in another inventory"), "{problems:?}");
    assert_eq!(world.releases().len(), 1);
    let report = world.try_inputs(inputs(world.files("second", &signed(other("more:1"), &two)))).unwrap();
    let keys: Vec<_> = report.signatures.iter().map(|signature| signature.key.as_str()).collect();
    assert_eq!(keys, ["build-0.pub", "build-1.pub"]);
}

#[test]
fn without_a_key_an_inventory_is_compared_and_what_differs_is_a_warning() {
    let world = World::new();
    let mut files = bundle(1);
    let text = inventory_of(&files).replacen('\n', "\n# expires 2020-01-01T00:00:00Z\n", 1);
    files.insert("inventory.txt".into(), text.into_bytes());
    let warnings = |world: &World, files: &Files, name: &str| -> Vec<String> {
        let report = world.path(&world.files(name, files));
        assert_eq!(report.signatures, []);
        report.warnings.iter().map(ToString::to_string).collect()
    };
    let told = warnings(&world, &files, "expired");
    assert!(told.len() == 2 && told[0].contains("it expired at"), "{told:?}");
    assert!(told[1].contains("inventory.txt: no signature was checked"), "{told:?}");
    let text = inventory_of(&bundle(1));
    files.insert("inventory.txt".into(), text.clone().into_bytes());
    let told = warnings(&world, &files, "agrees");
    assert!(told.len() == 1 && told[0].contains("no signature was checked"), "{told:?}");
    files.insert("inventory.txt".into(), text.replace("podman:1", "podman:2").into_bytes());
    let told = warnings(&world, &files, "differs");
    assert!(told.iter().any(|line| line.contains("does not name")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("which is not in what was given")), "{told:?}");
    files.insert("inventory.txt".into(), b"what somebody else calls one".to_vec());
    let told = warnings(&world, &files, "foreign");
    assert!(told[0].contains("line 1: it is not `# airdock inventory 1`"), "{told:?}");
    assert_eq!(warnings(&world, &bundle(1), "none"), Vec::<String>::new());
}

#[test]
fn a_mounted_layer_that_was_swapped_is_never_given_out() {
    let signer = Signer::p256();
    let mut files = signed(fit("mount", &bundle(1)), &signer);
    let layer = Image::new(&[], &[11]).layers.remove(0);
    let archive = files.get_mut("images/docker.tar").unwrap();
    let at = archive.windows(layer.len()).position(|window| window == layer).unwrap();
    archive[at + 700] ^= 1;
    let mut world = World::new();
    world.trust(&[&signer]);
    world.mount(&world.files("bundle", &files));
    assert_eq!(world.blob("docker.io/library/app", &Algorithm::Sha256.digest(&layer)), None);
}
