//! Progress of an ingest: the events it reports, the meter that counts bytes, and the flag that stops it.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::limits::Allowance;
use crate::problem::Halt;
use crate::report::{Notice, Report};

/// Something that happened during an ingest, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The ingest begins. The total is unknown when something is read from a pipe.
    Started {
        /// The size of all inputs together, in bytes.
        total_bytes: Option<u64>,
    },
    /// More of the input is done: read, or found to be in the registry already.
    Advanced {
        /// Bytes since the last event.
        bytes: u64,
    },
    /// An image or chart is complete in the store. It has no tag yet.
    Item {
        /// Its name in the archive.
        name: String,
        /// The file it was in.
        file: String,
        /// Its digest.
        digest: String,
    },
    /// A warning, which stops nothing.
    Warning(Notice),
    /// A file, image or chart that does not go in.
    Failed(Notice),
    /// The ingest is over and everything that goes in is in.
    Finished(Report),
}

/// Stops an ingest from another thread. Nothing of a stopped ingest becomes visible.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the ingest to stop. It does so within one read.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts bytes, reports progress, and fails the next read once the ingest is cancelled.
pub(crate) struct Meter<'a> {
    progress: &'a dyn Fn(Event),
    pub(crate) cancel: &'a Cancel,
    read: Cell<u64>,
    unpacked: Cell<u64>,
    // Of the current file: what is not accounted for, and what is but was not reported.
    remaining: Cell<u64>,
    pending: Cell<u64>,
}

impl<'a> Meter<'a> {
    /// Bytes between two reports: a progress bar needs no more.
    const STEP: u64 = 4 * 1024 * 1024;
    /// How many times what one stream may unpack to, however small it is, all of them may.
    const UNPACKED: u64 = 8;

    pub(crate) const fn new(progress: &'a dyn Fn(Event), cancel: &'a Cancel) -> Self {
        Self {
            progress,
            cancel,
            read: Cell::new(0),
            unpacked: Cell::new(0),
            remaining: Cell::new(0),
            pending: Cell::new(0),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.progress)(event);
    }

    /// A file of `size` bytes begins; `None` for a pipe.
    pub(crate) fn begin(&self, size: Option<u64>) {
        self.remaining.set(size.unwrap_or(u64::MAX));
    }

    /// The file is done, however much of it was read.
    pub(crate) fn end(&self) {
        let rest = self.remaining.replace(0);
        // The length of a pipe was never known, so nothing remains of it.
        if rest < u64::MAX / 2 {
            self.pending.set(self.pending.get() + rest);
        }
        self.flush();
    }

    /// `count` bytes are done without being read.
    pub(crate) fn skipped(&self, count: u64) -> io::Result<()> {
        let counted = count.min(self.remaining.get());
        self.remaining.set(self.remaining.get() - counted);
        self.pending.set(self.pending.get() + counted);
        if self.pending.get() >= Self::STEP {
            self.flush();
        }
        self.go_on()
    }

    /// An error once the ingest is cancelled. For work that reads nothing of the medium.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.cancel.is_cancelled() { Err(Halt::Cancelled.into()) } else { Ok(()) }
    }

    /// `count` bytes were unpacked. In sum they may be a multiple of what was read, as each by itself may: archives within
    /// archives would multiply otherwise.
    pub(crate) fn unpacked(&self, count: u64, each: Allowance) -> io::Result<()> {
        self.unpacked.set(self.unpacked.get().saturating_add(count));
        let allowance = Allowance { from: each.from.saturating_mul(Self::UNPACKED), ..each };
        let limit = allowance.of(self.read.get());
        if self.unpacked.get() > limit {
            return Err(Halt::Bomb(limit).into());
        }
        self.go_on()
    }

    /// `count` bytes were read.
    pub(crate) fn read(&self, count: u64) -> io::Result<()> {
        self.peeked(count);
        self.skipped(count)
    }

    /// `count` bytes were read that are going to be read again.
    pub(crate) fn peeked(&self, count: u64) {
        self.read.set(self.read.get() + count);
    }

    /// All bytes read so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    fn flush(&self) {
        let bytes = self.pending.replace(0);
        if bytes > 0 {
            self.tell(Event::Advanced { bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ImageRow;

    #[test]
    fn events_survive_serialisation() {
        let notice = Notice { file: "a.tar".into(), message: "damaged".into() };
        for event in [
            Event::Started { total_bytes: None },
            Event::Advanced { bytes: 7 },
            Event::Item { name: "a".into(), file: "b".into(), digest: "c".into() },
            Event::Warning(notice.clone()),
            Event::Failed(notice),
            Event::Finished(Report { images: vec![ImageRow::default()], ..Report::default() }),
        ] {
            let text = serde_json::to_string(&event).unwrap();
            assert!(text.contains("\"event\":"), "{text}");
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }
}
