//! `kill -9` at random moments of push and ingest (A15, S01, S02).

use super::random::Random;
use super::site::{Scene, Site, Tally};

#[test]
fn a_hundred_kills_lose_nothing_that_was_acknowledged_and_leave_nothing_half_visible() {
    let mut random = Random::seeded("kills");
    let mut tally = Tally::default();
    let scenes = [
        Scene::Push,
        Scene::PushAndIngest,
        Scene::IngestAlone,
        Scene::Push,
        Scene::ServeBundle,
        Scene::Start,
        Scene::Push,
        Scene::PushAndIngest,
        Scene::IngestAlone,
        Scene::Push,
    ];
    for _ in 0..10 {
        let mut site = Site::new(&mut random, None);
        for scene in scenes {
            site.crash(scene, &mut tally);
        }
    }
    tally.check();
}
