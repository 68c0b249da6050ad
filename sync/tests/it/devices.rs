//! Block devices, and inputs that are not files.

use std::path::Path;

use testkit::archive::{save_docker_20, tarred};
use testkit::content::gzip;
use testkit::device::Loop;
use testkit::image::Image;
use testkit::ingest::{World, failures};

/// Writes `content` to a device of 8 MiB that was full of other data.
fn device(world: &World, content: &[u8]) -> Option<Loop> {
    let mut medium = vec![0xa5; 8 << 20];
    medium[..content.len()].copy_from_slice(content);
    // Without loop devices, the tests of padded files have to do.
    Loop::over(&world.file("medium", &medium))
}

#[test]
fn a_tar_written_to_a_device_goes_in_whatever_comes_after_it() {
    let world = World::new();
    let archive = save_docker_20(&[Image::new(&["a:1"], &[1, 2])]);
    let Some(device) = device(&world, &archive) else { return };
    let report = world.path(&device.0);
    assert_eq!(failures(&report), "");
    assert_eq!(world.tags().len(), 1);
    world.check_whole();
    let again = world.path(&device.0);
    assert!(!again.wrote);
    assert!(again.bytes_read < 100_000, "what is there already is not read again, nor what lies behind the tar");
}

#[test]
fn a_tar_written_to_a_device_is_mounted_in_place() {
    let (ingested, mounted) = (World::new(), World::new());
    let archive = save_docker_20(&[Image::new(&["a:1"], &[1, 2])]);
    let Some(device) = device(&mounted, &archive) else { return };
    ingested.ingest("x.tar", &archive);
    let report = mounted.mount(&device.0);
    assert_eq!(failures(&report), "");
    assert_eq!(mounted.tags(), ingested.tags());
    mounted.check_whole();
}

#[test]
fn a_device_with_something_else_on_it_is_refused_with_what_to_do() {
    let at = |at: usize, bytes: &[u8]| [vec![0; at], bytes.to_vec()].concat();
    let archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    for (content, told) in [
        (at(0x438, &[0x53, 0xef]), "ext4"),
        (at(0x8001, b"CD001"), "ISO 9660"),
        (at(0x200, b"EFI PART"), "partition table"),
        (gzip(&archive), "compressed"),
        (vec![0; 2048], "no tar begins on it"),
    ] {
        let world = World::new();
        let Some(device) = device(&world, &content) else { return };
        let error = format!("{:?}", world.try_path(&device.0));
        assert!(error.contains(told), "{told}: {error}");
        let error = format!("{:?}", world.try_mount(&device.0));
        assert!(error.contains(told), "mounted, {told}: {error}");
        assert_eq!(world.tags(), Vec::<String>::new());
    }
    // Cut short it is refused, like any other tar.
    let world = World::new();
    let mut cut = archive[..archive.len() - 3000].to_vec();
    cut.extend(vec![0xa5; 600]);
    let Some(device) = device(&world, &cut) else { return };
    let error = format!("{:?}", world.try_path(&device.0));
    assert!(error.contains("damaged") || error.contains("incomplete"), "{error}");
}

#[test]
fn a_tar_padded_with_zeros_goes_in_and_one_with_anything_else_behind_it_does_not() {
    let mut archive = save_docker_20(&[Image::new(&["a:1"], &[1])]);
    archive.resize(archive.len() + (2 << 20), 0);
    let world = World::new();
    assert_eq!(failures(&world.ingest("padded.tar", &archive)), "");
    assert_eq!(failures(&world.pipe(&archive)), "");
    archive.extend(tarred(&testkit::archive::Files::new()));
    archive.push(1);
    assert!(World::new().refused("padded.tar", &archive).contains("behind the end"));
}

#[test]
fn character_devices_and_sockets_are_refused_at_once() {
    let world = World::new();
    let socket = world.folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [Path::new("/dev/zero"), Path::new("/dev/null"), &socket] {
        let error = format!("{:?}", world.try_path(path));
        assert!(error.contains("give a file"), "{}: {error}", path.display());
    }
}
