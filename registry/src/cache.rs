//! A cache of manifests and open blobs, so that the pull path opens, reads and looks up nothing twice.
//!
//! Invariant: every later read sees an acknowledged change. A writer removes the key after the change is on disk, which
//! starts a new generation of its shard; a reader that began before it does not insert.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

const SHARDS: usize = 16;

/// A bounded cache of cheap-to-clone values.
#[derive(Debug)]
pub(crate) struct Cache<K: Hash + Eq, V> {
    hasher: RandomState,
    shards: Vec<Mutex<Shard<K, V>>>,
    budget: usize,
}

#[derive(Debug)]
struct Shard<K: Hash + Eq, V> {
    entries: LruCache<K, (V, usize)>,
    weight: usize,
    generation: u64,
}

/// The shard's generation at read time; `insert` drops the value if it was invalidated since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// At most `entries` values that together weigh at most `budget`.
    pub(crate) fn new(entries: usize, budget: usize) -> Self {
        let each = NonZeroUsize::new(entries / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shard = || Mutex::new(Shard { entries: LruCache::new(each), weight: 0, generation: 0 });
        Self {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            budget: budget / SHARDS,
        }
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.shard(key).lock().entries.get(key).map(|(value, _)| value.clone())
    }

    /// Whether `test` holds for any value.
    pub(crate) fn any(&self, test: impl Fn(&V) -> bool) -> bool {
        self.shards.iter().any(|shard| shard.lock().entries.iter().any(|(_, (value, _))| test(value)))
    }

    /// To be taken before reading what is to be inserted.
    pub(crate) fn ticket(&self, key: &K) -> Ticket {
        Ticket(self.shard(key).lock().generation)
    }

    /// Inserts a value, unless its shard changed since the ticket or it is heavier than a shard may be.
    pub(crate) fn insert(&self, ticket: Ticket, key: K, value: V, weight: usize) {
        if weight > self.budget {
            return;
        }
        let mut shard = self.shard(&key).lock();
        if shard.generation != ticket.0 {
            return;
        }
        if let Some((_, (_, replaced))) = shard.entries.push(key, (value, weight)) {
            shard.weight -= replaced;
        }
        shard.weight += weight;
        while shard.weight > self.budget {
            let Some((_, (_, evicted))) = shard.entries.pop_lru() else { break };
            shard.weight -= evicted;
        }
    }

    /// Forgets a key that has just changed on disk.
    pub(crate) fn remove(&self, key: &K) {
        let mut shard = self.shard(key).lock();
        shard.generation += 1;
        if let Some((_, weight)) = shard.entries.pop(key) {
            shard.weight -= weight;
        }
    }

    /// Forgets everything: for changes of many keys at once.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.generation += 1;
            shard.entries.clear();
            shard.weight = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::new(64, 1024);
        let ticket = cache.ticket(&"tag");
        cache.remove(&"tag");
        cache.insert(ticket, "tag", "old", 1);
        assert_eq!(cache.get(&"tag"), None);
        cache.insert(cache.ticket(&"tag"), "tag", "new", 1);
        assert_eq!(cache.get(&"tag"), Some("new"));
        cache.clear();
        assert_eq!(cache.get(&"tag"), None);
    }

    #[test]
    fn it_holds_no_more_than_its_entries_and_its_budget() {
        let cache = Cache::new(SHARDS * 4, SHARDS * 100);
        for key in 0..10_000 {
            cache.insert(cache.ticket(&key), key, (), 40);
        }
        let held = (0..10_000).filter(|key| cache.get(key).is_some()).count();
        assert!((1..=SHARDS * 2).contains(&held), "{held}");
        cache.insert(cache.ticket(&-1), -1, (), 101);
        assert_eq!(cache.get(&-1), None, "heavier than a shard");
        assert!(cache.shards.iter().all(|shard| shard.lock().weight <= 100));
    }
}
