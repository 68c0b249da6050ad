//! Removing releases.

use airdock_registry::oci::TagOrDigest;
use airdock_registry::{Error, ReleaseError};

use testkit::registry::{
    Site, add_blobs, add_manifest, as_digest, asked, bundle, image_of, index, name, put, sha256, tag,
};

use crate::digest;

async fn refused(site: &Site, id: u64) -> ReleaseError {
    match site.registry.releases().remove(id, "a test").await {
        Err(Error::Release(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_removed_release_takes_only_what_it_alone_brought() {
    let site = Site::in_memory().await;
    let old = site.release(&[("a", "1", "old"), ("a", "base", "shared"), ("a", "x", "old-x")]).await;
    site.release(&[("a", "2", "new"), ("a", "base", "shared"), ("a", "x", "new-x")]).await;
    site.push("a", "own", "own").await;
    let record = site.registry.releases().remove(old, "a test").await.unwrap();
    assert_eq!(record.changes.len(), 1, "{:?}", record.changes);
    assert_eq!(site.tags("a").await, ["2", "base", "own", "x"]);
    assert!(!site.has("a", "old").await, "its manifest is gone with its tag");
    assert!(!site.has("a", "old-x").await, "nothing leads back to it any more");
    assert!(site.has("a", "shared").await && site.has("a", "new").await && site.has("a", "own").await);
    let layer = sha256("old");
    assert!(site.registry.blob(&asked("a"), &layer).await.is_err(), "its blobs are visible no more");
    assert!(site.path(&format!("blobs/sha256/{}", layer.encoded())).exists(), "and stay on the disk");
    assert!(matches!(site.registry.releases().show(old).await, Err(Error::Release(ReleaseError::Unknown(_)))));
    let nothing = site.registry.releases().rollback(None, "a test").await.unwrap_err();
    assert!(matches!(nothing, Error::Release(ReleaseError::NothingBefore(_))), "{nothing}");
    let site = site.restart(|data| std::fs::remove_dir_all(data.join("metadata")).unwrap()).await;
    assert_eq!(site.tags("a").await, ["2", "base", "own", "x"]);
    assert!(!site.has("a", "old").await);
}

#[tokio::test]
async fn the_one_in_effect_is_not_removed_unless_nothing_is_before_it() {
    let site = Site::in_memory().await;
    let first = site.release(&[("a", "x", "1")]).await;
    let second = site.release(&[("a", "x", "2")]).await;
    assert_eq!(refused(&site, second).await, ReleaseError::InEffect(second));
    site.roll_back(None).await;
    site.registry.releases().remove(second, "a test").await.unwrap();
    assert!(!site.has("a", "2").await);
    site.registry.releases().remove(first, "a test").await.unwrap();
    assert_eq!((site.tag("a", "x").await, site.has("a", "1").await), (None, false));
    assert_eq!(site.in_effect().await, None);
    // Taken in again, it is there again: its blobs were.
    let again = site.ingest(&[("a", "x", "1")]).await;
    assert_eq!(site.tag("a", "x").await, Some(digest("1")));
    assert!(again.id.is_some());
}

#[tokio::test]
async fn a_pinned_release_is_not_removed() {
    let site = Site::in_memory().await;
    let id = site.release(&[("a", "x", "1")]).await;
    site.registry.releases().pin(id, true).await.unwrap();
    let site = site.restart(|_| {}).await;
    assert_eq!(refused(&site, id).await, ReleaseError::Pinned(id));
    assert!(site.registry.releases().list().await.unwrap().entries[0].pinned);
    site.registry.releases().pin(id, false).await.unwrap();
    site.registry.releases().remove(id, "a test").await.unwrap();
}

#[tokio::test]
async fn what_was_pushed_is_never_removed_with_a_release() {
    let site = Site::in_memory().await;
    site.push_by_digest("a", "before").await;
    let id = site.release(&[("a", "1", "before"), ("a", "2", "after"), ("a", "3", "child"), ("a", "4", "gone")]).await;
    site.push_by_digest("a", "after").await;
    let index = index(&[image_of("child")]);
    put(&site.registry, "a", as_digest(&index), index).await.unwrap();
    site.registry.releases().remove(id, "a test").await.unwrap();
    assert_eq!(site.tags("a").await, [""; 0]);
    assert!(site.has("a", "before").await, "pushed before it was brought");
    assert!(site.has("a", "after").await, "pushed after it was brought");
    assert!(site.has("a", "child").await, "an index that was pushed names it");
    assert!(!site.has("a", "gone").await);
}

#[tokio::test]
async fn an_index_goes_with_its_manifests() {
    let site = Site::in_memory().await;
    let mut draft = site.registry.release(bundle());
    add_blobs(&mut draft, &[b"{}", b"amd", b"arm"]);
    let root = add_manifest(&mut draft, "a", &index(&[image_of("amd"), image_of("arm")]));
    for child in ["amd", "arm"] {
        add_manifest(&mut draft, "a", &image_of(child));
    }
    draft.add_tag(&name("a"), tag("1"), root);
    let id = draft.commit().await.unwrap().id.unwrap();
    // A second one brings one of them under a tag of its own.
    site.release(&[("a", "arm", "arm")]).await;
    let record = site.registry.releases().remove(id, "a test").await.unwrap();
    assert_eq!(record.unlinked.len(), 2, "the index and one of its manifests");
    assert!(!site.has("a", "amd").await && site.has("a", "arm").await);
    let by_digest = TagOrDigest::Digest(root);
    assert!(site.registry.manifest(&asked("a"), &by_digest).await.is_err());
}

#[tokio::test]
async fn a_release_in_the_middle_is_removed_as_if_it_had_never_been() {
    let site = Site::in_memory().await;
    let first = site.release(&[("a", "x", "1")]).await;
    let second = site.release(&[("a", "x", "2"), ("a", "y", "2")]).await;
    let third = site.release(&[("a", "x", "3"), ("a", "z", "3")]).await;
    let record = site.registry.releases().remove(second, "a test").await.unwrap();
    assert_eq!(record.changes.len(), 1, "only `y` stood as it had made it");
    assert_eq!(site.tags("a").await, ["x", "z"]);
    assert!(!site.has("a", "2").await);
    assert_eq!(site.roll_back(None).await.to, first);
    assert_eq!(site.tag("a", "x").await, Some(digest("1")));
    assert_eq!(site.tags("a").await, ["x"]);
    site.roll_back(Some(third)).await;
    assert_eq!((site.tag("a", "x").await, site.tags("a").await), (Some(digest("3")), vec!["x".into(), "z".into()]));
}
