//! What tells that a medium's file was changed, and what only looks like it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use airdock_registry::{Error, MediumError};

use testkit::registry::{Site, asked, image, read, sha256};

use crate::{LARGE, layer};

/// How many blobs of all media are bad.
async fn bad(world: &Site) -> usize {
    let registry = world.registry.clone();
    let check = move || registry.check_media(&AtomicBool::new(false));
    tokio::task::spawn_blocking(check).await.unwrap().iter().map(|(_, found)| found.bad).sum()
}

/// Puts a copy in the place of a file, with the same times and another inode, as a file system that has no numbers for its
/// files shows the same file after the cache was dropped.
fn renumber(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    let times = fs::metadata(path).unwrap();
    File::options().write(true).open(&copy).unwrap().set_modified(times.modified().unwrap()).unwrap();
    assert_ne!(fs::metadata(&copy).unwrap().ino(), times.ino());
    fs::rename(&copy, path).unwrap();
}

/// Writes into a file and puts its mtime back, as any program can.
fn change_in_place(path: &Path, at: u64) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    // The ctime has the resolution of the kernel's tick.
    std::thread::sleep(Duration::from_millis(50));
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(b"another byte", at).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn b7_a_file_with_another_inode_and_the_same_size_and_time_is_served_and_re_hashed() {
    let world = Site::new().await;
    world.mount("a", "v1", &layer(1)).await;
    world.mount("b", "v2", b"small").await;
    for _ in 0..3 {
        for of in ["v1", "v2"] {
            renumber(&world.medium(of));
        }
        assert!(world.blob("a", &layer(1)).await.unwrap() == layer(1));
        assert_eq!(world.blob("b", b"small").await.unwrap(), b"small");
        assert_eq!(bad(&world).await, 0);
    }
    // An answer that was begun goes on, and what is pushed over it is copied.
    let begun = world.registry.blob(&asked("a"), &sha256(layer(1))).await.unwrap();
    renumber(&world.medium("v1"));
    assert!(read(&begun) == layer(1));
    let built = image(b"{}", &[&layer(1)], r#","annotations":{"built":"here"}"#);
    world.put("a", "built", built).await.unwrap();
    assert_eq!(world.blobs_in_store(), 3);
}

#[tokio::test]
async fn b7_a_file_of_another_inode_with_other_content_is_found_damaged() {
    let world = Site::new().await;
    world.mount("a", "v1", &layer(1)).await;
    assert_eq!(bad(&world).await, 0);
    let path = world.medium("v1");
    let (aside, modified) = (path.with_extension("aside"), fs::metadata(&path).unwrap().modified().unwrap());
    let mut other = fs::read(&path).unwrap();
    other[LARGE / 2] ^= 1;
    fs::write(&aside, other).unwrap();
    File::options().write(true).open(&aside).unwrap().set_modified(modified).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(bad(&world).await, 1);
    // Whether it also looks changed depends on the clock's tick.
    let refused = world.blob("a", &layer(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Medium(_)), "{refused}");
}

#[tokio::test]
async fn d13_a_verified_file_changed_in_place_with_its_mtime_put_back_is_re_hashed_and_refused() {
    let world = Site::new().await;
    world.mount("a", "v1", &layer(1)).await;
    world.mount("b", "v2", b"small").await;
    for (repository, of) in [("a", &layer(1)[..]), ("b", b"small")] {
        world.blob(repository, of).await.unwrap();
    }
    assert_eq!(bad(&world).await, 0);
    change_in_place(&world.medium("v1"), 5000);
    change_in_place(&world.medium("v2"), 512);
    // A small blob is read when it is opened; a large one as it is sent, or by the pass.
    let refused = world.blob("b", b"small").await.unwrap_err();
    assert!(matches!(refused, Error::Medium(MediumError::Changed { .. })), "{refused}");
    assert_eq!(bad(&world).await, 2);
    let refused = world.blob("a", &layer(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Medium(MediumError::Changed { .. })), "{refused}");
    assert!(refused.to_string().contains("`v1.medium`"), "{refused}");
    // Nor is it copied into the store.
    let built = image(b"{}", &[&layer(1)], r#","annotations":{"built":"here"}"#);
    assert!(world.put("a", "built", built).await.is_err());
}
