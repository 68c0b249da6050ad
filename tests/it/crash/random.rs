//! Pseudo-random numbers from a seed, so that a failure can be repeated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Choices from one seed.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Seeded from `AIRDOCK_SEED` if it is set, else from the clock; prints the seed. Only the choices made with it are
    /// repeatable, not the timing of threads and disk.
    pub(super) fn seeded(test: &str) -> Self {
        let clock = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
        let seed = std::env::var("AIRDOCK_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        println!("{test}: AIRDOCK_SEED={seed}");
        Self(seed)
    }

    /// A separate generator, for a thread.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        testkit::random::next(&mut self.0)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }

    /// A duration between the two.
    pub(super) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = usize::try_from((longest - shortest).as_micros()).unwrap();
        shortest + Duration::from_micros(self.below(span + 1) as u64)
    }

    pub(super) fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}
