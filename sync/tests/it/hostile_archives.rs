//! Archives that no image tool writes. Each is refused with an error that names the file and the cause; no tag is left, and
//! nothing but blobs is written.

use tar::EntryType;

use testkit::archive::save_docker_20;
use testkit::content::{bzip2, gzip, xz, zstd};
use testkit::image::Image;
use testkit::ingest::{World, failures};
use testkit::tarball::{Tarball, entry, pax};

/// A valid image with more entries before its end.
fn with(extra: &[u8]) -> Vec<u8> {
    let mut archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    archive.truncate(archive.len() - 1024);
    Tarball::new().raw(&archive).raw(extra).end()
}

fn refused(what: &str, extra: &[u8], cause: &str) {
    let told = World::new().refused("evil.tar", &with(extra));
    assert!(told.contains("evil.tar") && told.contains(cause), "{what}: {told}");
}

fn file(path: &[u8]) -> Vec<u8> {
    entry(path, EntryType::Regular, b"content", |_| {})
}

#[test]
fn a_tar_of_the_same_shape_without_the_hostile_part_goes_in() {
    let world = World::new();
    assert_eq!(failures(&world.ingest("x.tar", &with(&file(b"harmless")))), "");
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn a01_a_pax_size_that_disagrees_with_the_header_is_refused() {
    for stated in ["0", "1024", "99999999999"] {
        refused(stated, &[pax(&[("size", stated)]), file(b"x")].concat(), "sizes disagree");
    }
    refused(
        "global",
        &[entry(b"pax", EntryType::XGlobalHeader, b"12 size=512\n", |_| {}), file(b"x")].concat(),
        "global",
    );
    refused("no number", &[pax(&[("size", "-1")]), file(b"x")].concat(), "no number");
    refused("twice", &[pax(&[("size", "7"), ("size", "7")]), file(b"x")].concat(), "two sizes");
}

#[test]
fn a01_a_tar_smuggled_behind_an_empty_header_size_is_content_and_no_entries() {
    // CVE-2025-62518: the header states 0, PAX the real size; a reader that uses the header sees the inner entries.
    let inner = save_docker_20(&[Image::new(&["smuggled:1"], &[2])]);
    let header = entry(b"blob.bin", EntryType::Regular, b"", |_| {});
    let mut body = inner.clone();
    body.resize(body.len().next_multiple_of(512), 0);
    let size = inner.len().to_string();
    let archive = with(&[pax(&[("size", &size)]), header, body].concat());
    // GNU tar and Go see one entry there, and so does this reader: an archive of its own, and a valid one.
    let world = World::new();
    let report = world.ingest("x.tar", &archive);
    assert_eq!(report.images.len(), 2);
    assert!(report.images.iter().any(|row| row.image.contains("smuggled")));
}

#[test]
fn a02_names_that_leave_the_archive_are_refused() {
    for (path, cause) in [
        (&b"../../etc/passwd"[..], "leaves the archive"),
        (b"a/../../b", "leaves the archive"),
        (b"/etc/passwd", "absolute"),
    ] {
        refused("path", &file(path), cause);
    }
    refused("PAX path", &[pax(&[("path", "../../x")]), file(b"x")].concat(), "leaves the archive");
    refused("zero byte", &[pax(&[("path", "a\0b")]), file(b"x")].concat(), "zero byte");
}

/// What a folder leaves out: its neighbours go in, and it is named.
fn left_out(what: &str, extra: &[u8], path: &str, cause: &str) {
    let archive = with(extra);
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&archive) } else { world.ingest("evil.tar", &archive) };
        assert_eq!((report.images.len(), failures(&report)), (1, String::new()), "{what}");
        let [warning] = report.warnings.as_slice() else { panic!("{what}: {:?}", report.warnings) };
        assert!(warning.file.ends_with(path) && warning.message.contains(cause), "{what}: {warning}");
        assert_eq!(world.tags().len(), 1, "{what}");
    }
}

#[test]
fn a02_names_with_a_backslash_or_no_text_are_left_out() {
    left_out("backslash", &file(b"a\\..\\b"), "a\\..\\b", "backslash");
    left_out("bytes", &file(b"a/b\xff\xfe/c"), "a/b\u{fffd}\u{fffd}", "UTF-8");
}

#[test]
fn a02_links_that_leave_the_archive_and_devices_are_left_out() {
    let link = |kind, path: &str, target: &str| Tarball::new().link(kind, path, target).unfinished();
    for (kind, target) in [
        (EntryType::Symlink, "/etc/passwd"),
        (EntryType::Symlink, "../../etc/passwd"),
        (EntryType::Link, "/etc/passwd"),
        (EntryType::Link, "../x"),
    ] {
        left_out(target, &link(kind, "a/link", target), "a/link", "it links to outside the bundle");
    }
    left_out("no target", &link(EntryType::Symlink, "a/link", ""), "a/link", "it links to nothing");
    // A link, and a file with the link in its path: at most two entries of one name, never a file elsewhere.
    let through = [link(EntryType::Symlink, "dir", "other"), file(b"dir/x")].concat();
    let world = World::new();
    assert_eq!(failures(&world.ingest("x.tar", &with(&through))), "");
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        left_out("device", &entry(b"dev", kind, b"", |_| {}), "dev", "device");
    }
    refused(
        "link with content",
        &entry(b"l", EntryType::Symlink, b"abc", |header| {
            header.as_old_mut().linkname[0] = b'x';
        }),
        "content",
    );
}

fn linked(links: &[(&str, &str)], layer: &str) -> Vec<u8> {
    let image = Image::new(&["a:1"], &[1]);
    let item = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":["{layer}"]}}]"#);
    let mut tar = Tarball::new().folder("folder/").file("c.json", &image.config);
    for (path, target) in links {
        tar = tar.symlink(path, target);
    }
    tar.file("real/layer.tar", &image.layers[0]).file("manifest.json", item.as_bytes()).end()
}

#[test]
fn a03_a_layer_link_is_followed_to_a_file_within_the_archive_only() {
    for links in [
        &[("l/layer.tar", "../real/layer.tar")][..],
        &[("l/layer.tar", "../m/layer.tar"), ("m/layer.tar", "../real/layer.tar")],
    ] {
        let archive = linked(links, "l/layer.tar");
        assert_eq!(failures(&World::new().ingest("x.tar", &archive)), "");
        assert_eq!(failures(&World::new().pipe(&archive)), "");
    }
    for (links, cause) in [
        (&[("l/layer.tar", "layer.tar")][..], "it links to itself"),
        (&[("l/layer.tar", "../m/layer.tar"), ("m/layer.tar", "../l/layer.tar")], "it links to itself"),
        (&[("l/layer.tar", "../missing")], "it links to nothing"),
        (&[("l/layer.tar", "../folder")], "it links to a folder"),
        (&[("l/layer.tar", "../../x")], "it links to outside"),
    ] {
        let world = World::new();
        let told = world.refused("x.tar", &linked(links, "l/layer.tar"));
        assert!(told.contains("its layer `l/layer.tar`"), "{links:?}: {told}");
        let warned = format!("{:?}", world.events.borrow());
        assert!(warned.contains("l/layer.tar") && warned.contains(cause), "{links:?}: {warned}");
    }
}

#[test]
fn a08_entries_that_come_twice_are_refused() {
    refused("manifest.json", &file(b"manifest.json"), "twice");
    refused("spelt otherwise", &file(b"./manifest.json"), "twice");
    let folders =
        [entry(b"d/", EntryType::Directory, b"", |_| {}), entry(b"d/", EntryType::Directory, b"", |_| {})].concat();
    assert_eq!(failures(&World::new().ingest("x.tar", &with(&folders))), "", "folders are no content");
}

#[test]
fn sparse_files_and_types_readers_disagree_about_are_refused() {
    refused("GNU sparse", &entry(b"s", EntryType::GNUSparse, b"", |_| {}), "tar --sparse");
    refused(
        "PAX sparse",
        &[pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")]), file(b"s")].concat(),
        "sparse",
    );
    refused("unknown", &entry(b"u", EntryType::new(b'Q'), b"data", |_| {}), "type that readers disagree about");
    refused("folder with content", &entry(b"d/", EntryType::Directory, b"data", |_| {}), "content");
    refused("file named as a folder", &entry(b"d/", EntryType::Regular, b"data", |_| {}), "content");
    let harmless = entry(b"label", EntryType::new(b'V'), b"", |_| {});
    assert_eq!(failures(&World::new().ingest("x.tar", &with(&harmless))), "");
}

#[test]
fn a_tar_with_wrong_sizes_is_refused() {
    let negative = entry(b"n", EntryType::Regular, b"", |header| header.as_old_mut().size = [0xff; 12]);
    refused("negative", &negative, "size");
    let words = entry(b"n", EntryType::Regular, b"", |header| header.as_old_mut().size = *b"many bytes\0\0");
    refused("words", &words, "size");
    // More than 64 bits; a careless reader takes the lowest, which are 0.
    let wraps = entry(b"n", EntryType::Regular, b"", |header| {
        header.as_old_mut().size = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    });
    refused("wraps", &wraps, "size");
    let signed = entry(b"n", EntryType::Regular, b"", |header| header.as_old_mut().size = *b"+0000000000\0");
    refused("signed", &signed, "size");
    let huge = entry(b"n", EntryType::Regular, b"", |header| {
        header.as_old_mut().size = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    });
    refused("beyond everything", &huge, "incomplete");
    // Smaller than the content: the rest is not a header.
    let less = entry(b"n", EntryType::Regular, &[7; 2000], |header| header.set_size(10));
    refused("too small", &less, "checksum");
}

#[test]
fn a_damaged_header_and_anything_behind_the_end_are_refused() {
    let mut damaged = file(b"x");
    damaged[0] ^= 1;
    refused("checksum", &damaged, "checksum");
    let mut archive = with(&[]);
    archive.extend(file(b"hidden"));
    let told = World::new().refused("evil.tar", &archive);
    assert!(told.contains("behind the end"), "{told}");
    // One block of zeros between entries: some readers stop there, some go on.
    refused("single zero block", &[vec![0; 512], file(b"hidden")].concat(), "zeros");
    let mut padded = with(&[]);
    padded.resize(padded.len() + 9216, 0);
    assert_eq!(failures(&World::new().ingest("x.tar", &padded)), "", "tar pads to its own records");
}

#[test]
fn extended_headers_without_bounds_or_sense_are_refused() {
    let long = entry(b"L", EntryType::GNULongName, &[vec![b'a'; 5000], vec![0]].concat(), |_| {});
    refused("GNU long name", &[long, file(b"x")].concat(), "limit");
    let declared = entry(b"pax", EntryType::XHeader, b"", |header| header.set_size(10 << 30));
    refused("PAX of 10 GiB", &declared, "limit");
    for body in [&b"x"[..], b"5 a=b\n", b"99 path=x\n", b"7 path=\n", b"8 pathx\n", b"99999999999999999999 a=b\n"] {
        refused("PAX", &[entry(b"pax", EntryType::XHeader, body, |_| {}), file(b"x")].concat(), "PAX");
    }
    let twice = [pax(&[("path", "a")]), pax(&[("path", "b")]), file(b"x")].concat();
    refused("two PAX headers", &twice, "several extended headers");
    refused("PAX at the end", &pax(&[("path", "a")]), "no entry behind it");
}

#[test]
fn a18_very_many_entries_or_names_are_refused() {
    let mut world = World::new();
    world.settings.limits.entries = 1000;
    let many = (0..2000).fold(Tarball::new(), |tar, n| tar.file(&format!("f{n}"), b"")).end();
    let told = format!("{:?}", world.try_ingest("x.tar", &many));
    assert!(told.contains("number of entries") && told.contains("ingest.limits.entries"), "{told}");
    // Few enough entries, but with names of 4 KiB each.
    let mut tar = Tarball::new();
    for n in 0..4200 {
        let path = format!("{n}/{}", "a/".repeat(2000));
        tar = tar.raw(&pax(&[("path", &format!("{path}f"))])).raw(&file(b"x"));
    }
    let told = World::new().refused("x.tar", &tar.end());
    assert!(told.contains("names of its entries"), "{told}");
    refused("64 KiB of PAX path", &[pax(&[("path", &"a/".repeat(1 << 15))]), file(b"x")].concat(), "limit");
}

#[test]
fn a_truncated_or_padded_gzip_is_refused() {
    let archive = gzip(&with(&[]));
    let told = World::new().refused("evil.tar.gz", &archive[..archive.len() - 5]);
    assert!(told.contains("incomplete"), "{told}");
    let told = World::new().refused("evil.tar.gz", &[archive.clone(), b"trailing rubbish".to_vec()].concat());
    assert!(told.contains("damaged"), "{told}");
    let mut checksum = archive.clone();
    let end = checksum.len() - 6;
    checksum[end] ^= 1;
    assert!(World::new().refused("evil.tar.gz", &checksum).contains("damaged"));
    // Consecutive members are one stream (RFC 1952, 2.2).
    let whole = with(&[]);
    let (front, back) = whole.split_at(2000);
    assert_eq!(failures(&World::new().ingest("x.tar.gz", &[gzip(front), gzip(back)].concat())), "");
}

#[test]
fn a04_a_bomb_stops_at_its_allowance() {
    // 3 GiB of zeros in a layer, compressed twice to some kilobytes.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let header = entry(b"l/layer.tar", EntryType::Regular, b"", |header| header.set_size(3 << 30));
    std::io::Write::write_all(&mut encoder, &header).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..3072 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let bomb = zstd(&encoder.finish().unwrap());
    assert!(bomb.len() < 100_000);
    let world = World::new();
    let told = format!("{:?}", world.try_ingest("bomb.tar.zst", &bomb));
    assert!(told.contains("bomb.tar.zst") && told.contains("unpacks to"), "{told}");
    assert_eq!(world.tags(), Vec::<String>::new());
    assert_eq!(
        std::fs::read_dir(world.folder.path().join("data/incoming")).map_or(0, Iterator::count),
        0,
        "nothing is left over"
    );
}

#[test]
fn a04_a_bomb_of_any_compression_stops_at_the_ratio_and_size_that_are_set() {
    let header = entry(b"l/layer.tar", EntryType::Regular, b"", |header| header.set_size(64 << 20));
    let zeros = [header, vec![0; 16 << 20]].concat();
    for (name, packed) in [
        ("bomb.tar.gz", gzip(&zeros)),
        ("bomb.tar.zst", zstd(&zeros)),
        ("bomb.tar.xz", xz(&zeros)),
        ("bomb.tar.bz2", bzip2(&zeros)),
    ] {
        let mut world = World::new();
        world.settings.limits.ratio = 10;
        world.settings.limits.ratio_from = 3 << 20;
        let told = world.refused(name, &packed);
        assert!(told.contains(name) && told.contains("unpacks to") && told.contains("ingest.limits.ratio"), "{told}");
        // Below the bound it is only cut short.
        assert!(World::new().refused(name, &packed).contains("incomplete"), "{name}");
    }
}

#[test]
fn a05_a_zstd_window_of_2_gib_is_refused_with_the_cure() {
    let told = World::new().refused("evil.tar.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]);
    assert!(told.contains("128 MiB") && told.contains("--long"), "{told}");
}

#[test]
fn an_evil_archive_in_a_bundle_keeps_none_of_the_others_out() {
    let good = save_docker_20(&[Image::new(&["good:1"], &[2])]);
    let evil = with(&file(b"../../etc/passwd"));
    let bundle = Tarball::new()
        .file("b/1.tar", &good)
        .file("b/2.tar", &evil)
        .file("b/3.tar", &save_docker_20(&[Image::new(&["fine:1"], &[3])]))
        .end();
    for content in [bundle.clone(), gzip(&bundle)] {
        let mut world = World::new();
        let report = world.ingest("b.tar", &content);
        assert_eq!(report.failures.len(), 1);
        assert!(report.failures[0].file.ends_with("b.tar: b/2.tar"), "{}", report.failures[0].file);
        assert_eq!(world.tags().len(), 2);
        world.check_whole();
        world = World::new();
        world.settings.strict = true;
        assert!(world.try_ingest("b.tar", &content).is_err());
        assert_eq!(world.tags(), Vec::<String>::new());
    }
}
