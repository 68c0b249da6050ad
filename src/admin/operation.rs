//! One operation of the administration API: its endpoint, its types, and the use case behind it.
//!
//! A command never knows whether it owns the data folder or a server does: [`Running`] runs the operation in both cases,
//! and yields the same [`Line`]s. Invariant: an answer has a bound. Whatever may be long goes out as parts, and a part
//! waits until the client has taken the ones before it. A client that hangs up ends the work.

use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use airdock_registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::endpoint::Endpoint;
use super::ingester::Ingester;
use super::wire::Line;
use crate::exit::{Code, Failure};

/// Parts that wait for the client.
const QUEUE: usize = 64;

/// Something to do, with everything needed to do it but the registry.
pub(crate) trait Operation: Sized + Send + 'static {
    /// What goes out before the outcome; `()` where nothing does.
    type Part: Serialize + DeserializeOwned + Send + 'static;
    /// What comes of it.
    type Outcome: Serialize + DeserializeOwned + Send + 'static;
    /// What a command says when the server ends first.
    const CUT_OFF: &'static str = "the server ended before it had answered; ask again when it is back";

    /// Its endpoint.
    fn endpoint(&self) -> Endpoint;

    /// The body of its request.
    ///
    /// # Errors
    /// A path is not UTF-8.
    fn body(&self) -> serde_json::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Does it.
    ///
    /// # Cancel safety
    /// Dropped, it stops at its next step; a change that was begun runs to its end.
    fn run(
        self,
        call: Call,
        parts: Parts<Self::Part>,
    ) -> impl Future<Output = Result<Self::Outcome, Failure>> + Send + 'static;
}

/// On what an operation works, and for whom.
pub(crate) struct Call {
    /// The registry.
    pub(crate) registry: Registry,
    /// What ingests into it.
    pub(crate) ingester: Ingester,
    /// The caller, for the records.
    pub(crate) by: String,
    /// What `-` stands for among the inputs of an ingest.
    pub(crate) stream: Option<Box<dyn Read + Send>>,
    /// How long a part waits for the client before no more are sent; without it, for as long as it takes.
    pub(crate) patience: Option<Duration>,
}

/// Takes the parts of an answer at the client's pace. A cheap handle.
#[derive(Debug)]
pub(crate) struct Parts<P> {
    sender: mpsc::Sender<P>,
    patience: Option<Duration>,
}

impl<P> Parts<P> {
    /// Hands a part over if there is room: for parts that the next one replaces.
    pub(crate) fn try_send(&self, part: P) {
        let _ = self.sender.try_send(part);
    }

    /// Whether the client has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Hands a part over, waiting until there is room.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) async fn send(&self, part: P) -> Result<(), Failure> {
        let sent = match self.patience {
            Some(patience) => self.sender.send_timeout(part, patience).await.is_ok(),
            None => self.sender.send(part).await.is_ok(),
        };
        if sent { Ok(()) } else { Err(Failure::new(Code::Failed, "the client has gone")) }
    }

    /// The same from a thread that may block; says whether the client takes more.
    pub(crate) fn send_blocking(&self, runtime: &Handle, part: P) -> bool {
        runtime.block_on(self.send(part)).is_ok()
    }
}

/// An operation under way. Dropped, it stops.
pub(crate) struct Running<O: Operation> {
    work: Pin<Box<dyn Future<Output = Result<O::Outcome, Failure>> + Send>>,
    parts: mpsc::Receiver<O::Part>,
    outcome: Option<Result<O::Outcome, Failure>>,
}

impl<O: Operation> Running<O> {
    /// Starts it; it goes on while [`Running::next`] is awaited.
    pub(crate) fn new(operation: O, call: Call) -> Self {
        let (sender, parts) = mpsc::channel(QUEUE);
        let parts_of = Parts { sender, patience: call.patience };
        Self { work: Box::pin(operation.run(call, parts_of)), parts, outcome: None }
    }

    /// The next line. Not to be called after the outcome or an error.
    pub(crate) async fn next(&mut self) -> Line<O::Part, O::Outcome> {
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
    pub(crate) fn ready(&mut self) -> Option<O::Part> {
        self.parts.try_recv().ok()
    }
}
