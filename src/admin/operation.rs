//! One operation of the administration API: its endpoint, and the use case behind it.
//!
//! A command never knows whether it owns the data folder or a server does: [`Running`] runs the operation in both cases,
//! and yields the same [`Line`]s. Invariant: an answer has a bound. Whatever may be long goes out as parts, and a part
//! waits until the client has taken the ones before it. A client that hangs up ends the work.

use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use airdock_registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::endpoint::Endpoint;
use super::ingester::Ingester;
use super::wire::Line;
use crate::exit::{Code, Failure};

/// Parts that wait for the client.
const QUEUE: usize = 64;

/// Something to do: its endpoint, the body of its request, and what does it.
pub(crate) struct Operation<P, T> {
    pub(super) endpoint: Endpoint,
    pub(super) body: serde_json::Result<Vec<u8>>,
    /// What a command prints when the server ends first.
    pub(super) cut_off: &'static str,
    pub(super) run: Box<dyn FnOnce(Call, Parts<P>) -> Work<T> + Send>,
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

impl<P, T> Operation<P, T> {
    /// An operation whose request has no body. Dropped, `run` has to stop at its next step; a change that was begun runs to
    /// its end.
    pub(super) fn new<F, W>(endpoint: Endpoint, run: F) -> Self
    where
        F: FnOnce(Call, Parts<P>) -> W + Send + 'static,
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let cut_off = "the server ended before it had answered; ask again when it is back";
        Self { endpoint, body: Ok(Vec::new()), cut_off, run: Box::new(|call, parts| Box::pin(run(call, parts))) }
    }
}

/// On what an operation works, and for whom.
pub(crate) struct Call {
    /// The registry, and what ingests into it.
    pub(crate) ingester: Ingester,
    /// The caller, for the records.
    pub(crate) by: String,
    /// What `-` stands for among the inputs of an ingest.
    pub(crate) stream: Option<Box<dyn Read + Send>>,
    /// How long an ingest waits for the client before it sends no more parts; without it, for as long as it takes.
    pub(crate) patience: Option<Duration>,
}

impl Call {
    /// The registry.
    pub(super) fn registry(&self) -> &Registry {
        self.ingester.registry()
    }
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
        self.sender.send(part).await.map_err(|_| Failure::new(Code::Failed, "the client has gone"))
    }

    /// The same from a thread that may block and must not wait for ever; returns whether the client takes more.
    pub(crate) fn send_blocking(&self, runtime: &Handle, part: P) -> bool {
        match self.patience {
            Some(patience) => runtime.block_on(self.sender.send_timeout(part, patience)).is_ok(),
            None => self.sender.blocking_send(part).is_ok(),
        }
    }
}

/// An operation under way. Dropped, it stops.
pub(crate) struct Running<P, T> {
    work: Work<T>,
    parts: mpsc::Receiver<P>,
    outcome: Option<Result<T, Failure>>,
}

impl<P, T> Running<P, T> {
    /// Starts it; it goes on while [`Running::next`] is awaited.
    pub(crate) fn new(operation: Operation<P, T>, call: Call) -> Self {
        let (sender, parts) = mpsc::channel(QUEUE);
        let patience = call.patience;
        Self { work: (operation.run)(call, Parts { sender, patience }), parts, outcome: None }
    }

    /// The next line. Not to be called after the outcome or an error.
    pub(crate) async fn next(&mut self) -> Line<P, T> {
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
    pub(super) fn ready(&mut self) -> Option<P> {
        self.parts.try_recv().ok()
    }
}
