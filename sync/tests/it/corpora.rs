//! The fuzz corpora, replayed.

use std::path::PathBuf;

use airdock_sync::probe;

use testkit::ingest::World;

/// The number a probe returns means nothing; the test is that it returns.
fn seen(answer: u64) {
    std::hint::black_box(answer);
}

#[test]
fn the_fuzz_corpora_are_read_or_refused_without_panic() {
    let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut replayed = Vec::new();
    let world = World::new();
    let file = world.folder.path().join("input");
    for target in std::fs::read_dir(corpora).unwrap() {
        let target = target.unwrap();
        let name = target.file_name().into_string().unwrap();
        let mut inputs = 0;
        for input in std::fs::read_dir(target.path()).unwrap() {
            let input = input.unwrap();
            let bytes = std::fs::read(input.path()).unwrap();
            match name.as_str() {
                "tar" => seen(probe::tar(&bytes) as u64),
                "compressed" => seen(probe::compressed(&bytes)),
                "docker_manifest" => seen(probe::docker_manifest(&bytes) as u64),
                "index" => seen(probe::index(&bytes) as u64),
                "chart" => seen(probe::chart(&bytes) as u64),
                "ingest" => {
                    let found = world.within(|| probe::ingest(&world.registry, &file, &bytes));
                    let by_a_tool = input.file_name().to_string_lossy().starts_with("real_");
                    assert!(found > 0 || !by_a_tool, "nothing was found in {}", input.path().display());
                }
                "inventory" => seen(probe::inventory(&bytes) as u64),
                "paths" => seen(probe::paths(&bytes) as u64),
                "references" => seen(probe::references(&bytes) as u64),
                "text" => seen(probe::text(&bytes) as u64),
                other => panic!("no target reads `{other}`"),
            }
            inputs += 1;
        }
        assert!(inputs > 0, "`{name}` has no inputs");
        replayed.push(name);
    }
    assert_eq!(replayed.len(), 10, "{replayed:?}");
}
