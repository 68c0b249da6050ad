//! Power cuts at random moments of push and ingest (A15, S01, S02): synced data survives, the rest is lost, and no response
//! had relied on the rest.

use super::disk::Disk;
use super::random::Random;
use super::site::{DISK, Scene, Site, Tally};

#[test]
fn two_hundred_power_cuts_lose_nothing_that_was_acknowledged_and_leave_nothing_half_visible() {
    let mut random = Random::seeded("power cuts");
    let mut tally = Tally::default();
    let scenes = [
        Scene::Push,
        Scene::PushAndIngest,
        Scene::Stop,
        Scene::Push,
        Scene::IngestAlone,
        Scene::Push,
        Scene::Start,
        Scene::PushAndIngest,
        Scene::Push,
        Scene::ServeBundle,
    ];
    for _ in 0..20 {
        let Some(disk) = Disk::new(DISK) else { return };
        let mut site = Site::new(&mut random, Some(disk));
        for scene in scenes {
            site.crash(scene, &mut tally);
        }
    }
    tally.check();
}

/// Checks the test disk itself: the other tests prove nothing if it loses nothing, or everything.
#[test]
fn a_cut_disk_keeps_what_was_synced_and_nothing_else() {
    use std::fs::{self, File};
    let Some(mut disk) = Disk::new(64) else { return };
    let at = disk.path().to_owned();
    let write = |name: &str| {
        fs::write(at.join(name), name).unwrap();
        File::open(at.join(name)).unwrap()
    };
    write("synced.new").sync_all().unwrap();
    fs::rename(at.join("synced.new"), at.join("synced")).unwrap();
    File::open(&at).unwrap().sync_all().unwrap();
    write("half.new").sync_all().unwrap();
    fs::rename(at.join("half.new"), at.join("half")).unwrap();
    write("never");
    disk.cut();
    assert!(fs::write(at.join("after"), "x").is_err(), "a cut disk takes nothing");
    disk.recover();
    let mut names: Vec<_> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["half.new", "lost+found", "synced"], "a rename without its folder's sync is undone");
    assert_eq!(fs::read_to_string(at.join("synced")).unwrap(), "synced.new");
}
