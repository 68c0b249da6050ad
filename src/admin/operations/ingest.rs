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

/// How often the client gets the number of bytes.
const PACE: Duration = Duration::from_millis(100);

/// Ingests bundles.
pub(crate) fn ingest(body: Ingest) -> Operation<Event, Report> {
    let mut request = serde_json::to_vec(&body);
    // A stream may follow.
    let _ = request.as_mut().map(|line| line.push(b'\n'));
    let cut_off =
        "the server ended before the ingest did; nothing of it is visible, so run it again when the server is back";
    let operation = Operation::new(Endpoint::Ingest, |call, parts| run(body, call, parts));
    Operation { body: request, cut_off, ..operation }
}

async fn run(body: Ingest, call: Call, parts: Parts<Event>) -> Result<Report, Failure> {
    let invalid = |message: String| Failure::new(Code::InvalidRequest, message);
    let mut stream = call.stream;
    let mut inputs = Vec::new();
    for path in body.inputs {
        if path == Path::new("-") {
            let stream = stream.take().ok_or_else(|| invalid("`-` is given twice, and there is one stream".into()))?;
            inputs.push(Input::Stream(stream, "standard input".to_owned()));
        } else if path.is_absolute() {
            inputs.push(Input::Path(path));
        } else {
            return Err(invalid(format!("`{}` is not an absolute path", path.display())));
        }
    }
    let settings = body.options.over(call.ingester.settings(), call.by);
    let settings = settings.map_err(|error| invalid(error.to_string()))?;
    let pace = Mutex::new((Some(parts), 0, Instant::now()));
    let runtime = Handle::current();
    let tell = move |event| {
        let (parts, unsent, at) = &mut *pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = paced(event, unsent, at);
        // A client that takes no more must not hold up the ingest.
        if parts
            .as_ref()
            .is_some_and(|parts| !now.into_iter().flatten().all(|event| parts.send_blocking(&runtime, event)))
        {
            *parts = None;
        }
    };
    call.ingester.run(inputs, settings, tell).await.map_err(Failure::from)
}

/// What to send on an event: bytes at a measured pace, and nothing for the report, which is the outcome.
fn paced(event: Event, unsent: &mut u64, at: &mut Instant) -> [Option<Event>; 2] {
    if let Event::Advanced { bytes } = event {
        *unsent = unsent.saturating_add(bytes);
        if at.elapsed() < PACE {
            return [None, None];
        }
    }
    let bytes = std::mem::take(unsent);
    let advanced = (bytes > 0).then(|| {
        *at = Instant::now();
        Event::Advanced { bytes }
    });
    [advanced, (!matches!(event, Event::Advanced { .. } | Event::Finished(_))).then_some(event)]
}
