//! What goes before what, what is copied when, and what is never written.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use airdock_registry::oci::{MediaType, TagOrDigest};
use airdock_registry::{Error, MediumError, Outcome, Provenance};

use testkit::registry::{
    Site, asked, by_tag, digest_of, image, image_of, index, mount_manifest, mounting, name, sha256,
};

use crate::{LARGE, layer};

#[tokio::test]
async fn what_is_mounted_is_seen_everywhere_and_gone_after_a_restart() {
    let world = Site::new().await;
    let before = world.tag("a/b", "v1").await;
    let manifest = world.mount("a/b", "v1", &layer(1)).await;
    assert_eq!((before, world.tag("a/b", "v1").await), (None, Some(digest_of(&manifest))), "absence is not kept");
    assert!(world.blob("a/b", &layer(1)).await.unwrap() == layer(1));
    assert_eq!(world.blob("a/b", b"{}").await.unwrap(), b"{}");
    assert!(matches!(world.blob("other", &layer(1)).await, Err(Error::BlobUnknown { .. })), "H21");
    let names = world.registry.repositories(None, 10).await.unwrap().names;
    assert_eq!(names, [name("a/b")]);
    assert_eq!(world.registry.tags(&asked("a/b"), None, 10).await.unwrap().tags, ["v1".parse().unwrap()]);
    assert_eq!(world.blobs_in_store(), 0);
    let world = world.restart(|_| {}).await;
    assert_eq!(world.tag("a/b", "v1").await, None);
    assert!(matches!(world.registry.tags(&asked("a/b"), None, 10).await, Err(Error::NameUnknown(_))));
}

#[tokio::test]
async fn a_pushed_tag_goes_before_a_mounted_one_and_that_before_an_ingested_one() {
    let world = Site::new().await;
    let pushed = world.push("a", "pushed", &layer(1)).await;
    let mut draft = world.registry.release(Provenance::Ingested { bundle: "x".into(), release: None });
    draft.add_tag(&name("a"), "ingested".parse().unwrap(), pushed);
    draft.commit().await.unwrap();
    world.mount("a", "pushed", &layer(2)).await;
    let mounted = world.mount("a", "ingested", &layer(3)).await;
    assert_eq!(world.tag("a", "pushed").await, Some(pushed));
    assert_eq!(world.tag("a", "ingested").await, Some(digest_of(&mounted)));
    // Of two media the one mounted last.
    let later = world.mount("a", "ingested", &layer(4)).await;
    assert_eq!(world.tag("a", "ingested").await, Some(digest_of(&later)));
    // Whatever is pushed afterwards wins at once.
    let pushed = world.push("a", "ingested", &layer(5)).await;
    assert_eq!(world.tag("a", "ingested").await, Some(pushed));
}

#[tokio::test]
async fn a_mount_says_which_tags_it_does_not_get() {
    let world = Site::new().await;
    let pushed = world.push("a", "v1", &layer(1)).await;
    let manifest = image(b"{}", &[&layer(1)], r#","annotations":{"other":"image"}"#);
    let mut draft = mounting(&world.registry, Path::new("x"));
    draft.hold(sha256(layer(1)), layer(1).into());
    mount_manifest(&mut draft, "a", Some("v1"), &manifest);
    let mounted = world.registry.mount(draft).await.unwrap();
    assert!(matches!(mounted.tags[0].outcome, Outcome::Kept { current, .. } if current == pushed));
}

#[tokio::test]
async fn what_is_pushed_over_mounted_layers_outlives_the_medium() {
    let world = Site::new().await;
    world.mount("a", "base", &layer(1)).await;
    // The client was told that the layers are there and pushes the manifest alone.
    let built =
        world.put("a", "built", image(b"{}", &[&layer(1)], r#","annotations":{"built":"here"}"#)).await.unwrap();
    assert_eq!(world.blobs_in_store(), 3);
    fs::remove_file(world.medium("base")).unwrap();
    assert!(world.blob("a", &layer(1)).await.unwrap() == layer(1), "from the store, though the medium is gone");
    let world = world.restart(|_| {}).await;
    assert_eq!(world.tag("a", "built").await, Some(built));
    assert!(world.blob("a", &layer(1)).await.unwrap() == layer(1));
    assert_eq!(world.tag("a", "base").await, None);
}

#[tokio::test]
async fn an_index_pushed_over_mounted_manifests_outlives_the_medium() {
    let world = Site::new().await;
    let child = world.mount("a", "amd64", &layer(1)).await;
    world.put("a", "all", index(std::slice::from_ref(&child))).await.unwrap();
    let world = world.restart(|_| {}).await;
    assert!(world.registry.manifest(&asked("a"), &TagOrDigest::Digest(digest_of(&child))).await.is_ok());
    assert!(world.blob("a", &layer(1)).await.unwrap() == layer(1));
}

#[tokio::test]
async fn a_blob_of_a_medium_can_be_mounted_into_another_repository_and_stays_there() {
    let world = Site::new().await;
    world.mount("a", "v1", &layer(1)).await;
    let digest = sha256(layer(1));
    let to = |repository: &str| world.registry.repository(name(repository));
    assert!(to("b").mount_blob(&digest, Some(&asked("a"))).await.unwrap());
    assert!(!to("c").mount_blob(&digest, Some(&asked("nowhere"))).await.unwrap(), "H21");
    assert!(to("d").mount_blob(&digest, None).await.unwrap());
    let world = world.restart(|_| {}).await;
    assert!(world.blob("b", &layer(1)).await.unwrap() == layer(1));
    assert!(world.blob("d", &layer(1)).await.unwrap() == layer(1));
}

#[tokio::test]
async fn nothing_that_is_mounted_can_be_deleted() {
    let world = Site::new().await;
    let manifest = world.mount("a", "v1", &layer(1)).await;
    let repository = world.registry.repository(name("a"));
    for reference in [by_tag("v1"), TagOrDigest::Digest(digest_of(&manifest))] {
        assert!(matches!(repository.delete_manifest(&reference).await, Err(Error::ReadOnly { .. })), "{reference}");
    }
    let blob = sha256(layer(1));
    assert!(matches!(repository.delete_blob(&blob).await, Err(Error::ReadOnly { .. })));
    assert!(matches!(repository.delete_manifest(&by_tag("v2")).await, Err(Error::ManifestUnknown { .. })));
    // A tag pushed over it can, and the medium's shows again.
    world.push("a", "v1", &layer(2)).await;
    repository.delete_manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(world.tag("a", "v1").await, Some(digest_of(&manifest)));
}

#[tokio::test]
async fn a_damaged_layer_is_found_by_the_pass_and_refused_from_then_on() {
    let world = Site::new().await;
    world.mount("a", "good", &layer(1)).await;
    let mut bytes = layer(2);
    let manifest = image_of(&bytes);
    let expected = sha256(&bytes);
    bytes[LARGE / 2] ^= 1;
    let path = world.medium("bad");
    fs::write(&path, &bytes).unwrap();
    let mut draft = mounting(&world.registry, &path);
    draft.locate(expected, (&File::open(&path).unwrap(), &path), (0, LARGE as u64), false).unwrap();
    mount_manifest(&mut draft, "a", None, &manifest);
    world.registry.mount(draft).await.unwrap();
    assert!(world.registry.blob(&asked("a"), &expected).await.is_ok(), "it is not verified yet");
    let registry = world.registry.clone();
    let found = tokio::task::spawn_blocking(move || registry.check_media(&AtomicBool::new(false))).await.unwrap();
    let [(_, bad), (_, good)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((good.verified, good.problems.len(), good.bytes), (2, 0, LARGE as u64 + 2));
    assert_eq!(bad.problems, [MediumError::Damaged { digest: expected, file: "bad.medium".into() }]);
    let refused = world.registry.blob(&asked("a"), &expected).await.unwrap_err();
    assert!(refused.to_string().contains("`bad.medium`"), "{refused}");
    // Nor is it copied into the store.
    let pushed = world.put("a", "over", image(b"{}", &[&layer(2)], r#","annotations":{"built":"here"}"#)).await;
    assert!(matches!(pushed, Err(Error::Medium(MediumError::Damaged { .. }))), "{pushed:?}");
    assert!(!world.folder.path().join("data/blobs/sha256").join(expected.encoded()).exists());
}

#[tokio::test]
async fn a_medium_that_was_pulled_out_or_changed_is_named_and_comes_back() {
    let world = Site::new().await;
    world.mount("a", "v1", &layer(1)).await;
    let (path, aside) = (world.medium("v1"), world.medium("aside"));
    world.blob("a", &layer(1)).await.unwrap();
    fs::rename(&path, &aside).unwrap();
    // What is open is still the same file.
    world.blob("a", &layer(1)).await.unwrap();
    fs::write(&path, "another disc").unwrap();
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    world.blob("a", &layer(1)).await.unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let refused = world.blob("a", &layer(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Medium(MediumError::Changed { .. })), "{refused}");
    fs::remove_file(&path).unwrap();
    let refused = world.blob("a", &layer(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Medium(MediumError::Unreadable { .. })), "{refused}");
    assert!(refused.to_string().contains("`v1.medium`"), "{refused}");
}

#[tokio::test]
async fn a_mount_that_does_not_fit_together_is_refused_whole() {
    let world = Site::new().await;
    let manifest = image_of(layer(1));
    let draft = |size: Option<u64>| {
        let path = world.medium("x");
        fs::write(&path, layer(1)).unwrap();
        let mut draft = mounting(&world.registry, &path);
        if let Some(size) = size {
            let digest = sha256(layer(1));
            draft.locate(digest, (&File::open(&path).unwrap(), &path), (0, size), false).unwrap();
        }
        mount_manifest(&mut draft, "a", None, &manifest);
        draft
    };
    assert!(matches!(world.registry.mount(draft(None)).await, Err(Error::ManifestBlobUnknown { .. })));
    assert!(matches!(world.registry.mount(draft(Some(5))).await, Err(Error::SizeInvalid { .. })));
    let mut odd = draft(Some(LARGE as u64));
    odd.add_tag(&name("a"), "v1".parse().unwrap(), sha256(b"nothing"));
    assert!(matches!(world.registry.mount(odd).await, Err(Error::ManifestUnknown { .. })));
    assert_eq!(world.registry.repositories(None, 10).await.unwrap().names, []);
}

#[tokio::test]
async fn referrers_on_a_medium_are_listed_with_those_in_the_store() {
    let world = Site::new().await;
    let subject = world.push("a", "v1", &layer(1)).await;
    let about = |note: &str| {
        let of = format!(r#""digest":"{subject}","mediaType":"{}","size":1"#, MediaType::IMAGE_MANIFEST);
        image(b"{}", &[&layer(1)], &format!(r#","subject":{{{of}}},"annotations":{{"note":"{note}"}}"#))
    };
    world.put("a", "signed", about("pushed")).await.unwrap();
    let manifest = about("mounted");
    let mut draft = mounting(&world.registry, Path::new("x"));
    draft.hold(sha256(layer(1)), layer(1).into());
    mount_manifest(&mut draft, "a", None, &manifest);
    world.registry.mount(draft).await.unwrap();
    let page = world.registry.referrers(&asked("a"), &subject, &[], None).await.unwrap();
    let json = String::from_utf8(page.json.to_vec()).unwrap();
    assert!(json.contains("pushed") && json.contains("mounted"), "{json}");
}
