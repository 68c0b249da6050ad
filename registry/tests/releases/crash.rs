//! A kill between the moment an entry of the log counts and the moment its tags' links say so: the next start finishes
//! it.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::folder::{copy, files};
use testkit::registry::Site;

use crate::digest;

/// The folder as it was before the entry, but for the entry itself, which is committed and not settled; of what the entry
/// changes, the first `done` files below `repositories` are done.
async fn cut_off(site: Site, before: &Path, id: u64, done: usize) -> Site {
    site.restart(|data| {
        let entry = fs::read(data.join(format!("releases/{id:020}"))).unwrap();
        let after = tempfile::tempdir().unwrap();
        copy(&data.join("repositories"), after.path());
        for part in ["repositories", "releases"] {
            fs::remove_dir_all(data.join(part)).unwrap();
            copy(&before.join(part), &data.join(part));
        }
        for file in changed(&data.join("repositories"), after.path()).into_iter().take(done) {
            match fs::read(after.path().join(&file)) {
                Ok(content) => fs::write(data.join("repositories").join(&file), content).unwrap(),
                Err(_) => fs::remove_file(data.join("repositories").join(&file)).unwrap(),
            }
        }
        fs::write(data.join(format!("releases/pending/{id:020}")), entry).unwrap();
        // What a kill leaves of it is not believed.
        fs::remove_file(data.join("metadata.seal")).unwrap();
    })
    .await
}

/// Files that differ, tags before manifests as they are written.
fn changed(before: &Path, after: &Path) -> Vec<PathBuf> {
    let mut all = [files(before), files(after)].concat();
    all.sort_by_key(|file| (!file.components().any(|part| part.as_os_str() == "_tags"), file.clone()));
    all.dedup();
    all.retain(|file| fs::read(before.join(file)).ok() != fs::read(after.join(file)).ok());
    all
}

#[tokio::test]
async fn a_rollback_that_was_cut_off_is_whole_after_the_next_start() {
    for done in 0..4 {
        let site = Site::in_memory().await;
        let old = site.release(&[("a", "x", "1"), ("b", "x", "1")]).await;
        site.release(&[("a", "x", "2"), ("b", "x", "2"), ("b", "y", "2")]).await;
        let before = tempfile::tempdir().unwrap();
        copy(&site.path(""), before.path());
        let id = site.roll_back(None).await.record.unwrap().id;
        let site = cut_off(site, before.path(), id, done).await;
        assert_eq!((site.tag("a", "x").await, site.tag("b", "x").await), (Some(digest("1")), Some(digest("1"))));
        assert_eq!(site.tags("b").await, ["x"], "{done} files done");
        assert_eq!(site.in_effect().await, Some(old));
        site.push("b", "y", "own").await;
        let site = site.restart(|_| {}).await;
        assert_eq!(site.tag("b", "y").await, Some(digest("own")), "it is not done again over what came later");
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_whole_after_the_next_start() {
    for done in 0..5 {
        let site = Site::in_memory().await;
        let old = site.release(&[("a", "1", "1"), ("a", "x", "1"), ("b", "1", "only")]).await;
        site.release(&[("a", "x", "2")]).await;
        let before = tempfile::tempdir().unwrap();
        copy(&site.path(""), before.path());
        let id = site.registry.releases().remove(old, "a test").await.unwrap().id;
        let site = cut_off(site, before.path(), id, done).await;
        assert_eq!((site.tags("a").await, site.tags("b").await), (vec!["x".into()], vec![]), "{done} files done");
        assert!(!site.has("a", "1").await && !site.has("b", "only").await && site.has("a", "2").await);
        let list = site.registry.releases().list().await.unwrap();
        assert_eq!(list.entries.len(), 2, "the old entry is gone: {:?}", list.entries);
    }
}

/// A kill between the moment the manifests of an ingest are linked and the moment its entry is in the log.
async fn never_counted(site: Site, id: u64) -> Site {
    site.restart(|data| {
        fs::remove_file(data.join(format!("releases/{id:020}"))).unwrap();
        fs::remove_file(data.join("metadata.seal")).unwrap();
    })
    .await
}

#[tokio::test]
async fn a_bundle_without_tags_that_was_cut_off_before_it_counted_makes_a_release_when_it_comes_again() {
    for earlier in [false, true] {
        let site = Site::in_memory().await;
        if earlier {
            site.release(&[("a", "x", "1")]).await;
        }
        site.push_by_digest("b", "own").await;
        let images = [("a", "new"), ("b", "new"), ("b", "own")];
        let id = site.ingest_by_digest(&images).await.id.unwrap();
        assert_eq!(site.ingest_by_digest(&images).await.id, None, "nothing changed");
        let site = never_counted(site, id).await;
        assert!(site.has("a", "new").await && site.has("b", "new").await, "their links were there");
        let again = site.ingest_by_digest(&images).await;
        assert!(again.wrote);
        let record = site.registry.releases().show(again.id.expect("the log knows nothing of them")).await.unwrap();
        assert_eq!(record.manifests.len(), 3);
        assert_eq!(site.in_effect().await, again.id);
        assert_eq!(site.ingest_by_digest(&images).await.id, None, "and only once");
        assert_eq!(site.ingest_by_digest(&images[..1]).await.id, None, "also of a part");
        if !earlier {
            site.registry.releases().remove(again.id.unwrap(), "a test").await.unwrap();
            assert!(!site.has("a", "new").await, "it can be removed");
            assert!(site.has("b", "own").await, "but not what was pushed");
        }
    }
}
