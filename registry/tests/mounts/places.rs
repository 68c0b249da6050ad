//! Blobs that are at several places of one medium.

use std::fs::{self, File};
use std::sync::atomic::AtomicBool;

use airdock_registry::{MediumCheck, MediumError};

use testkit::registry::{Site, asked, image, image_of, mount_manifest, mounting, sha256};

use crate::layer;

/// Mounts an image whose layer is said to be in each of these files; each file has what is given for it.
async fn mounted(world: &Site, tag: &str, of: &[u8], places: &[(&str, &[u8])]) {
    let manifest = image_of(of);
    let mut draft = mounting(&world.registry, world.folder.path());
    for (file, stored) in places {
        let path = world.medium(file);
        fs::write(&path, stored).unwrap();
        let file = File::open(&path).unwrap();
        // Each image that shares a layer names its place again.
        for _ in 0..2 {
            draft.locate(sha256(of), (&file, &path), (0, stored.len() as u64), false).unwrap();
        }
    }
    mount_manifest(&mut draft, "a", Some(tag), &manifest);
    assert_eq!(world.registry.mount(draft).await.unwrap().blobs, 2);
}

async fn verified(world: &Site) -> MediumCheck {
    let registry = world.registry.clone();
    let verify = move || registry.check_media(&AtomicBool::new(false));
    tokio::task::spawn_blocking(verify).await.unwrap().remove(0).1
}

fn flipped(of: &[u8]) -> Vec<u8> {
    let mut changed = of.to_vec();
    changed[of.len() / 2] ^= 1;
    changed
}

fn damaged(of: &[u8], world: &Site, file: &str) -> MediumError {
    let above = world.folder.path().file_name().unwrap().to_string_lossy().into_owned();
    MediumError::Damaged { digest: sha256(of), file: format!("{above}/{file}.medium") }
}

#[tokio::test]
async fn a_blob_that_is_damaged_at_one_place_is_had_from_the_next() {
    // Small, it is verified as it is opened; large, by the pass or the first who pulls it.
    for of in [b"small".to_vec(), layer(1)] {
        let world = Site::new().await;
        mounted(&world, "v1", &of, &[("one", &flipped(&of)), ("two", &of)]).await;
        let found = verified(&world).await;
        assert_eq!((found.verified, found.bad), (2, 0));
        assert_eq!((found.problems, found.elsewhere), (vec![], vec![damaged(&of, &world, "one")]));
        assert!(world.blob("a", &of).await.unwrap() == of);
        // What is pushed over it is copied from there, too.
        world.put("b", "none", image_of(&of)).await.unwrap_err();
        world.put("a", "over", image(b"{}", &[&of], r#","annotations":{"built":"here"}"#)).await.unwrap();
        assert_eq!(world.blobs_in_store(), 3);
    }
}

#[tokio::test]
async fn a_blob_whose_first_file_is_gone_is_had_from_the_next() {
    for gone in [["one"].as_slice(), &["one", "two"]] {
        let world = Site::new().await;
        mounted(&world, "v1", &layer(1), &[("one", &layer(1)), ("two", &layer(1))]).await;
        gone.iter().for_each(|file| fs::remove_file(world.medium(file)).unwrap());
        match world.blob("a", &layer(1)).await {
            Ok(given) => assert!(gone.len() == 1 && given == layer(1)),
            Err(refused) => assert!(gone.len() == 2 && refused.to_string().contains("one.medium"), "{refused}"),
        }
    }
}

#[tokio::test]
async fn a_blob_that_is_damaged_wherever_it_lies_is_refused_by_name() {
    let world = Site::new().await;
    let (of, changed) = (layer(1), flipped(&layer(1)));
    mounted(&world, "v1", &of, &[("one", &changed), ("two", &changed)]).await;
    let found = verified(&world).await;
    assert_eq!((found.verified, found.bad, found.elsewhere), (1, 1, vec![]));
    assert_eq!(found.problems, [damaged(&of, &world, "one"), damaged(&of, &world, "two")]);
    let refused = world.registry.blob(&asked("a"), &sha256(&of)).await.unwrap_err();
    assert!(refused.to_string().contains("one.medium"), "{refused}");
}

#[tokio::test]
async fn a_place_of_another_size_is_none_and_a_million_places_are_a_few() {
    let world = Site::new().await;
    let of = layer(1);
    mounted(&world, "v1", &of, &[("one", &flipped(&of)), ("short", &of[1..])]).await;
    assert_eq!(verified(&world).await.bad, 1);
    let world = Site::new().await;
    let path = world.medium("many");
    fs::write(&path, &of).unwrap();
    let file = File::open(&path).unwrap();
    let mut draft = mounting(&world.registry, &path);
    let wanted = sha256(b"what no place has");
    for at in 0..100 {
        draft.locate(wanted, (&file, &path), (at, 17), false).unwrap();
    }
    let manifest = image_of(b"what no place has");
    mount_manifest(&mut draft, "a", None, &manifest);
    world.registry.mount(draft).await.unwrap();
    assert_eq!(verified(&world).await.problems.len(), 8);
}
