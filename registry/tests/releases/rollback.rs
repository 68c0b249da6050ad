//! Going back and forward.

use airdock_registry::oci::TagOrDigest;
use airdock_registry::{Error, ReleaseError, ReleaseKind, ReleaseState, WhyKept};

use testkit::registry::{Site, by_tag, image_of, sha256};

use crate::digest;

const OLD: [(&str, &str, &str); 2] = [("a", "1", "old"), ("a", "current", "old")];
const NEW: [(&str, &str, &str); 3] = [("a", "2", "new"), ("a", "current", "new"), ("b", "1", "new")];

#[tokio::test]
async fn a_rollback_puts_the_whole_table_back_and_another_brings_it_forward() {
    let site = Site::in_memory().await;
    let old = site.release(&OLD).await;
    let new = site.release(&NEW).await;
    assert_eq!(site.tag("a", "current").await, Some(digest("new")));
    let back = site.roll_back(None).await;
    assert_eq!(back.to, old);
    assert_eq!(back.record.unwrap().changes.len(), 3);
    assert_eq!(site.tag("a", "current").await, Some(digest("old")));
    assert_eq!(site.provenance("a", "current").await.unwrap(), format!("ingested from a bundle; release={old}"));
    assert_eq!((site.tags("a").await, site.tags("b").await), (vec!["1".into(), "current".into()], vec![]));
    assert_eq!(site.in_effect().await, Some(old));
    site.roll_back(Some(new)).await;
    assert_eq!(site.tag("a", "current").await, Some(digest("new")));
    assert_eq!(site.tags("a").await, ["1", "2", "current"]);
    assert_eq!(site.tag("b", "1").await, Some(digest("new")));
    assert_eq!(site.in_effect().await, Some(new));
    let site = site.restart(|_| {}).await;
    assert_eq!(site.tags("a").await, ["1", "2", "current"]);
    assert_eq!(site.tag("a", "current").await, Some(digest("new")));
}

#[tokio::test]
async fn what_somebody_pushed_or_deleted_since_stays_and_is_reported_by_name() {
    let site = Site::in_memory().await;
    let old = site.release(&OLD).await;
    let new = site.release(&NEW).await;
    site.push("a", "current", "own").await;
    site.delete("a", &by_tag("2")).await;
    let record = site.roll_back(Some(old)).await.record.unwrap();
    let mut kept: Vec<_> = record.kept.iter().map(|tag| (tag.tag.to_string(), tag.current, tag.why)).collect();
    kept.sort_by_key(|(tag, ..)| tag.clone());
    // "2" was to go, and is gone.
    assert_eq!(kept, [("current".to_owned(), Some(digest("own")), WhyKept::ChangedSince)]);
    assert!(record.kept[0].to_string().contains("pushed by a job; it was changed since"), "{}", record.kept[0]);
    assert_eq!(site.tag("a", "current").await, Some(digest("own")));
    assert_eq!(site.tags("b").await, [""; 0]);
    let record = site.roll_back(Some(new)).await.record.unwrap();
    assert_eq!(site.tag("a", "current").await, Some(digest("own")), "forward as well");
    assert_eq!(site.provenance("a", "current").await.unwrap(), "pushed by a job");
    assert_eq!(record.kept.len(), 2, "that it stays and that the deleted one stays away: {:?}", record.kept);
    assert_eq!(site.tag("a", "2").await, None);
    assert_eq!(site.tag("b", "1").await, Some(digest("new")));
}

#[tokio::test]
async fn a_tag_whose_manifest_is_gone_stays_as_it_is_and_is_reported() {
    let site = Site::in_memory().await;
    site.release(&OLD).await;
    site.release(&NEW).await;
    site.delete("a", &TagOrDigest::Digest(digest("old"))).await;
    let record = site.roll_back(None).await.record.unwrap();
    let kept: Vec<_> = record.kept.iter().map(|tag| (tag.tag.as_str(), tag.why)).collect();
    assert_eq!(kept, [("current", WhyKept::TargetGone), ("1", WhyKept::ChangedSince)], "its other tag went with it");
    assert_eq!(site.tag("a", "current").await, Some(digest("new")));
    assert_eq!(site.tag("b", "1").await, None, "the others follow");
}

#[tokio::test]
async fn before_the_first_release_there_is_nothing_and_the_error_says_so() {
    let site = Site::in_memory().await;
    let none = site.registry.releases().rollback(None, "a test").await.unwrap_err();
    assert!(matches!(none, Error::Release(ReleaseError::NoneInEffect)), "{none}");
    let only = site.release(&OLD).await;
    let nothing = site.registry.releases().rollback(None, "a test").await.unwrap_err();
    assert!(matches!(nothing, Error::Release(ReleaseError::NothingBefore(id)) if id == only), "{nothing}");
    let unknown = site.registry.releases().rollback(Some(only + 1), "a test").await.unwrap_err();
    assert!(matches!(unknown, Error::Release(ReleaseError::Unknown(_))), "{unknown}");
    assert_eq!(site.roll_back(Some(only)).await.record, None, "in effect already");
}

#[tokio::test]
async fn going_back_goes_by_what_was_in_effect_and_not_by_age() {
    let site = Site::in_memory().await;
    let first = site.release(&[("a", "x", "1")]).await;
    let bad = site.release(&[("a", "x", "2")]).await;
    site.roll_back(None).await;
    let third = site.release(&[("a", "x", "3")]).await;
    let list = site.registry.releases().list().await.unwrap();
    let states: Vec<_> = list.entries.iter().filter_map(|entry| Some((entry.id, entry.state?))).collect();
    let expected = [(first, ReleaseState::Earlier), (bad, ReleaseState::RolledBack), (third, ReleaseState::InEffect)];
    assert_eq!(states, expected);
    assert_eq!(list.entries[2].kind, ReleaseKind::Rollback { to: first });
    assert_eq!(site.roll_back(None).await.to, first, "and not the one that was gone back from");
    let rollback = list.entries[2].id;
    let refused = site.registry.releases().rollback(Some(rollback), "a test").await.unwrap_err();
    assert!(matches!(refused, Error::Release(ReleaseError::NotARelease(_))), "{refused}");
}

#[tokio::test]
async fn an_ingest_that_changes_nothing_makes_no_release_and_the_record_says_what_came() {
    let site = Site::in_memory().await;
    let id = site.release(&OLD).await;
    let again = site.ingest(&OLD).await;
    assert_eq!((again.id, again.wrote), (None, false));
    let record = site.registry.releases().show(id).await.unwrap();
    assert_eq!((record.by.as_str(), record.bundle.as_str(), record.parent), ("a test", "a bundle", None));
    assert_eq!((record.images.len(), record.manifests.len()), (2, 1));
    let old = digest("old");
    let lines = format!("a {old}\na:1 {old}\na:current {old}\n");
    assert_eq!(record.checksum, Some(sha256(lines)));
    let size = image_of("old").bytes().len() as u64;
    assert_eq!(record.bytes, size + 2 + 3, "manifest, config and layer, each once");
    assert_eq!(site.registry.releases().list().await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_damaged_entry_is_reported_keeps_no_bundle_out_and_is_not_gone_past() {
    let site = Site::in_memory().await;
    let first = site.release(&[("a", "x", "1")]).await;
    let second = site.release(&[("a", "x", "2")]).await;
    std::fs::write(site.path(&format!("releases/{second:020}")), "noise").unwrap();
    let list = site.registry.releases().list().await.unwrap();
    assert_eq!((list.entries.len(), list.problems.len()), (1, 1));
    assert!(site.registry.releases().rollback(Some(first), "a test").await.is_err());
    assert_eq!(site.tag("a", "x").await, Some(digest("2")));
    site.release(&[("a", "x", "3")]).await;
    assert_eq!(site.tag("a", "x").await, Some(digest("3")));
}
