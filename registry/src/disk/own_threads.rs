//! Threads of their own for work that may hang: what is on a share that stops answering must not take the threads that
//! the data folder is read with.
//!
//! Bounded in number, in queue and in time: work that has to wait too long is given up by its caller, and while nothing
//! moves, callers are refused at once. The thread itself stays with the call until the kernel lets it go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// The most threads: reads of a share that works overlap, and a dead one costs so many stacks.
const THREADS: usize = 16;

/// The stack of a thread in bytes: it opens files and reads into buffers of the heap.
const STACK: usize = 256 * 1024;

/// The most work that waits for a thread.
const QUEUE: usize = 1024;

/// How long a caller waits: longer than a disc needs to spin up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How often work is still tried while nothing moves.
const PROBE: Duration = Duration::from_secs(5);

/// How long a thread waits for more work before it ends.
const IDLE: Duration = Duration::from_secs(30);

/// The work did not begin, or did not end, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has not answered for {} seconds", PATIENCE.as_secs())]
pub(crate) struct Hung;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that start when they are needed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnThreads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// When the work that runs was begun.
    running: Vec<Instant>,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queue", &self.queue.len())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Whether more work would only wait: nothing moves, and this was tried a moment ago.
    fn is_hung(&self, now: Instant) -> bool {
        let since = |moment: Instant| now.saturating_duration_since(moment);
        let longest = self.running.iter().map(|begun| since(*begun)).max().unwrap_or_default();
        let shortest = self.running.iter().map(|begun| since(*begun)).min().unwrap_or_default();
        let moves = self.ended.is_some_and(|ended| since(ended) < PATIENCE);
        let is_full = self.running.len() >= THREADS && shortest >= PROBE;
        let was_tried = self.begun.is_some_and(|begun| since(begun) < PROBE);
        !moves && (is_full || longest >= PATIENCE && was_tried)
    }
}

impl OwnThreads {
    /// Runs `work` on one of the threads. It goes on when the caller has given up.
    ///
    /// # Errors
    /// [`Hung`] when it has not ended in time, or would not.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hung> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Nobody waits for it any more.
            if !answer.is_closed() {
                let _ = answer.send(work());
            }
        };
        {
            let state = self.0.state.lock();
            if state.queue.len() >= QUEUE || state.is_hung(Instant::now()) {
                return Err(Hung);
            }
        }
        self.begin(Box::new(job));
        tokio::time::timeout(PATIENCE, answered).await.map_err(|_| Hung)?.map_err(|_| Hung)
    }

    /// Has `work` done some time.
    pub(crate) fn begin(&self, job: Job) {
        let mut state = self.0.state.lock();
        state.queue.push_back(job);
        // A thread that was woken counts as idle until it runs.
        if state.idle >= state.queue.len() {
            self.0.more.notify_one();
        } else if state.threads < THREADS {
            let shared = self.0.clone();
            let thread = std::thread::Builder::new().name("medium".into()).stack_size(STACK);
            match thread.spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::error!(%error, "no thread can be started to read a mounted medium"),
            }
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                let begun = Instant::now();
                state.running.push(begun);
                state.begun = Some(begun);
                drop(state);
                // A panic drops the answer, which its caller notices; the thread goes on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                state = self.state.lock();
                state.ended = Some(Instant::now());
                if let Some(index) = state.running.iter().position(|other| *other == begun) {
                    state.running.swap_remove(index);
                }
                continue;
            }
            state.idle += 1;
            let waited = self.more.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn d04_work_that_hangs_is_given_up_and_later_work_is_refused_at_once_until_it_moves_again() {
        let threads = OwnThreads::default();
        let mut holds = Vec::new();
        for _ in 0..THREADS {
            let (hold, held) = mpsc::channel::<()>();
            let (begin, begun) = mpsc::channel();
            holds.push(hold);
            let threads = threads.clone();
            let work = move || {
                begin.send(()).unwrap();
                held.recv().is_ok()
            };
            let running = tokio::spawn(async move { threads.run(work).await });
            tokio::task::yield_now().await;
            begun.recv().unwrap();
            // Time is paused: the wait costs nothing.
            assert_eq!(running.await.unwrap(), Err(Hung));
        }
        let waiting = threads.run(|| ()).await;
        assert_eq!(waiting, Err(Hung), "there is no thread for it");
        assert!(threads.0.state.lock().threads <= THREADS);
        drop(holds);
        while threads.run(|| 7).await != Ok(7) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn d04_what_cannot_move_is_known_by_the_work_that_runs() {
        let now = Instant::now() + 10 * PATIENCE;
        let hung = State { running: vec![now - PATIENCE], begun: Some(now - PATIENCE), ..State::default() };
        assert!(!hung.is_hung(now), "tried again now and then");
        assert!(State { begun: Some(now), ..hung }.is_hung(now));
        let slow = State { running: vec![now - PATIENCE, now], begun: Some(now), ended: Some(now), ..State::default() };
        assert!(!slow.is_hung(now), "one file alone hangs");
        let full = State { running: vec![now - PROBE; THREADS], begun: Some(now - PROBE), ..State::default() };
        assert!(full.is_hung(now));
        assert!(!State { running: vec![now; THREADS], ..State::default() }.is_hung(now), "busy");
    }
}
