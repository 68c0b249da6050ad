//! One watchdog per connection. hyper has no deadline before a request's first byte, for a partial HTTP/2 preface, or for
//! a client that stops reading. The watchdog has one for each, and costs a request no more than a few counters.
//!
//! Request bodies are not covered: their reader has a deadline of its own (`api::request_body`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Limits;

/// What has happened on a connection so far. Written by the I/O and request code, polled by the watchdog.
#[derive(Debug, Default)]
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
    /// The last write would have blocked.
    blocked: AtomicBool,
    /// The connection speaks HTTP/2, which has frames between requests that are no sign of a request.
    http2: AtomicBool,
    /// The last response was sent with the request's body unread.
    unread: AtomicBool,
}

impl Activity {
    pub(super) fn came_in(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn went_out(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.blocked.store(false, Relaxed);
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
pub(super) async fn missed(activity: &Activity, limits: &Limits) -> &'static str {
    let shortest = limits.first_byte.min(limits.header).min(limits.idle).min(limits.stall);
    let tick = (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5));
    let mut watch = Watch::new(Instant::now());
    loop {
        tokio::time::sleep(tick).await;
        if let Some(reason) = watch.look(activity, limits, Instant::now()) {
            return reason;
        }
    }
}

/// The watchdog's state between two polls.
struct Watch {
    phase: Phase,
    requests: u64,
    since: Instant,
    /// Bytes sent when the phase, or its current window, began.
    written: u64,
    /// Bytes received when the last request ended.
    read: u64,
}

impl Watch {
    const fn new(now: Instant) -> Self {
        Self { phase: Phase::Silent, requests: 0, since: now, written: 0, read: 0 }
    }

    fn look(&mut self, activity: &Activity, limits: &Limits, now: Instant) -> Option<&'static str> {
        let requests = activity.requests.load(Relaxed);
        let (read, written) = (activity.read.load(Relaxed), activity.written.load(Relaxed));
        let phase = if activity.working.load(Relaxed) > 0 {
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
        // Another request is progress, even if the phase is the same again.
        if phase != self.phase || requests != self.requests {
            (self.phase, self.requests, self.since, self.written) = (phase, requests, now, written);
            return None;
        }
        let waited = now - self.since;
        match phase {
            Phase::Silent => (waited >= limits.first_byte).then_some("the client sent nothing"),
            Phase::Header => (waited >= limits.header).then_some("the request header was not completed"),
            Phase::Idle => (waited >= limits.idle).then_some("the connection was idle"),
            Phase::Working => None,
            Phase::Sending if waited < limits.stall => None,
            Phase::Sending => {
                let wanted = limits.minimum_rate.saturating_mul(limits.stall.as_secs()).max(1);
                if written - self.written < wanted {
                    return Some("the client does not read the response");
                }
                (self.since, self.written) = (now, written);
                None
            }
        }
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
