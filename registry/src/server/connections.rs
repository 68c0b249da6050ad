//! Which connections are open, and which gives way to the next one when there are as many as there may be.
//!
//! No address has more than others as long as they want some: the longest idle connection of the address that has the most
//! is closed. So a single client that opens all there are keeps nobody out, and one behind which many are (a proxy) is not
//! restricted while there is room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::deadlines::Activity;

/// How long a connection has to be idle to give way: one that just ended a request is about to send the next.
const IDLE: Duration = Duration::from_secs(1);

/// How long a connection with a request has to be without any progress to give way.
const STALLED: Duration = Duration::from_secs(10);

/// How often a connection that waits looks for one that gives way.
const LOOK: Duration = Duration::from_millis(250);

/// How long a connection waits. After that it is closed if its own address has more than half of all: those behind it in
/// the queue are of others.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the log says that the limit is reached.
const TELL: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Open>,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    source: IpAddr,
    activity: Arc<Activity>,
    /// It was told to give way.
    leaves: bool,
}

/// Where a connection comes from. With IPv6 a client has a network of addresses, of 64 bits.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), state: Mutex::default(), freed: Notify::new() })
    }

    /// A place for a connection from `address`. Waits for one, while the longest idle one of the address with the most gives
    /// way. `None` when the connection should be closed instead.
    pub(super) async fn place(self: &Arc<Self>, address: IpAddr, activity: &Arc<Activity>) -> Option<Place> {
        let source = source(address);
        let began = Instant::now();
        loop {
            // Before the look, so that what is freed after it is noticed.
            let freed = self.freed.notified();
            {
                let mut state = self.state.lock();
                if state.open.len() < self.limit {
                    state.next += 1;
                    let number = state.next;
                    state.open.insert(number, Open { source, activity: activity.clone(), leaves: false });
                    return Some(Place { client: address, connections: self.clone(), number });
                }
                let (most, count) = state.most();
                state.make_room(most, count, source);
                state.tell(self.limit, most, count);
                if began.elapsed() >= PATIENCE && most == source && count > self.limit / 2 {
                    return None;
                }
            }
            // A timeout is no failure: something may have become idle.
            let _ = tokio::time::timeout(LOOK, freed).await;
        }
    }
}

impl State {
    /// The address with the most connections, and how many it has.
    fn most(&self) -> (IpAddr, usize) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for open in self.open.values() {
            *counts.entry(open.source).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).unwrap_or((Ipv6Addr::UNSPECIFIED.into(), 0))
    }

    /// Has one connection give way, unless one is leaving already.
    fn make_room(&mut self, most: IpAddr, count: usize, newcomer: IpAddr) {
        if self.open.values().any(|open| open.leaves) {
            return;
        }
        let own = self.open.values().filter(|open| open.source == newcomer).count();
        // Of the address with the most the longest idle one; else any idle one; else one of the former that is stuck.
        let idle = |open: &Open| open.activity.idle_for().filter(|idle| *idle >= IDLE);
        let stuck = |open: &Open| {
            let gives_way = open.source == most && count > own + 1;
            Some(open.activity.still_for()).filter(|still| gives_way && *still >= STALLED)
        };
        let longest = |choose: &dyn Fn(&Open) -> Option<Duration>| {
            let chosen = self.open.iter().filter_map(|(number, open)| Some((choose(open)?, *number)));
            chosen.max().map(|(_, number)| number)
        };
        let chosen = longest(&|open| idle(open).filter(|_| open.source == most))
            .or_else(|| longest(&idle))
            .or_else(|| longest(&stuck));
        if let Some(open) = chosen.and_then(|number| self.open.get_mut(&number)) {
            open.leaves = true;
            open.activity.give_way.notify_one();
        }
    }

    fn tell(&mut self, limit: usize, most: IpAddr, count: usize) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            tracing::warn!(
                connections = limit,
                address = %most,
                of_this_address = count,
                "all connections are in use (`server.limits.connections`); the longest idle ones of the address with the most are closed for new ones"
            );
        }
    }
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// The client's address.
    pub(super) client: IpAddr,
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.state.lock().open.remove(&self.number);
        self.connections.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d10_a_client_with_ipv6_is_its_network() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }

    #[tokio::test]
    async fn d10_the_longest_idle_connection_of_the_address_with_the_most_gives_way() {
        let connections = Connections::new(4);
        let idle = |seconds: u64| Arc::new(Activity::still_since(Duration::from_secs(seconds)));
        let (greedy, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let activities = [idle(2), idle(9), idle(3), idle(50)];
        let mut places = Vec::new();
        for (index, activity) in activities.iter().enumerate() {
            places.push(connections.place(if index < 3 { greedy } else { other }, activity).await.unwrap());
        }
        let new = Arc::new(Activity::default());
        let waiting = connections.place("10.0.0.3".parse().unwrap(), &new);
        let given = async {
            activities[1].give_way.notified().await;
            drop(places.remove(1));
        };
        let (place, ()) = tokio::join!(waiting, given);
        assert!(place.is_some());
        assert_eq!(connections.state.lock().open.len(), 4);
    }
}
