//! The memory of manifests that are being received, over all requests.
//!
//! Taken as the bytes arrive: what a client announces costs nothing. When it is short, the slowest client gives way, so that
//! a few that trickle never keep others from pushing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a push waits for memory, which is how long one that gives way may take to notice.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long a push is left alone: its rate says nothing before.
const YOUNG: Duration = Duration::from_secs(1);

/// There was no memory, or it was given to a faster push.
#[derive(Debug)]
pub(super) struct GaveWay;

#[derive(Debug)]
pub(super) struct Receiving {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    left: usize,
    next: u64,
    pushes: HashMap<u64, Push>,
}

#[derive(Debug)]
struct Push {
    held: usize,
    received: u64,
    began: Instant,
    give_way: CancellationToken,
    /// All of it is here: it will be done soon.
    complete: bool,
}

impl Push {
    /// Bytes a second, so far.
    fn rate(&self, now: Instant) -> u64 {
        let milliseconds = now.saturating_duration_since(self.began).as_millis().max(1);
        u64::try_from(u128::from(self.received) * 1000 / milliseconds).unwrap_or(u64::MAX)
    }
}

impl Receiving {
    pub(super) fn new(bytes: usize) -> Self {
        Self { state: Mutex::new(State { left: bytes, next: 0, pushes: HashMap::new() }), freed: Notify::new() }
    }

    /// A push begins; it holds nothing yet.
    pub(super) fn begin(&self) -> Receipt<'_> {
        let mut state = self.state.lock();
        state.next += 1;
        let (id, give_way) = (state.next, CancellationToken::new());
        let push = Push { held: 0, received: 0, began: Instant::now(), give_way: give_way.clone(), complete: false };
        state.pushes.insert(id, push);
        Receipt { receiving: self, id, give_way }
    }
}

impl State {
    /// Takes `bytes` for a push, or has the slowest one give way. `false` if that is this one.
    fn take(&mut self, id: u64, bytes: usize) -> Option<bool> {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            if let Some(push) = self.pushes.get_mut(&id) {
                push.held += bytes;
            }
            return Some(true);
        }
        let now = Instant::now();
        let may_yield = |push: &&Push| {
            push.held > 0 && !push.complete && !push.give_way.is_cancelled() && now - push.began >= YOUNG
        };
        let slowest = self.pushes.values().filter(may_yield).min_by_key(|push| push.rate(now));
        let slowest = slowest.map(|push| &push.give_way);
        if let Some(slowest) = slowest {
            slowest.cancel();
        }
        self.pushes.get(&id).is_some_and(|push| push.give_way.is_cancelled()).then_some(false)
    }
}

/// One push and the memory it holds, which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Receipt<'a> {
    receiving: &'a Receiving,
    id: u64,
    give_way: CancellationToken,
}

impl Receipt<'_> {
    /// Takes memory for `bytes` more, waiting a little while others give way.
    pub(super) async fn take(&self, bytes: usize) -> Result<(), GaveWay> {
        let taken = async {
            loop {
                // Before the look, so that what is freed after it is noticed.
                let freed = self.receiving.freed.notified();
                let taken = self.receiving.state.lock().take(self.id, bytes);
                match taken {
                    Some(true) => return Ok(()),
                    Some(false) => return Err(GaveWay),
                    // A young one may be slow and not known yet to be.
                    None => drop(tokio::time::timeout(YOUNG, freed).await),
                }
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.unwrap_or(Err(GaveWay))
    }

    /// Counts bytes that arrived.
    pub(super) fn received(&self, bytes: usize) {
        if let Some(push) = self.receiving.state.lock().pushes.get_mut(&self.id) {
            push.received += bytes as u64;
        }
    }

    /// All of it arrived: it does not give way any more.
    pub(super) fn complete(&self) {
        if let Some(push) = self.receiving.state.lock().pushes.get_mut(&self.id) {
            push.complete = true;
        }
    }

    /// Returns when another push needs its memory more.
    pub(super) async fn has_to_give_way(&self) -> GaveWay {
        self.give_way.cancelled().await;
        GaveWay
    }
}

impl Drop for Receipt<'_> {
    fn drop(&mut self) {
        let mut state = self.receiving.state.lock();
        if let Some(push) = state.pushes.remove(&self.id) {
            state.left += push.held;
        }
        drop(state);
        self.receiving.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(receiving: &Receiving, receipt: &Receipt<'_>, received: u64) {
        let mut state = receiving.state.lock();
        let push = state.pushes.get_mut(&receipt.id).unwrap();
        (push.began, push.received) = (Instant::now() - 10 * YOUNG, received);
    }

    #[tokio::test]
    async fn d06_the_slowest_push_gives_its_memory_to_the_next_one() {
        let receiving = Receiving::new(100);
        let (slow, fast) = (receiving.begin(), receiving.begin());
        slow.take(60).await.unwrap();
        fast.take(40).await.unwrap();
        aged(&receiving, &slow, 60);
        aged(&receiving, &fast, 4_000_000);
        let next = receiving.begin();
        let (taken, ()) = tokio::join!(next.take(50), async {
            let GaveWay = slow.has_to_give_way().await;
            drop(slow);
        });
        taken.unwrap();
        assert!(!fast.give_way.is_cancelled());
        drop((fast, next));
        assert_eq!(receiving.state.lock().left, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn d06_a_push_gets_an_answer_in_time_though_all_others_are_as_fast() {
        let receiving = Receiving::new(100);
        let whole = receiving.begin();
        whole.take(100).await.unwrap();
        whole.complete();
        let began = tokio::time::Instant::now();
        assert!(receiving.begin().take(1).await.is_err());
        assert!(began.elapsed() <= Duration::from_secs(5));
        assert!(!whole.give_way.is_cancelled(), "what arrived whole stays");
    }

    #[tokio::test]
    async fn d06_the_slowest_push_of_all_is_refused_itself() {
        let receiving = Receiving::new(100);
        let (fast, slow) = (receiving.begin(), receiving.begin());
        fast.take(90).await.unwrap();
        slow.take(10).await.unwrap();
        aged(&receiving, &fast, 1_000_000);
        aged(&receiving, &slow, 10);
        assert!(slow.take(10).await.is_err());
        assert!(!fast.give_way.is_cancelled());
    }
}
