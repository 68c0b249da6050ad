//! A read-only medium, as most that cross an air gap are (A13).

use std::fs;
use std::path::Path;

use super::bundle::Bundles;
use super::disk::Disk;
use super::random::Random;
use testkit::process::{Airdock, run};

#[test]
fn a13_a_bundle_on_a_read_only_disk_goes_in_as_a_folder_and_as_a_file() {
    let Some(disk) = Disk::new(32) else { return };
    let mut bundles = Bundles::default();
    let mut random = Random::seeded("read-only medium");
    let folder = bundles.make(&mut random, disk.path(), 20_000);
    disk.remount_read_only();
    assert!(fs::write(disk.path().join("x"), "x").is_err(), "it takes nothing");
    let image = folder.join("images/zenml-client.tar");
    for (medium, tags) in [(&folder, 2), (&image, 2)] {
        let airdock = Airdock::start();
        let arguments = ["ingest", "--progress", "never", "--data"].map(Path::new);
        let output = run(airdock.directory(), arguments.into_iter().chain([airdock.data(), medium]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = airdock.client().get("/v2/zenml/zenml/tags/list").expect(200).json();
        assert_eq!(listed["tags"].as_array().unwrap().len(), tags);
    }
}
