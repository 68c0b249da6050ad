//! Ingesting bundles.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use airdock_sync::ingest::{Event, Input, Report};
use tokio::runtime::Handle;

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::{Call, Operation, Parts};
use crate::admin::wire::Ingest;
use crate::exit::{Code, Failure};

/// How often the client is told of bytes.
const PACE: Duration = Duration::from_millis(100);

impl Operation for Ingest {
    type Part = Event;
    type Outcome = Report;
    const CUT_OFF: &'static str =
        "the server ended before the ingest did; nothing of it is visible, so run it again when the server is back";

    fn endpoint(&self) -> Endpoint {
        Endpoint::Ingest
    }

    fn body(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    async fn run(self, call: Call, parts: Parts<Event>) -> Result<Report, Failure> {
        let invalid = |message: String| Failure::new(Code::InvalidRequest, message);
        let mut stream = call.stream;
        let mut inputs = Vec::new();
        for path in self.inputs {
            if path == Path::new("-") {
                let stream =
                    stream.take().ok_or_else(|| invalid("`-` is given twice, and there is one stream".into()))?;
                inputs.push(Input::Stream(stream, "standard input".to_owned()));
            } else if path.is_absolute() {
                inputs.push(Input::Path(path));
            } else {
                return Err(invalid(format!("`{}` is not an absolute path", path.display())));
            }
        }
        let settings = self.options.over(call.ingester.settings(), call.by);
        let settings = settings.map_err(|error| invalid(error.to_string()))?;
        let teller = Teller::new(parts);
        let report = call.ingester.run(inputs, settings, move |event| teller.tell(event)).await;
        report.map_err(Failure::from)
    }
}

/// Hands events from the ingest's thread to the client, bytes at a measured pace.
struct Teller {
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    /// None once the client takes no more: it must not hold up the ingest.
    parts: Option<Parts<Event>>,
    untold: u64,
    told_at: Instant,
}

impl Teller {
    fn new(parts: Parts<Event>) -> Self {
        let state = State { parts: Some(parts), untold: 0, told_at: Instant::now() };
        Self { runtime: Handle::current(), state: Mutex::new(state) }
    }

    fn tell(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match &event {
            Event::Advanced { bytes } => {
                state.untold = state.untold.saturating_add(*bytes);
                state.told_at.elapsed() >= PACE
            }
            _ => true,
        };
        let bytes = if due { std::mem::take(&mut state.untold) } else { 0 };
        if bytes > 0 {
            state.told_at = Instant::now();
            self.send(&mut state, Event::Advanced { bytes });
        }
        // The report is the outcome, and goes out as such.
        if !matches!(event, Event::Advanced { .. } | Event::Finished(_)) {
            self.send(&mut state, event);
        }
    }

    fn send(&self, state: &mut State, event: Event) {
        if state.parts.as_ref().is_some_and(|parts| !parts.send_blocking(&self.runtime, event)) {
            state.parts = None;
        }
    }
}
