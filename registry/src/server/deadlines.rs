//! One watchdog per connection. hyper has no deadline before a request's first byte, for a partial HTTP/2 preface, or for
//! a client that stops reading. The watchdog has one for each, and costs a request no more than a few counters.
//!
//! What a client reads is counted in bytes of bodies that its system acknowledged: pings keep nothing alive, and a full send
//! buffer does not make a slow reader look dead.
//!
//! Request bodies are not covered: their reader has a deadline of its own (`api::request_body`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::settings::Limits;
use crate::api::body::Share;

/// How long a connection may hold memory that others wait for while none of it is read.
const GIVE_WAY: Duration = Duration::from_secs(4);

/// What has happened on a connection so far. Written by the I/O and request code, polled by the watchdog.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests begun.
    requests: AtomicU64,
    /// Requests being handled.
    working: AtomicU32,
    /// Responses whose body hyper has not taken completely.
    sending: AtomicU32,
    /// Bytes received and sent.
    read: AtomicU64,
    written: AtomicU64,
    /// Bytes of response bodies that hyper took.
    taken: AtomicU64,
    /// Of the bytes sent, how many the client had not acknowledged when this was asked for last.
    queued: AtomicU64,
    /// The watchdog asks for `queued`.
    measure: AtomicBool,
    /// The last write would have blocked.
    blocked: AtomicBool,
    /// The connection speaks HTTP/2, which has frames between requests that are no sign of a request.
    http2: AtomicBool,
    /// The last response was sent with the request's body unread.
    unread: AtomicBool,
    /// When the watchdog last saw anything move, in milliseconds since `opened`.
    opened: Instant,
    moved: AtomicU64,
    /// Told that the connection has to give way to another one.
    pub(super) give_way: Notify,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            working: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            measure: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            opened: Instant::now(),
            moved: AtomicU64::new(0),
            give_way: Notify::new(),
        }
    }
}

impl Activity {
    /// How many requests were begun, and how many bytes received.
    pub(super) fn heard(&self) -> (u64, u64) {
        (self.requests.load(Relaxed), self.read.load(Relaxed))
    }

    /// Whether no request is being answered.
    pub(super) fn is_idle(&self) -> bool {
        self.working.load(Relaxed) == 0 && self.sending.load(Relaxed) == 0
    }

    /// How long the connection has been without a request, if it is.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        (self.is_idle() && !self.blocked.load(Relaxed)).then(|| self.still_for())
    }

    /// How long nothing has moved. Precise to a look of the watchdog.
    pub(super) fn still_for(&self) -> Duration {
        self.opened.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }

    fn moves(&self, now: Instant) {
        let at = now.saturating_duration_since(self.opened).as_millis();
        self.moved.store(u64::try_from(at).unwrap_or(u64::MAX), Relaxed);
    }

    #[cfg(test)]
    pub(super) fn still_since(ago: Duration) -> Self {
        Self { opened: Instant::now() - ago, ..Self::default() }
    }

    /// Whether the watchdog wants to know how much of what was sent is not acknowledged. Asked where a write found no room.
    pub(super) fn is_to_measure(&self) -> bool {
        self.measure.load(Relaxed)
    }

    pub(super) fn measured(&self, queued: u64) {
        self.queued.store(queued, Relaxed);
        self.measure.store(false, Relaxed);
    }

    /// Bytes of bodies that the client has: acknowledged by its system, and not those of frames without content.
    fn delivered(&self) -> u64 {
        let acknowledged = self.written.load(Relaxed).saturating_sub(self.queued.load(Relaxed));
        acknowledged.min(self.taken.load(Relaxed))
    }

    pub(super) fn came_in(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn went_out(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn found_no_room(&self) {
        self.blocked.store(true, Relaxed);
    }

    /// Counts a request; it is being handled until the guard is dropped. Returns its number on this connection.
    pub(super) fn request(self: &Arc<Self>, http2: bool) -> (u64, Working) {
        self.working.fetch_add(1, Relaxed);
        if http2 {
            self.http2.store(true, Relaxed);
        }
        (self.requests.fetch_add(1, Relaxed), Working { activity: self.clone(), is_sending: false })
    }

    pub(super) fn leaves_body_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    pub(super) fn left_body_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
}

/// A guard: a request is being handled, or its response body is being sent.
#[derive(Debug)]
pub(super) struct Working {
    activity: Arc<Activity>,
    is_sending: bool,
}

impl Working {
    /// The handler is done; the response body is being sent until the guard is dropped.
    pub(super) fn answered(mut self) -> Self {
        self.activity.sending.fetch_add(1, Relaxed);
        self.activity.working.fetch_sub(1, Relaxed);
        self.is_sending = true;
        self
    }
}

impl Working {
    /// hyper took so many bytes of the response body.
    pub(super) fn took(&self, bytes: usize) {
        self.activity.took(bytes);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let counter = if self.is_sending { &self.activity.sending } else { &self.activity.working };
        counter.fetch_sub(1, Relaxed);
    }
}

/// What a connection is doing, which decides its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connected; nothing received yet.
    Silent,
    /// Part of a request header received.
    Header,
    /// A handler runs: it may wait for the disk, and the request's body has its own deadline.
    Working,
    /// A response is being sent.
    Sending,
    /// Between two requests.
    Idle,
}

/// Returns when the connection has missed a deadline, with the reason for the log. It polls, so it may return late by up
/// to a quarter of the shortest deadline, and by five seconds at most.
pub(super) async fn missed(activity: &Activity, share: &Share, limits: &Limits) -> &'static str {
    let shortest = limits.first_byte.min(limits.header).min(limits.idle).min(limits.stall);
    let tick = (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5));
    let mut watch = Watch::new(Instant::now());
    loop {
        tokio::time::sleep(tick).await;
        let now = Instant::now();
        if let Some(reason) = watch.look(activity, limits, now).or_else(|| watch.look_at_memory(share, now)) {
            return reason;
        }
    }
}

/// The watchdog's state between two polls.
struct Watch {
    phase: Phase,
    requests: u64,
    since: Instant,
    /// Bytes delivered when the phase, or its current window, began.
    delivered: u64,
    /// Bytes received when the last request ended.
    read: u64,
    /// What had moved at the last look: bytes received and sent, and requests.
    moved: (u64, u64, u64),
    /// The memory that unread answers had given back, and since when no more of it.
    released: (u64, Instant),
}

impl Watch {
    const fn new(now: Instant) -> Self {
        let (moved, released) = ((0, 0, 0), (0, now));
        Self { phase: Phase::Silent, requests: 0, since: now, delivered: 0, read: 0, moved, released }
    }

    fn look(&mut self, activity: &Activity, limits: &Limits, now: Instant) -> Option<&'static str> {
        let requests = activity.requests.load(Relaxed);
        let (read, written) = (activity.read.load(Relaxed), activity.written.load(Relaxed));
        if self.moved != (read, written, requests) {
            self.moved = (read, written, requests);
            activity.moves(now);
        }
        // With HTTP/2, a handler that runs says nothing about the other streams' bodies.
        let is_sending_too = activity.http2.load(Relaxed) && activity.sending.load(Relaxed) > 0;
        let phase = if activity.working.load(Relaxed) > 0 && !is_sending_too {
            Phase::Working
        } else if activity.sending.load(Relaxed) > 0 || activity.blocked.load(Relaxed) {
            Phase::Sending
        } else if requests == 0 {
            if read == 0 { Phase::Silent } else { Phase::Header }
        } else if requests != self.requests || read == self.read || activity.http2.load(Relaxed) {
            Phase::Idle
        } else {
            Phase::Header
        };
        if phase != Phase::Header {
            self.read = read;
        }
        let delivered = activity.delivered();
        // Another request is progress, even if the phase is the same again; not with HTTP/2, whose requests wait for nothing.
        if phase != self.phase || requests != self.requests && !is_sending_too {
            (self.phase, self.requests, self.since, self.delivered) = (phase, requests, now, delivered);
            activity.measure.store(phase == Phase::Sending, Relaxed);
            return None;
        }
        self.requests = requests;
        let waited = now - self.since;
        match phase {
            Phase::Silent => (waited >= limits.first_byte).then_some("the client sent nothing"),
            Phase::Header => (waited >= limits.header).then_some("the request header was not completed"),
            Phase::Idle => (waited >= limits.idle).then_some("the connection was idle"),
            Phase::Working => None,
            Phase::Sending => {
                activity.measure.store(true, Relaxed);
                // What is queued is known from time to time only: until then too much may have counted as delivered.
                self.delivered = self.delivered.min(delivered);
                if waited < limits.stall {
                    return None;
                }
                let wanted = limits.minimum_rate.saturating_mul(limits.stall.as_secs()).max(1);
                if delivered - self.delivered < wanted {
                    return Some("the client does not read the response");
                }
                (self.since, self.delivered) = (now, delivered);
                None
            }
        }
    }
}

impl Watch {
    /// Whether others wait for memory that this connection's unread answers hold.
    fn look_at_memory(&mut self, share: &Share, now: Instant) -> Option<&'static str> {
        let released = share.released();
        if released != self.released.0 || !share.is_in_the_way() {
            self.released = (released, now);
        }
        (now - self.released.1 >= GIVE_WAY).then_some("others need the memory that its unread answers hold")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            first_byte: 10 * SECOND,
            header: 15 * SECOND,
            idle: 90 * SECOND,
            stall: 60 * SECOND,
            minimum_rate: 1000,
            ..Limits::default()
        }
    }

    /// Polls every second; returns after how many seconds the connection missed which deadline.
    fn seconds(
        activity: &Activity,
        watch: &mut Watch,
        now: &mut Instant,
        mut meanwhile: impl FnMut(u64),
    ) -> (u64, &'static str) {
        for second in 1..1000 {
            *now += SECOND;
            meanwhile(second);
            if let Some(overdue) = watch.look(activity, &limits(), *now) {
                return (second, overdue);
            }
        }
        panic!("no deadline was missed");
    }

    #[test]
    fn each_phase_has_its_own_deadline() {
        let activity = Arc::new(Activity::default());
        let mut now = Instant::now();
        assert_eq!(seconds(&activity, &mut Watch::new(now), &mut now, |_| ()), (10, "the client sent nothing"));

        let mut watch = Watch::new(now);
        activity.came_in(5);
        assert_eq!(
            seconds(&activity, &mut watch, &mut now, |_| activity.came_in(1)),
            (16, "the request header was not completed"),
            "trickled"
        );

        let mut watch = Watch::new(now);
        let (_, working) = activity.request(false);
        drop(working.answered());
        assert_eq!(seconds(&activity, &mut watch, &mut now, |_| ()), (91, "the connection was idle"));
        let mut watch = Watch::new(now);
        watch.look(&activity, &limits(), now);
        assert_eq!(
            seconds(&activity, &mut watch, &mut now, |second| if second > 20 {
                activity.came_in(1)
            }),
            (36, "the request header was not completed"),
            "the second request's header has a deadline too"
        );
    }

    #[test]
    fn a_handler_may_take_its_time_and_a_reader_must_move() {
        let activity = Arc::new(Activity::default());
        let mut now = Instant::now();
        let mut watch = Watch::new(now);
        let (_, working) = activity.request(false);
        for _ in 0..1000 {
            now += SECOND;
            assert_eq!(watch.look(&activity, &limits(), now), None);
        }
        let sending = working.answered();
        activity.took(10_000_000);
        for _ in 0..1000 {
            now += SECOND;
            activity.went_out(1000);
            assert_eq!(watch.look(&activity, &limits(), now), None, "at the minimum rate");
        }
        let (after, overdue) = seconds(&activity, &mut watch, &mut now, |_| activity.went_out(900));
        assert_eq!(overdue, "the client does not read the response");
        assert!(after <= 120, "{after}");
        drop(sending);
        activity.found_no_room();
        assert_eq!(
            seconds(&activity, &mut watch, &mut now, |_| ()).1,
            "the client does not read the response",
            "also for what hyper has buffered"
        );
    }

    #[test]
    fn frames_between_http2_requests_neither_start_a_request_nor_keep_the_connection_alive() {
        let activity = Arc::new(Activity::default());
        let mut now = Instant::now();
        let mut watch = Watch::new(now);
        drop(activity.request(true).1.answered());
        assert_eq!(seconds(&activity, &mut watch, &mut now, |_| activity.came_in(17)), (91, "the connection was idle"));
    }
}
