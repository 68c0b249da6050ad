//! Archives that were split to fit their media: joined they go in; a single part is refused with the command that joins them.

use std::path::Path;
use std::process::Command;

use airdock_sync::ingest::{IngestError, Notice};

use testkit::archive::save_docker_20;
use testkit::content::zstd;
use testkit::image::Image;
use testkit::ingest::{World, failures};

/// A bundle in three parts.
fn cut(content: &[u8]) -> Vec<&[u8]> {
    content.chunks(content.len().div_ceil(3)).collect()
}

fn bundle() -> Vec<u8> {
    save_docker_20(&[Image::new(&["a:1"], &[1, 2, 3])])
}

/// The failures of an ingest.
fn told(world: &World, path: &Path) -> Vec<Notice> {
    match world.try_path(path) {
        Err(IngestError::Nothing { failures }) if !failures.is_empty() => failures,
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn the_parts_of_an_archive_are_told_with_the_command_that_joins_them() {
    let (plain, packed) = (bundle(), zstd(&bundle()));
    for (names, content, patterns) in [
        (["haul_0.tar.zst", "haul_1.tar.zst", "haul_2.tar.zst"], &packed, &["haul_?.tar.zst"][..]),
        (["haul_1.tar.zst", "haul_2.tar.zst", "haul_10.tar.zst"], &packed, &["haul_?.tar.zst", "haul_??.tar.zst"]),
        (["x.tar.part-aa", "x.tar.part-ab", "x.tar.part-ac"], &plain, &["x.tar.part-??"]),
        (["x.tar.zst.000", "x.tar.zst.001", "x.tar.zst.002"], &packed, &["x.tar.zst.???"]),
        (["xaa", "xab", "xac"], &plain, &["x??"]),
    ] {
        let world = World::new();
        let paths: Vec<_> = names.iter().zip(cut(content)).map(|(name, part)| world.file(name, part)).collect();
        let folder = paths[0].parent().unwrap();
        let patterns: Vec<_> = patterns.iter().map(|pattern| format!("{}/{pattern}", folder.display())).collect();
        let cat = format!("cat {}", patterns.join(" "));
        for given in [folder, &paths[0], &paths[1], &paths[2]] {
            for notice in told(&world, given) {
                assert!(
                    notice.message.contains(&format!("join them in order (`{cat}`) and ingest")),
                    "{given:?}: {notice}"
                );
                assert!(notice.message.contains("incomplete") && notice.message.contains("one of 3 parts"), "{notice}");
            }
        }
        let joined = Command::new("sh").args(["-c", &cat]).output().unwrap();
        assert_eq!(failures(&world.pipe(&joined.stdout)), "", "{cat}");
        assert_eq!(world.tags().len(), 1);
    }
}

#[test]
fn the_first_part_alone_is_told_to_be_one_and_a_name_that_counts_nothing_is_not() {
    let packed = zstd(&bundle());
    for (name, expected) in [
        ("haul_0.tar.zst", "the others are not beside it"),
        ("x.tar.zst.part-aa", "the others are not beside it"),
        // A later part has nothing to recognise it by.
        ("haul_3.tar.zst", "copy the file again"),
        ("zenml-0.93.1.tar.zst", "it ends in the middle; copy the file again"),
        ("bundle.tar.zst", "it ends in the middle; copy the file again"),
    ] {
        let world = World::new();
        let notices = told(&world, &world.file(name, cut(&packed)[0]));
        assert!(notices[0].message.contains(expected), "{name}: {}", notices[0]);
        assert_eq!(
            notices[0].message.contains("join them in order"),
            expected.contains("beside"),
            "{name}: {}",
            notices[0]
        );
    }
}

#[test]
fn an_untrusted_name_is_never_part_of_a_suggested_command() {
    let packed = zstd(&bundle());
    for name in ["x$(reboot)_0.tar.zst", "x; reboot_0.tar.zst", "x'_0.tar.zst", "x`reboot`.tar.aa"] {
        let world = World::new();
        let notices = told(&world, &world.file(name, cut(&packed)[0]));
        assert!(notices[0].message.contains("`cat PARTS`"), "{}", notices[0]);
    }
}
