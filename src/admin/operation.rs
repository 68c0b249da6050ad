//! One operation under way: on what it works, and how its answer comes.
//!
//! A command never knows whether it owns the data folder or a server does: both run the operation as [`Running`] does, and
//! pass on its [`Line`]s. Invariant: an answer has a bound. Whatever may be long goes out as parts, and a part waits until
//! the client has taken the ones before it. A client that hangs up ends the work.

use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use airdock_registry::Registry;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::ingester::Ingester;
use super::wire::Line;
use crate::exit::{Code, Failure};

/// Parts that wait for the client.
const QUEUE: usize = 64;

/// A value as it crosses the administration API.
pub(crate) type Json = Box<RawValue>;

/// What an operation does. Dropped, it has to stop at its next step; a change that was begun runs to its end.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Json, Failure>> + Send>>;

pub(super) fn json(value: &impl Serialize) -> Result<Json, Failure> {
    to_raw_value(value).map_err(|error| Failure::because("cannot write the answer", &error))
}

/// On what an operation works, and for whom.
pub(crate) struct Call {
    pub(crate) ingester: Ingester,
    /// The caller, for the records.
    pub(crate) by: String,
    /// What `-` stands for among the inputs of an ingest.
    pub(crate) stream: Option<Box<dyn Read + Send>>,
    /// How long an ingest waits for the client before it sends no more parts; without it, for as long as it takes.
    pub(crate) patience: Option<Duration>,
}

impl Call {
    pub(super) fn registry(&self) -> &Registry {
        &self.ingester.registry
    }
}

/// Takes the parts of an answer at the client's pace.
pub(super) struct Parts {
    sender: mpsc::Sender<Json>,
    patience: Option<Duration>,
}

impl Parts {
    /// Hands a part over if there is room: for parts that the next one replaces.
    pub(super) fn try_send(&self, part: &impl Serialize) {
        let _ = json(part).map(|part| self.sender.try_send(part));
    }

    /// Whether the client has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Hands a part over, waiting until there is room. An error says that the client has gone.
    pub(super) async fn send(&self, part: &impl Serialize) -> Result<(), Failure> {
        self.sender.send(json(part)?).await.map_err(|_| Failure::new(Code::Failed, "the client has gone"))
    }

    /// The same from a thread that may block and must not wait for ever; returns whether the client takes more.
    pub(super) fn send_blocking(&self, runtime: &Handle, part: &impl Serialize) -> bool {
        let Ok(part) = json(part) else { return true };
        match self.patience {
            Some(patience) => runtime.block_on(self.sender.send_timeout(part, patience)).is_ok(),
            None => self.sender.blocking_send(part).is_ok(),
        }
    }
}

/// An operation under way. Dropped, it stops.
pub(crate) struct Running {
    work: Work,
    parts: mpsc::Receiver<Json>,
    outcome: Option<Result<Json, Failure>>,
}

impl Running {
    /// Starts it; it goes on while [`Running::next`] is awaited.
    pub(super) fn new(patience: Option<Duration>, work: impl FnOnce(Parts) -> Work) -> Self {
        let (sender, parts) = mpsc::channel(QUEUE);
        Self { work: work(Parts { sender, patience }), parts, outcome: None }
    }

    /// The next line. Not to be called after the outcome or an error.
    pub(crate) async fn next(&mut self) -> Line {
        if self.outcome.is_none() {
            tokio::select! {
                Some(part) = self.parts.recv() => return Line::Part(part),
                outcome = &mut self.work => self.outcome = Some(outcome),
            }
        }
        // Parts that were sent before the end come before the outcome.
        match (self.parts.try_recv(), self.outcome.take()) {
            (Ok(part), outcome) => {
                self.outcome = outcome;
                Line::Part(part)
            }
            (Err(_), Some(Ok(outcome))) => Line::Outcome(outcome),
            (Err(_), Some(Err(failure))) => Line::Error(failure),
            (Err(_), None) => unreachable!("the outcome was set above"),
        }
    }

    /// A part that is there already, so that several lines go out at once.
    pub(super) fn ready(&mut self) -> Option<Line> {
        self.parts.try_recv().ok().map(Line::Part)
    }
}
