//! The memory that unread answers may hold: overall, and for one connection.
//!
//! A client that does not read (an HTTP/2 window of 0 is enough) would otherwise keep what was read for it in memory, on
//! every stream. What is sent from a file takes nothing. A client that holds memory and does not read gives way to others
//! when it is short; without that, a slow reader may take its time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unread bytes of all connections, in KiB. One connection's is an eighth, so a few stalled ones do not take all.
const ALL_KIB: usize = 64 * 1024;
const CONNECTION_KIB: usize = ALL_KIB / 8;

/// A body of up to so many bytes is not counted: a request's own state takes as much. A stream also has so many when there
/// is nothing left.
pub(super) const RESERVE: usize = 4 * 1024;

/// On HTTP/1.1, with its one answer at a time, up to this size a body fits the system's buffers.
const FREE_ALONE: usize = 64 * 1024;

/// How long an answer waits for memory before the client is asked to come again. A client that gives way takes up to half
/// of it.
pub(in crate::api) const PATIENCE: Duration = Duration::from_secs(10);

/// The memory that unread answers of all connections may hold.
#[derive(Debug)]
pub struct Budget {
    left: Arc<Semaphore>,
    /// Answers that wait for memory, because other connections hold it.
    waiting: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Arc::new(Semaphore::new(ALL_KIB)), waiting: AtomicUsize::new(0) }
    }
}

/// One connection's part of the [`Budget`].
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    left: Arc<Semaphore>,
    /// Bytes of what was held and is not any more.
    released: AtomicU64,
}

impl Share {
    /// The part of a new connection.
    #[must_use]
    pub fn of(budget: &Arc<Budget>) -> Arc<Self> {
        let left = Arc::new(Semaphore::new(CONNECTION_KIB));
        Arc::new(Self { budget: budget.clone(), left, released: AtomicU64::new(0) })
    }

    /// Whether a body of `size` bytes in memory counts.
    pub(in crate::api) const fn counts(size: usize, http2: bool) -> bool {
        size > if http2 { RESERVE } else { FREE_ALONE }
    }

    /// Takes memory for `size` bytes, if there is some now.
    pub(in crate::api) fn try_hold(self: &Arc<Self>, size: usize) -> Option<Held> {
        let kib = kib(size);
        let own = self.left.clone().try_acquire_many_owned(kib).ok()?;
        let all = self.budget.left.clone().try_acquire_many_owned(kib).ok()?;
        Some(Held(Kind::Counted { _own: own, _all: all, share: self.clone(), size: size as u64 }))
    }

    /// Waits for memory for `size` bytes; of a body that is larger than a connection's part, for all of that.
    ///
    /// # Cancel safety
    /// Takes nothing when it is dropped.
    pub(in crate::api) async fn hold(self: Arc<Self>, size: usize) -> Held {
        let kib = kib(size);
        let own = self.left.clone().acquire_many_owned(kib).await;
        let waiting = Waiting::new(&self.budget);
        let all = self.budget.left.clone().acquire_many_owned(kib).await;
        drop(waiting);
        match (own, all) {
            (Ok(own), Ok(all)) => Held(Kind::Counted { _own: own, _all: all, share: self, size: size as u64 }),
            _ => unreachable!("the semaphores are never closed"),
        }
    }

    /// Whether this connection holds memory that others wait for.
    pub(crate) fn is_in_the_way(&self) -> bool {
        self.budget.waiting.load(Relaxed) > 0 && self.left.available_permits() < CONNECTION_KIB / 2
    }

    /// Bytes that were held and are not any more.
    pub(crate) fn released(&self) -> u64 {
        self.released.load(Relaxed)
    }
}

fn kib(size: usize) -> u32 {
    u32::try_from(size.div_ceil(1024).min(CONNECTION_KIB)).unwrap_or(u32::MAX)
}

/// Counts an answer as waiting until it is dropped.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Relaxed);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// Memory taken from the budget, given back when dropped.
#[derive(Debug)]
pub(in crate::api) struct Held(Kind);

#[derive(Debug)]
enum Kind {
    Counted {
        _own: OwnedSemaphorePermit,
        _all: OwnedSemaphorePermit,
        share: Arc<Share>,
        size: u64,
    },
    /// The little that a body may have when there is nothing left.
    Reserve(#[allow(dead_code, reason = "dropped with it")] OwnedSemaphorePermit),
}

impl Held {
    /// Whether it is for a few bytes only: see [`Purse::poll_take`].
    pub(super) const fn is_reserve(&self) -> bool {
        matches!(self.0, Kind::Reserve(_))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Kind::Counted { share, size, .. } = &self.0 {
            share.released.fetch_add(*size, Relaxed);
        }
    }
}

/// How one body takes memory for a buffer after the other.
#[derive(Default)]
pub(super) struct Purse {
    share: Option<Arc<Share>>,
    /// One at a time: a stream moves on, however slowly, while others hold all there is.
    reserve: Option<Arc<Semaphore>>,
    waiting: Option<Pin<Box<dyn Future<Output = Held> + Send>>>,
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse").field("share", &self.share).finish_non_exhaustive()
    }
}

impl Purse {
    pub(super) const fn new(share: Option<Arc<Share>>) -> Self {
        Self { share, reserve: None, waiting: None }
    }

    /// Memory for a buffer of `size` bytes; or, when there is none, for at most [`RESERVE`] bytes, once what it had of these
    /// is gone. `None` where nothing is counted.
    pub(super) fn poll_take(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<Option<Held>> {
        let Some(share) = &self.share else { return Poll::Ready(None) };
        if self.waiting.is_none() {
            if let Some(held) = share.try_hold(size) {
                return Poll::Ready(Some(held));
            }
            let share = share.clone();
            let reserve = self.reserve.get_or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
            self.waiting = Some(Box::pin(async move {
                tokio::select! {
                    biased;
                    held = share.hold(size) => held,
                    Ok(permit) = reserve.acquire_owned() => Held(Kind::Reserve(permit)),
                }
            }));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let held = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(Some(held))
    }
}
