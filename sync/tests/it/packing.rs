//! How a bundle was packed: links, what operating systems leave behind, the kinds of tars that GNU tar writes, and files that
//! are something else than they should be. Whatever a folder gives, a tar of it gives, read in any way.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use airdock_sync::ingest::{Cancel, Input, Report, inventory};
use testkit::archive::{Files, chart, index_of, layout, save_directory, save_docker_20, save_storage, tarred};
use testkit::content::{gzip, hex, zstd};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;
use testkit::tarball::{Tarball, entry};

/// What an ingest says, without the place of the input.
#[derive(Debug, PartialEq)]
struct Told {
    tags: Vec<String>,
    rows: Vec<String>,
    warnings: Vec<String>,
    failures: Vec<String>,
}

fn told(world: &World, report: &Report) -> Told {
    let notice = |notice: &airdock_sync::ingest::Notice| {
        let file = notice.file.rsplit_once(".tar: ").map_or(notice.file.as_str(), |(_, path)| path);
        let file = file.rsplit_once("/bundle/").map_or(file, |(_, path)| path);
        format!("{file}: {}", notice.message)
    };
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    Told {
        tags: world.tags(),
        rows: sorted(report.images.iter().map(|row| format!("{} {} {}", row.image, row.digest, row.size)).collect()),
        warnings: sorted(report.warnings.iter().map(notice).collect()),
        failures: sorted(report.failures.iter().map(notice).collect()),
    }
}

/// Reads a tar from a file, compressed, from a pipe and mounted, which all must say the same. Returns that.
fn every_way(tar: &[u8]) -> Told {
    let mut all = Vec::new();
    for way in ["file", "gzip", "pipe", "mount"] {
        let world = World::new();
        let report = match way {
            "file" => world.ingest("x.tar", tar),
            "gzip" => world.try_inputs(vec![Input::Path(world.file("x.tar", &gzip(tar)))]).unwrap(),
            "pipe" => {
                let stream = Box::new(std::io::Cursor::new(tar.to_vec()));
                world.try_inputs(vec![Input::Stream(stream, "x.tar".into())]).unwrap()
            }
            _ => world.mount(&world.file("x.tar", tar)),
        };
        world.check_whole();
        all.push((way, told(&world, &report)));
    }
    for (way, told) in &all[1..] {
        assert_eq!(*told, all[0].1, "{way}");
    }
    all.swap_remove(0).1
}

/// The entries of the inventory of a file.
fn listed(world: &World, path: &Path) -> usize {
    let inputs = vec![Input::Path(path.to_owned())];
    world.within(|| inventory(inputs, &world.settings, &Cancel::default(), &|_| {}).unwrap().entries.len())
}

/// What `skopeo sync` writes of one image under two tags, where the second is made of links of this kind.
fn synced(kind: tar::EntryType) -> Vec<u8> {
    let remote = Remote::new(1);
    let (mut first, mut second) = (Files::new(), Files::new());
    save_directory(&mut first, "registry.example/team/app:1", &remote.manifest, &[&remote]);
    save_directory(&mut second, "registry.example/team/app:2", &remote.manifest, &[&remote]);
    let tar = first.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content));
    let link = |tar: Tarball, path: &String| {
        let target = path.replace("app:2", "app:1");
        let target = if kind == tar::EntryType::Symlink { format!("../../../{target}") } else { target };
        tar.link_long(kind, path, &target)
    };
    second.keys().fold(tar, link).end()
}

#[test]
fn b1_an_image_all_of_whose_files_are_links_is_as_good_as_one_of_files() {
    for kind in [tar::EntryType::Link, tar::EntryType::Symlink] {
        let told = every_way(&synced(kind));
        assert_eq!((told.tags.len(), told.warnings, told.failures), (2, vec![], vec![]), "{kind:?}");
        let world = World::new();
        let path = world.file("x.tar", &synced(kind));
        assert_eq!(listed(&world, &path), 2, "an inventory lists both");
    }
}

#[test]
fn b1_documents_of_every_dialect_may_be_links() {
    let remote = Remote::new(1);
    let named = index_of(&[(&remote.manifest, MANIFEST, r#""io.containerd.image.name":"docker.io/library/a:1""#)]);
    let image = Image::new(&["b:1"], &[1, 2]);
    let blobs: Vec<&[u8]> = remote.blobs.iter().map(Vec::as_slice).collect();
    let mut storage = Files::new();
    save_storage(&mut storage, "s/", "c", &[("1", &remote.manifest)], &[], &blobs);
    let tag = "s/repositories/c/_manifests/tags/1/current/link".to_owned();
    let link = storage.remove(&tag).unwrap();
    let saved = save_docker_20(std::slice::from_ref(&image));
    let mut tar = layout("l/", &remote.parts(), &named).unfinished();
    for name in ["index.json", "oci-layout"] {
        tar.extend(Tarball::new().symlink(&format!("m/{name}"), &format!("../l/{name}")).unfinished());
    }
    for part in remote.parts() {
        let blob = format!("blobs/sha256/{}", hex(part));
        tar.extend(
            Tarball::new().link_long(tar::EntryType::Link, &format!("m/{blob}"), &format!("l/{blob}")).unfinished(),
        );
    }
    let tar = storage.iter().fold(Tarball::new().raw(&tar), |tar, (path, content)| tar.file(path, content));
    let tar = tar.file("texts/list", b"docker.io/library/a:1\n").symlink("manifest.txt", "texts/list");
    let tar = tar.file("s/c-1", &link).link_long(tar::EntryType::Link, &tag, "s/c-1");
    // An archive with two names is read once.
    let tar = tar.file("images/b.tar", &saved).symlink("images/latest.tar", "b.tar").end();
    let told = every_way(&tar);
    assert_eq!(told.failures, Vec::<String>::new());
    assert_eq!(told.tags.len(), 3, "{:?}", told.tags);
    let rows =
        ["b:1", "c:1", "docker.io/library/a:1"].map(|name| told.rows.iter().filter(|row| row.contains(name)).count());
    assert_eq!(rows, [1, 1, 2], "{:?}", told.rows);
}

#[test]
fn b1_a_folder_with_links_gives_what_a_tar_of_it_gives() {
    let world = World::new();
    let saved = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    let mut files = Files::new();
    let remote = Remote::new(1);
    save_directory(&mut files, "registry.example/team/app:1", &remote.manifest, &[&remote]);
    files.insert("images/a.tar".into(), saved);
    files.insert(".git/annex/chart".into(), chart("c", "1.0.0"));
    let bundle = world.files("bundle", &files);
    symlink("app:1", bundle.join("registry.example/team/app:stable")).unwrap();
    symlink("../.git/annex/chart", bundle.join("images/c.tgz")).unwrap();
    symlink("a.tar", bundle.join("images/z.tar")).unwrap();
    symlink("/etc/hostname", bundle.join("outside")).unwrap();
    symlink("nowhere", bundle.join("nothing")).unwrap();
    symlink("loop", bundle.join("loop")).unwrap();
    std::fs::hard_link(bundle.join("images/a.tar"), bundle.join("images/b.tar")).unwrap();
    let report = world.path(&bundle);
    let folder = told(&world, &report);
    assert_eq!((folder.tags.len(), folder.rows.len()), (3, 3), "{folder:?}");
    let warned = folder.warnings.join("\n");
    for (path, why) in [
        ("registry.example/team/app:stable", "links to a folder"),
        ("outside", "links to outside"),
        ("nothing", "links to nothing"),
        ("loop", "links to itself"),
    ] {
        assert!(folder.warnings.iter().any(|line| line.starts_with(path) && line.contains(why)), "{path}: {warned}");
    }
    let tar = world.folder.path().join("x.tar");
    run(Command::new("tar").args(["--sort=name", "-cf"]).arg(&tar).arg("-C").arg(&bundle).arg("."));
    let mounted = World::new();
    let mount = mounted.mount(&tar);
    assert_eq!(told(&mounted, &mount), folder);
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What macOS puts beside each file of an archive.
fn apple_double(tar: Tarball, path: &str) -> Tarball {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let content = [&b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "[..], &[0; 139]].concat();
    tar.file(&format!("{folder}/._{name}"), &content)
}

#[test]
fn b10_what_an_operating_system_leaves_behind_is_left_out_of_archives_too() {
    let image = Image::new(&["a:1"], &[1]);
    let saved = save_docker_20(std::slice::from_ref(&image));
    let packed = chart("demo", "1.0.0");
    let mut tar = Tarball::new().folder("b/");
    for (path, content) in [
        ("b/.DS_Store", &b"\x00\x00\x00\x01Bud1"[..]),
        ("b/images/app.tar", &saved),
        ("b/charts/demo-1.0.0.tgz", &packed),
        ("b/Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("b/System Volume Information/IndexerVolumeGuid", b"x"),
        ("b/$RECYCLE.BIN/desktop.ini", b"x"),
        ("b/.Trash-1000/files/old.tar", &saved[..2000]),
        ("b/lost+found/#1", b"x"),
        ("__MACOSX/b/x", b"x"),
    ] {
        tar = apple_double(tar, path).file(path, content);
    }
    let told = every_way(&tar.clone().end());
    assert_eq!((told.rows.len(), told.warnings, told.failures), (2, vec![], vec![]));
    let mut world = World::new();
    world.settings.strict = true;
    let path = world.file("b.tar", &tar.clone().end());
    assert_eq!(world.path(&path).images.len(), 2, "strict");
    assert_eq!(listed(&world, &path), 2, "the inventory");
    // Inside an image as well.
    let (mut junk, rest) = (Tarball::new(), saved);
    for name in ["x/manifest.json", "x/layer.tar", "x/VERSION"] {
        junk = apple_double(junk, name);
    }
    assert_eq!(every_way(&junk.raw(&rest).unfinished()).rows.len(), 1);
    // What is hidden and may be meant has a word.
    let told = every_way(&tar.file("b/.cache/images/x.tar", b"x").end());
    assert_eq!(told.warnings.len(), 1);
    assert!(told.warnings[0].starts_with("b/.cache: left out: it is hidden"), "{}", told.warnings[0]);
}

#[test]
fn b14_one_entry_that_cannot_be_read_is_named_and_the_rest_goes_in() {
    let world = World::new();
    let mut files = Files::new();
    files.insert("images/a.tar".into(), save_docker_20(&[Image::new(&["a:1"], &[1])]));
    files.insert("gone.txt".into(), b"x".to_vec());
    let bundle = world.files("bundle", &files);
    symlink("loop", bundle.join("images/loop")).unwrap();
    symlink("b", bundle.join("a")).unwrap();
    symlink("a", bundle.join("b")).unwrap();
    symlink("images/a.tar/x", bundle.join("through-a-file")).unwrap();
    let report = world.path(&bundle);
    assert_eq!((report.images.len(), failures(&report)), (1, String::new()));
    for path in ["bundle/images/loop", "bundle/a", "bundle/b", "bundle/through-a-file"] {
        assert!(report.warnings.iter().any(|warning| warning.file.ends_with(path)), "{path}: {:?}", report.warnings);
    }
}

#[test]
fn b14_what_cannot_be_read_at_all_is_a_failure_that_names_it_and_the_rest_goes_in() {
    let mut world = World::new();
    let bundle = world.file("bundle/images/a.tar", &save_docker_20(&[Image::new(&["a:1"], &[1])]));
    let bundle = bundle.parent().unwrap().parent().unwrap().to_owned();
    // A path longer than the system takes can be made in two halves, and not be read.
    let half = |root: &Path| {
        let deepest = (0..10).fold(root.to_owned(), |folder, _| folder.join("d".repeat(250)));
        std::fs::create_dir_all(&deepest).unwrap();
        deepest
    };
    let second = world.folder.path().join("second");
    half(&second);
    std::fs::rename(&second, half(&bundle.join("unreadable")).join("second")).unwrap();
    let report = world.path(&bundle);
    assert_eq!(report.images.len(), 1);
    let [failure] = report.failures.as_slice() else { panic!("{:?}", report.failures) };
    assert!(failure.file.contains("bundle/unreadable/") && failure.message.contains("could not read it"), "{failure}");
    world.settings.strict = true;
    assert!(world.try_path(&bundle).is_err());
}

/// Runs GNU tar in a folder with one archive, one text and one other file, and returns what it wrote.
fn gnu_tar(arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("b");
    std::fs::create_dir(&bundle).unwrap();
    std::fs::write(bundle.join("a.tar"), save_docker_20(&[Image::new(&["a:1"], &[1])])).unwrap();
    std::fs::write(bundle.join("manifest.txt"), "a\n").unwrap();
    let holes = std::fs::File::create(bundle.join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"end", 3 << 20).unwrap();
    run(Command::new("tar").current_dir(folder.path()).args(["--sort=name", "-cf", "x.tar"]).args(arguments).arg("b"));
    std::fs::read(folder.path().join("x.tar")).unwrap()
}

#[test]
fn b15_harmless_neighbours_and_a_label_keep_nothing_out() {
    for (what, extra) in [
        ("absolute link", Tarball::new().symlink("b/current", "/opt/bundles/1.0").unfinished()),
        ("Latin-1", entry(b"b/\xdcbersicht.pdf", tar::EntryType::Regular, b"pdf", |_| {})),
    ] {
        let saved = save_docker_20(&[Image::new(&["a:1"], &[1])]);
        let told = every_way(&Tarball::new().raw(&extra).file("b/a.tar", &saved).end());
        assert_eq!(
            (told.rows.len(), told.warnings.len(), told.failures),
            (1, 1, vec![]),
            "{what}: {:?}",
            told.warnings
        );
    }
    for format in ["gnu", "pax"] {
        let told = every_way(&gnu_tar(&["--format", format, "--label", "my bundle"]));
        assert_eq!((told.rows.len(), told.failures), (1, vec![]), "{format}");
    }
}

#[test]
fn b15_what_only_gnu_tar_can_put_together_is_refused_with_the_cure() {
    let whole = gnu_tar(&[]);
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512);
    let appended = Tarball::new().raw(&whole[..end]).file("b/manifest.txt", b"b\n").end();
    let concatenated = [whole.clone(), whole].concat();
    let folder = tempfile::tempdir().unwrap();
    let snapshot = format!("--listed-incremental={}", folder.path().join("snapshot").display());
    let second = entry(b"b/a.tar", tar::EntryType::new(b'M'), &[1; 600], |_| {});
    let first = [
        entry(b"b/", tar::EntryType::Directory, b"", |_| {}),
        entry(b"b/f", tar::EntryType::Regular, &[7; 30_000], |_| {}),
    ];
    for (what, tar, cure) in [
        ("GNU sparse", gnu_tar(&["--format", "gnu", "--sparse"]), "without that option"),
        ("PAX sparse", gnu_tar(&["--format", "pax", "--sparse"]), "without that option"),
        ("appended", appended, "make the tar again from the files"),
        ("concatenated", concatenated, "ingest each by itself"),
        ("incremental", gnu_tar(&[&snapshot]), "make a tar of everything"),
        ("a later volume", second, "make one tar"),
        ("the first volume", first.concat()[..20_480].to_vec(), "make one tar"),
    ] {
        let told = World::new().refused("x.tar", &tar);
        assert!(told.contains("x.tar: ") && told.matches(cure).count() == 2, "{what}: {told}");
    }
}

#[test]
fn b17_backslashes_of_windows_in_a_manifest_json_are_slashes() {
    let image = Image::new(&["a:1"], &[1, 2]);
    let layers = ["l1", "l2"].map(|id| format!("{}/layer.tar", hex(id)));
    let written = layers.each_ref().map(|path| format!("\"{}\"", path.replace('/', "\\\\")));
    let item = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":[{}]}}]"#, written.join(","));
    let mut tar = Tarball::new().file("c.json", &image.config);
    for (path, layer) in layers.iter().zip(&image.layers) {
        tar = tar.file(path, layer);
    }
    assert_eq!(every_way(&tar.file("manifest.json", item.as_bytes()).end()).rows.len(), 1);
}

#[test]
fn b17_layouts_that_share_a_folder_of_blobs_go_in() {
    let mut tar = Tarball::new();
    for seed in [1, 2] {
        let remote = Remote::new(seed);
        for part in remote.parts() {
            tar = tar.file(&format!("b/shared/sha256/{}", hex(part)), part);
        }
        let name = format!(r#""io.containerd.image.name":"docker.io/library/app:{seed}""#);
        let index = index_of(&[(&remote.manifest, MANIFEST, &name)]);
        tar = tar.file(&format!("b/app{seed}/index.json"), &index);
        tar = tar.file(&format!("b/app{seed}/oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#);
    }
    let told = every_way(&tar.clone().end());
    assert_eq!((told.tags.len(), told.failures), (2, vec![]), "{:?}", told.warnings);
    // The content has to be what its name says.
    let wrong = Remote::new(3);
    let index = index_of(&[(&wrong.manifest, MANIFEST, r#""io.containerd.image.name":"docker.io/library/app:3""#)]);
    for part in wrong.parts() {
        let content = if part == wrong.manifest.as_slice() { part.to_vec() } else { vec![0; part.len()] };
        tar = tar.file(&format!("b/shared/sha256/{}", hex(part)), &content);
    }
    let tar = tar.file("b/app3/index.json", &index).file("b/app3/oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    let world = World::new();
    let report = world.ingest("x.tar", &tar.end());
    assert_eq!((world.tags().len(), report.failures.len()), (2, 1));
}

#[test]
fn b18_what_is_given_in_place_of_an_archive_is_named_with_its_cure() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(b"manifest.json\0\0".iter().flat_map(|byte| [*byte, 0])).collect();
    let mut iso = vec![0; 0x8001];
    iso.extend(b"CD001\x01");
    iso.resize(80_000, 0);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for (content, cure) in [
        (&utf16[..], "docker save -o"),
        (pointer, "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>\n", "download it again"),
        (&iso, "mount it"),
    ] {
        for name in ["x.tar", "x", "x.iso", "x.tar.gz"] {
            let told = World::new().refused(name, content);
            assert_eq!(told.matches(cure).count(), 2, "{name}: {told}");
        }
        // In a bundle it fails alone.
        let saved = save_docker_20(&[Image::new(&["a:1"], &[1])]);
        let told = every_way(&Tarball::new().file("b/images/x.tar", content).file("b/a.tar", &saved).end());
        assert_eq!((told.rows.len(), told.failures.len()), (1, 1));
        assert!(told.failures[0].contains(cure), "{:?}", told.failures);
    }
    let told = every_way(&tarred(&Files::from([
        ("b/docs/index.html".to_owned(), b"<html></html>".to_vec()),
        ("b/setup.iso".to_owned(), iso),
        ("b/c-1.0.0.tgz".to_owned(), chart("c", "1.0.0")),
    ])));
    assert_eq!((told.rows.len(), told.failures.len(), told.warnings.len()), (1, 0, 2), "{told:?}");
    assert!(told.warnings[0].contains("no image archive"), "a page may be content: {:?}", told.warnings);
    assert!(told.warnings[1].contains("ISO 9660"), "{:?}", told.warnings);
}

/// Archives within archives, `wide` in each and `deep` within one another: some kilobytes.
fn multiplied(wide: usize, deep: usize) -> Vec<u8> {
    (0..deep).fold(zstd(&Tarball::new().file("a.txt", b"x").end()), |inner, _| {
        zstd(&(0..wide).fold(Tarball::new(), |tar, number| tar.file(&format!("{number}.tar.zst"), &inner)).end())
    })
}

#[test]
fn d05_archives_within_archives_are_bounded_in_sum() {
    let mut world = World::new();
    world.settings.limits.entries = 500;
    let told = world.refused("x.tar.zst", &multiplied(12, 3));
    let limit =
        "the number of entries in all archives together is over the limit of 500; raise `ingest.limits.entries`";
    assert!(told.contains(limit), "{told}");
}

#[test]
fn d05_an_ingest_of_archives_within_archives_ends_when_it_is_cancelled() {
    let world = World::new();
    let content = multiplied(150, 3);
    assert!(content.len() < 30_000, "{}", content.len());
    let path = world.file("x.tar.zst", &content);
    let cancel = Cancel::default();
    let asked = {
        let cancel = cancel.clone();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            cancel.cancel();
            std::time::Instant::now()
        })
    };
    let inputs = vec![Input::Path(path)];
    let ended = world.within(|| {
        airdock_sync::ingest::ingest_until(
            &cancel,
            &world.registry,
            &airdock_sync::publish::PublishRules::default(),
            inputs,
            &world.settings,
            &|_| {},
        )
    });
    assert_eq!(ended.unwrap_err(), airdock_sync::ingest::IngestError::Cancelled);
    // Within a second on a machine that does nothing else.
    assert!(asked.join().unwrap().elapsed() < std::time::Duration::from_secs(5));
}
