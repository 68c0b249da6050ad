//! Which uploads there are, who holds each, and how many a client has.
//!
//! One lock guards every change of an upload's state, so that of two requests that race for one upload exactly one is told
//! that it succeeded. No disk is touched under it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::oci::{Hasher, RepositoryName, UploadId};

/// How long an upload without a byte is kept. Clients send the first byte at once; one that only asks whether it may push
/// (kaniko) never does.
pub(super) const EMPTY_EXPIRY: Duration = Duration::from_secs(10 * 60);

/// The part of all uploads that one client address may have open, as a divisor; but never fewer than [`SMALLEST_SHARE`]:
/// all clients behind one proxy have one address.
const SHARE: usize = 4;
const SMALLEST_SHARE: usize = 256;

/// What is on disk beside an upload's data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) repository: RepositoryName,
    pub(super) algorithm: String,
    /// The address it was begun from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<IpAddr>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<UploadId, Entry>,
    /// How many uploads each client has.
    clients: HashMap<IpAddr, usize>,
    /// The uploads without a byte, by when they were begun.
    empty: BTreeSet<(SystemTime, UploadId)>,
}

#[derive(Debug)]
struct Entry {
    /// `None` for one that an earlier process left, until it is read.
    record: Option<Arc<Record>>,
    /// When it was begun, while it has no byte: it has no files then.
    begun: Option<SystemTime>,
    state: State,
}

/// Tells the request that holds an upload that it was cancelled.
pub(super) type Cancelled = Arc<AtomicBool>;

#[derive(Debug)]
enum State {
    /// No request holds it.
    Idle(Hashed),
    /// A request adds to it, or it is being removed.
    Taken(Cancelled),
    /// Its content is becoming a blob: it is too late to cancel it.
    Closing(Cancelled),
}

/// How many bytes were hashed, and the hashes of exactly those.
#[derive(Debug, Default)]
pub(super) struct Hashed {
    pub(super) size: u64,
    pub(super) hashers: Vec<Hasher>,
}

/// What is left to do to cancel an upload.
pub(super) enum Cancelling {
    /// To remove its files, and then its entry.
    Removed,
    /// To remove its files; the request that holds it drops the entry.
    Held,
    /// Nothing: it has no files.
    Done,
}

/// An upload for a list.
pub(super) struct Listed {
    pub(super) id: UploadId,
    pub(super) record: Option<Arc<Record>>,
    pub(super) begun: Option<SystemTime>,
    pub(super) is_held: bool,
}

impl Table {
    /// The uploads that an earlier process left.
    pub(super) fn of(left: impl Iterator<Item = UploadId>) -> Self {
        let entry = || Entry { record: None, begun: None, state: State::Idle(Hashed::default()) };
        Self { entries: left.map(|id| (id, entry())).collect(), ..Self::default() }
    }

    /// Adds an upload that a request holds, unless there are `limit`, or too many of its client.
    pub(super) fn begin(&mut self, id: UploadId, record: Record, limit: usize) -> Result<Cancelled, Error> {
        let now = SystemTime::now();
        self.expire_empty(now);
        if self.entries.len() >= limit {
            return Err(Error::TooManyUploads(limit));
        }
        let share = (limit / SHARE).max(SMALLEST_SHARE);
        if let Some(client) = record.client
            && self.clients.get(&source(client)).is_some_and(|count| *count >= share)
        {
            return Err(Error::TooManyUploadsOfClient { client, limit: share });
        }
        let cancelled = Cancelled::default();
        self.empty.insert((now, id));
        self.entries.insert(id, Entry { record: None, begun: Some(now), state: State::Taken(cancelled.clone()) });
        self.learn(id, Arc::new(record));
        Ok(cancelled)
    }

    /// Notes what an upload's record says.
    pub(super) fn learn(&mut self, id: UploadId, record: Arc<Record>) {
        if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.record.is_none()) {
            if let Some(client) = record.client {
                *self.clients.entry(source(client)).or_default() += 1;
            }
            entry.record = Some(record);
        }
    }

    /// Notes that an upload has files from now on; says whether it was not cancelled.
    pub(super) fn store(&mut self, id: UploadId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if let Some(begun) = entry.begun.take() {
            self.empty.remove(&(begun, id));
        }
        !matches!(&entry.state, State::Taken(cancelled) if cancelled.load(Ordering::Relaxed))
    }

    /// What is known of an upload's record; `None` where there is no such upload, or it was cancelled.
    pub(super) fn record(&self, id: UploadId) -> Option<Option<Arc<Record>>> {
        let entry = self.entries.get(&id)?;
        let gone = matches!(&entry.state, State::Taken(cancelled) if cancelled.load(Ordering::Relaxed));
        (!gone).then(|| entry.record.clone())
    }

    /// Takes an idle upload for one request, with whether it has files. `None` where there is none.
    pub(super) fn take(&mut self, id: UploadId) -> Option<Result<(Cancelled, Hashed, bool), Error>> {
        let entry = self.entries.get_mut(&id)?;
        match &mut entry.state {
            State::Taken(cancelled) if cancelled.load(Ordering::Relaxed) => None,
            State::Taken(_) | State::Closing(_) => Some(Err(Error::UploadBusy)),
            State::Idle(hashed) => {
                let (cancelled, hashed) = (Cancelled::default(), std::mem::take(hashed));
                entry.state = State::Taken(cancelled.clone());
                Some(Ok((cancelled, hashed, entry.begun.is_none())))
            }
        }
    }

    /// Gives an upload back that a request took; says whether it is still there.
    pub(super) fn put_back(&mut self, id: UploadId, hashed: Hashed) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        match &entry.state {
            State::Idle(_) => true,
            State::Taken(cancelled) | State::Closing(cancelled) if cancelled.load(Ordering::Relaxed) => false,
            State::Taken(_) | State::Closing(_) => {
                entry.state = State::Idle(hashed);
                true
            }
        }
    }

    /// From here on the upload cannot be cancelled. `false` when it was.
    pub(super) fn close(&mut self, id: UploadId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        match &entry.state {
            State::Taken(cancelled) if !cancelled.load(Ordering::Relaxed) => {
                entry.state = State::Closing(cancelled.clone());
                true
            }
            _ => false,
        }
    }

    /// Cancels an upload, whoever holds it. `None` when there is none, or when it is becoming a blob: should that fail, it is
    /// removed.
    pub(super) fn cancel(&mut self, id: UploadId) -> Option<Cancelling> {
        let entry = self.entries.get_mut(&id)?;
        match &entry.state {
            State::Idle(_) if entry.begun.is_some() => {
                self.forget(id);
                Some(Cancelling::Done)
            }
            State::Idle(_) => {
                entry.state = State::Taken(Arc::new(true.into()));
                Some(Cancelling::Removed)
            }
            State::Taken(cancelled) if cancelled.swap(true, Ordering::Relaxed) => None,
            State::Taken(_) => Some(Cancelling::Held),
            State::Closing(cancelled) => {
                cancelled.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Takes an upload whose files are to be swept, if no request holds it.
    pub(super) fn claim(&mut self, id: UploadId) -> bool {
        let taken = || State::Taken(Arc::new(true.into()));
        match self.entries.get_mut(&id) {
            Some(Entry { state: state @ State::Idle(_), .. }) => *state = taken(),
            Some(_) => return false,
            // Left over from a removal that failed.
            None => drop(self.entries.insert(id, Entry { record: None, begun: None, state: taken() })),
        }
        true
    }

    /// Removes an upload from the table.
    pub(super) fn forget(&mut self, id: UploadId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if let Some(begun) = entry.begun {
            self.empty.remove(&(begun, id));
        }
        if let Some(client) = entry.record.and_then(|record| record.client).map(source)
            && let Some(count) = self.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
    }

    /// Removes the uploads that have no byte after [`EMPTY_EXPIRY`] and that no request holds; returns how many.
    pub(super) fn expire_empty(&mut self, now: SystemTime) -> usize {
        let before = now.checked_sub(EMPTY_EXPIRY).unwrap_or(SystemTime::UNIX_EPOCH);
        let old = self.empty.iter().take_while(|(begun, _)| *begun < before).map(|(_, id)| *id);
        let idle = |id: &UploadId| self.entries.get(id).is_some_and(|entry| matches!(entry.state, State::Idle(_)));
        let old: Vec<_> = old.filter(idle).collect();
        old.iter().for_each(|id| self.forget(*id));
        old.len()
    }

    /// Whether there is such an upload, and it has no byte.
    pub(super) fn is_empty(&self, id: UploadId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.begun.is_some())
    }

    /// Every upload, in no order.
    pub(super) fn list(&self) -> Vec<Listed> {
        let listed = |(id, entry): (&UploadId, &Entry)| Listed {
            id: *id,
            record: entry.record.clone(),
            begun: entry.begun,
            is_held: !matches!(entry.state, State::Idle(_)),
        };
        self.entries.iter().map(listed).collect()
    }
}

/// The client an address belongs to: in IPv6 a client has a network of 64 bits.
fn source(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}
