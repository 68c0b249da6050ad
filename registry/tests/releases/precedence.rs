//! Whose tag goes before whose.

use airdock_registry::{Error, ImageState, OnConflict, Precedence, TagOutcome, WhyKept};
use testkit::registry::Site;

use crate::digest;

/// The tags that were kept, by name.
fn kept(tags: &[TagOutcome]) -> Vec<String> {
    tags.iter().filter_map(TagOutcome::kept).map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
}

fn on_conflict(on_conflict: OnConflict) -> Precedence {
    Precedence { on_conflict, ..Precedence::default() }
}

#[tokio::test]
async fn a_pushed_tag_is_kept_unless_the_ingest_is_to_win_and_a_rollback_brings_it_back() {
    let site = Site::in_memory().await;
    site.push("a", "x", "own").await;
    let report = site.ingest(&[("a", "x", "1"), ("a", "y", "1")]).await;
    assert_eq!(kept(&report.tags), ["a:x"]);
    let record = site.registry.releases().show(report.id.unwrap()).await.unwrap();
    assert_eq!((record.kept[0].why, record.kept[0].current), (WhyKept::Precedence, Some(digest("own"))));
    assert_eq!(record.images.iter().map(|image| image.state).collect::<Vec<_>>(), [ImageState::Kept, ImageState::New]);
    let report = site.replace(&[("a", "x", "2")]).await;
    assert_eq!(kept(&report.tags), [""; 0]);
    assert_eq!(site.tag("a", "x").await, Some(digest("2")));
    site.roll_back(None).await;
    assert_eq!(site.tag("a", "x").await, Some(digest("own")));
    assert_eq!(site.provenance("a", "x").await.unwrap(), "pushed by a job");
    // And it is a pushed tag again.
    assert_eq!(kept(&site.ingest(&[("a", "x", "3")]).await.tags), ["a:x"]);
}

#[tokio::test]
async fn fail_changes_nothing_and_names_every_conflict() {
    let site = Site::in_memory().await;
    site.push("a", "x", "own").await;
    site.push("b", "y", "own").await;
    let tags = [("a", "x", "1"), ("b", "y", "1"), ("c", "z", "1")];
    let error = site.try_ingest(&tags, on_conflict(OnConflict::Fail)).await.unwrap_err();
    let Error::Conflicts(conflicts) = &error else { panic!("{error}") };
    assert_eq!(conflicts.len(), 2);
    assert!(error.to_string().contains("`a:x` stays") && error.to_string().contains("`b:y` stays"), "{error}");
    assert_eq!(site.tags("c").await, [""; 0]);
    assert!(!site.has("a", "1").await && !site.has("c", "1").await);
    assert!(site.registry.releases().list().await.unwrap().entries.is_empty());
    // The same content is no conflict.
    site.try_ingest(&[("a", "x", "own"), ("c", "z", "1")], on_conflict(OnConflict::Fail)).await.unwrap();
    assert_eq!(site.provenance("a", "x").await.unwrap(), "pushed by a job");
}

#[tokio::test]
async fn below_a_protected_prefix_no_tag_that_exists_is_moved_whatever_is_said() {
    let site = Site::in_memory().await;
    site.release(&[("zenml/a", "x", "1"), ("zenmldocker/a", "x", "1")]).await;
    let protect = vec!["zenml/".to_owned()];
    for conflict in [OnConflict::Keep, OnConflict::Replace] {
        let precedence = Precedence { on_conflict: conflict, protect: protect.clone() };
        let tags = [("zenml/a", "x", "2"), ("zenml/a", "new", "2"), ("zenmldocker/a", "x", "2")];
        let report = site.try_ingest(&tags, precedence).await.unwrap();
        assert_eq!(kept(&report.tags), ["zenml/a:x"], "{conflict:?}");
        assert_eq!(report.tags[1].kept().unwrap().why, WhyKept::Protected);
    }
    assert_eq!(site.tag("zenml/a", "x").await, Some(digest("1")));
    assert_eq!(site.tag("zenml/a", "new").await, Some(digest("2")));
    assert_eq!(site.tag("zenmldocker/a", "x").await, Some(digest("2")));
}
