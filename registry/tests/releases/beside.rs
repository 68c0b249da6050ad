//! Clients that push and delete while a release is committed: it holds them up for a moment only, and decides by what
//! they have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airdock_registry::oci::TagOrDigest;
use testkit::registry::{Site, digest_of, image_of};

const REPOSITORIES: usize = 12;

fn repository(at: usize) -> String {
    format!("r{at}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_never_dangles_whatever_clients_do_while_a_release_is_committed() {
    let site = Arc::new(Site::new().await);
    let over = Arc::new(AtomicBool::new(false));
    let (beside, ended) = (site.clone(), over.clone());
    let client = tokio::spawn(async move {
        let mut round = 0;
        while !ended.load(Ordering::Relaxed) {
            round += 1;
            let repository = repository(round % REPOSITORIES);
            if round % 3 == 0 {
                beside.push(&repository, "pushed", format!("pushed {round}")).await;
            }
            // The image that the release is about to bring, or has just brought.
            let brought = TagOrDigest::Digest(digest_of(&image_of(format!("layer {}", round / 7 % 8))));
            let deleted = beside.registry.repository(repository.parse().unwrap()).delete_manifest(&brought).await;
            drop(deleted);
        }
    });
    for release in 0..8 {
        let layer = format!("layer {release}");
        let names: Vec<_> = (0..REPOSITORIES).map(repository).collect();
        let tags: Vec<_> = names.iter().map(|name| (name.as_str(), "1", layer.as_str())).collect();
        site.ingest(&tags).await;
    }
    over.store(true, Ordering::Relaxed);
    client.await.unwrap();
    for repository in (0..REPOSITORIES).map(repository) {
        for tag in site.tags(&repository).await {
            assert!(site.tag(&repository, &tag).await.is_some(), "{repository}:{tag} dangles");
        }
    }
}
