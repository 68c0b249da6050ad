//! Layers large enough to be written in parallel.

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{Cancel, Event, IngestError, Input, inventory};

use testkit::archive::{save_docker_20, save_docker_26};
use testkit::content::bytes;
use testkit::image::Image;
use testkit::ingest::{World, failures};

const MIB: usize = 1024 * 1024;

fn image() -> Image {
    let layers = [(1, 3 * MIB), (2, 2 * MIB + 512), (3, MIB), (4, 512), (1, 3 * MIB)];
    Image::of_layers(&["a:1"], layers.map(|(seed, size)| bytes(seed, size)).to_vec())
}

#[test]
fn large_layers_go_in_whole_and_are_read_and_told_once() {
    let image = image();
    for archive in [save_docker_20(std::slice::from_ref(&image)), save_docker_26(std::slice::from_ref(&image))] {
        let world = World::new();
        let report = world.ingest("x.tar", &archive);
        assert_eq!(failures(&report), "");
        assert!(report.bytes_read <= archive.len() as u64 + 64 * 1024, "{} of {}", report.bytes_read, archive.len());
        for layer in &image.layers {
            let digest = Algorithm::Sha256.digest(layer);
            assert!(world.blob("docker.io/library/a", &digest).as_ref() == Some(layer), "{digest}");
        }
        let events = world.events.borrow();
        let told = events.iter().map(|event| if let Event::Advanced { bytes } = event { *bytes } else { 0 });
        assert_eq!(told.sum::<u64>(), archive.len() as u64);
        world.check_whole();
    }
}

#[test]
fn a_large_layer_that_was_changed_is_named_and_nothing_of_its_image_is_seen() {
    let good = image();
    let mut bad = good.clone();
    bad.layers[1][MIB] ^= 1;
    let world = World::new();
    let told = world.refused("x.tar", &save_docker_20(&[bad]));
    assert!(told.contains(&Algorithm::Sha256.digest(&good.layers[1]).to_string()), "{told}");
    assert_eq!(world.tags(), Vec::<String>::new());
    assert_eq!(failures(&world.ingest("y.tar", &save_docker_20(&[good]))), "");
    world.check_whole();
}

#[test]
fn an_inventory_hashes_large_layers_and_refuses_a_changed_one() {
    let good = image();
    let mut bad = good.clone();
    bad.layers[1][MIB] ^= 1;
    let world = World::new();
    let made = |image: Image| {
        let input = Input::Path(world.file("x.tar", &save_docker_20(&[image])));
        inventory(vec![input], &world.settings, &Cancel::default(), &|_| {})
    };
    let listed = made(good.clone()).unwrap();
    let digest = world.ingest("y.tar", &save_docker_20(&[good])).images[0].digest.clone();
    assert_eq!(listed.entries.iter().map(|entry| entry.digest().to_string()).collect::<Vec<_>>(), [digest]);
    assert!(matches!(made(bad), Err(IngestError::Strict { .. })));
}
