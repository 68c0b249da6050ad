//! Reading all of a medium behind the backs of those who are served.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use testkit::registry::{Site, asked, sha256};

use crate::{LARGE, layer};

#[tokio::test]
async fn the_pass_gives_way_to_what_was_verified_long_ago_and_comes_to_its_end_all_the_same() {
    let world = Site::new().await;
    world.mount("a", "small", b"verified when it is opened").await;
    world.mount("a", "large", &layer(1)).await;
    let digest = sha256(b"verified when it is opened");
    // What an answer holds until the last of it is out; a store's is nothing a medium is read for.
    let on_its_way = world.registry.blob(&asked("a"), &digest).await.unwrap();
    let registry = world.registry.clone();
    let pass = move || {
        let began = Instant::now();
        let found = registry.check_media(&AtomicBool::new(false));
        (began.elapsed(), found.iter().map(|(_, found)| (found.verified, found.bytes)).collect::<Vec<_>>())
    };
    let (took, found) = tokio::task::spawn_blocking(pass).await.unwrap();
    assert!(took >= Duration::from_secs(1), "it went on beside an answer: {took:?}");
    assert_eq!(found, [(2, LARGE as u64 + 2), (2, 26 + 2)], "though that answer never ended");
    drop(on_its_way);
}
