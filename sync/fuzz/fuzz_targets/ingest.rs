#![no_main]
//! A whole ingest into a real registry, in memory where there is a folder for that.

use std::cell::RefCell;
use std::path::Path;

use airdock_registry::{Registry, Settings};

/// Runs before the folder is made anew: what comes in stays there.
const RUNS: u32 = 20_000;

struct World {
    runtime: tokio::runtime::Runtime,
    registry: Registry,
    folder: tempfile::TempDir,
    runs: u32,
}

impl World {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let settings = Settings { data: folder.path().join("data"), ..Settings::default() };
        let registry = runtime.block_on(Registry::open(settings)).expect("a registry");
        Self { runtime, registry, folder, runs: 0 }
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_some_and(|world| world.runs >= RUNS) {
            *world = None;
        }
        let world = world.get_or_insert_with(World::new);
        world.runs += 1;
        let _runtime = world.runtime.enter();
        let file = world.folder.path().join("input");
        std::hint::black_box(airdock_sync::probe::ingest(&world.registry, &file, bytes));
    });
});
