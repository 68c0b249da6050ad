//! The memory of manifests that are being received, over all requests.
//!
//! What a client announces costs nothing: memory for a large manifest is taken once its first bytes are here, and pushes wait
//! for it in turn. One that holds memory others wait for, and trickles, gives way: a few slow clients never keep others from
//! pushing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Below so many bytes a second a push gives way to those that wait.
const SLOW: u64 = 128 * 1024;

/// How long a push is left alone once it has its memory: its rate says nothing before.
const YOUNG: Duration = Duration::from_secs(1);

/// How often a push that waits looks for one that is slow.
const LOOK: Duration = Duration::from_millis(250);

/// The longest that a push waits while those before it are fast.
const PATIENCE: Duration = Duration::from_secs(60);

/// There was no memory in time, or it was given to others.
#[derive(Debug)]
pub(super) struct GaveWay;

#[derive(Debug)]
pub(super) struct Receiving {
    /// In KiB, so that any limit fits the semaphore's counter. First come, first served.
    left: Arc<Semaphore>,
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    pushes: HashMap<u64, Push>,
}

#[derive(Debug)]
struct Push {
    /// Since when it has the memory it asked for, and what arrived since. `None` while it waits, and when all of it is here.
    receiving: Option<(Instant, u64)>,
    give_way: CancellationToken,
}

impl Receiving {
    pub(super) fn new(bytes: usize) -> Self {
        let most = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Self { left: Arc::new(Semaphore::new(most as usize)), most, state: Mutex::default() }
    }

    /// A push begins; it holds nothing yet.
    pub(super) fn begin(&self) -> Receipt<'_> {
        let mut state = self.state.lock();
        state.next += 1;
        let (id, give_way) = (state.next, CancellationToken::new());
        state.pushes.insert(id, Push { receiving: None, give_way: give_way.clone() });
        Receipt { receiving: self, id, give_way, held: Mutex::default() }
    }
}

impl State {
    /// Has the slowest push give way, if it is too slow.
    fn make_room(&self, now: Instant) {
        let rate = |push: &Push| {
            let (since, bytes) = push.receiving.filter(|_| !push.give_way.is_cancelled())?;
            let held = now.saturating_duration_since(since);
            let rate = u128::from(bytes) * 1000 / held.as_millis().max(1);
            (held >= YOUNG && rate < u128::from(SLOW)).then_some(rate)
        };
        let slow = self.pushes.values().filter_map(|push| Some((rate(push)?, push)));
        if let Some((_, slowest)) = slow.min_by_key(|(rate, _)| *rate) {
            slowest.give_way.cancel();
        }
    }
}

/// One push and the memory it holds, which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Receipt<'a> {
    receiving: &'a Receiving,
    id: u64,
    give_way: CancellationToken,
    held: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl Receipt<'_> {
    fn push(&self, change: impl FnOnce(&mut Push)) {
        if let Some(push) = self.receiving.state.lock().pushes.get_mut(&self.id) {
            change(push);
        }
    }

    /// Takes memory for `bytes` more; waits for it while slow pushes give way and fast ones end.
    pub(super) async fn take(&self, bytes: usize) -> Result<(), GaveWay> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.receiving.most);
        self.push(|push| push.receiving = None);
        let taken = self.receiving.left.clone().acquire_many_owned(kib);
        tokio::pin!(taken);
        let waiting = async {
            loop {
                // A timeout is no failure: its turn in the queue stays.
                match tokio::time::timeout(LOOK, &mut taken).await {
                    Ok(taken) => return taken,
                    Err(_) => self.receiving.state.lock().make_room(Instant::now()),
                }
            }
        };
        let taken = tokio::time::timeout(PATIENCE, waiting).await;
        let Ok(Ok(permit)) = taken else { return Err(GaveWay) };
        self.held.lock().push(permit);
        self.push(|push| push.receiving = Some((Instant::now(), 0)));
        Ok(())
    }

    /// Counts bytes that arrived.
    pub(super) fn received(&self, bytes: usize) {
        self.push(|push| {
            if let Some((_, received)) = &mut push.receiving {
                *received += bytes as u64;
            }
        });
    }

    /// All of it arrived: it does not give way any more.
    pub(super) fn complete(&self) {
        self.push(|push| push.receiving = None);
    }

    /// Returns when others need its memory more.
    pub(super) async fn has_to_give_way(&self) -> GaveWay {
        self.give_way.cancelled().await;
        GaveWay
    }
}

impl Drop for Receipt<'_> {
    fn drop(&mut self) {
        self.receiving.state.lock().pushes.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn aged(receiving: &Receiving, receipt: &Receipt<'_>, bytes: u64) {
        let mut state = receiving.state.lock();
        state.pushes.get_mut(&receipt.id).unwrap().receiving = Some((Instant::now() - 10 * YOUNG, bytes));
    }

    #[tokio::test]
    async fn d06_the_slowest_push_gives_its_memory_to_the_next_one() {
        let receiving = Receiving::new(100 * KIB);
        let (slow, slower, fast) = (receiving.begin(), receiving.begin(), receiving.begin());
        for (push, bytes) in [(&slow, 20_000), (&slower, 20), (&fast, 40_000_000)] {
            push.take(33 * KIB).await.unwrap();
            aged(&receiving, push, bytes);
        }
        let next = receiving.begin();
        let (taken, ()) = tokio::join!(next.take(30 * KIB), async {
            let GaveWay = slower.has_to_give_way().await;
            drop(slower);
        });
        taken.unwrap();
        assert!(!fast.give_way.is_cancelled() && !slow.give_way.is_cancelled());
        drop((fast, next, slow));
        assert_eq!(receiving.left.available_permits(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn d06_pushes_that_are_fast_wait_for_each_other_in_turn_and_not_for_ever() {
        let receiving = Receiving::new(100 * KIB);
        let whole = receiving.begin();
        whole.take(100 * KIB).await.unwrap();
        whole.complete();
        let began = tokio::time::Instant::now();
        assert!(receiving.begin().take(KIB).await.is_err());
        assert!(began.elapsed() >= PATIENCE);
        assert!(!whole.give_way.is_cancelled(), "what arrived whole stays");
        let next = receiving.begin();
        let (taken, ()) = tokio::join!(next.take(50 * KIB), async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(whole);
        });
        taken.unwrap();
    }
}
