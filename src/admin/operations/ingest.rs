//! Ingesting bundles.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use airdock_sync::ingest::{Event, Input, Report};
use tokio::runtime::Handle;

use crate::admin::operation::{Call, Parts};
use crate::admin::wire::Ingest;
use crate::exit::{Code, Failure};

/// How often the client gets the number of bytes.
const PACE: Duration = Duration::from_millis(100);

/// Ingests bundles.
pub(super) async fn ingest(asked: Ingest, call: Call, parts: Parts) -> Result<Report, Failure> {
    let invalid = |message: String| Failure::new(Code::InvalidRequest, message);
    let relative = |path: &Path| invalid(format!("`{}` is not an absolute path", path.display()));
    if let Some(path) = asked.options.keys.iter().chain(&asked.options.inventory).find(|path| !path.is_absolute()) {
        return Err(relative(path));
    }
    let mut stream = call.stream;
    let mut inputs = Vec::new();
    for path in asked.inputs {
        if path == Path::new("-") {
            let stream = stream.take().ok_or_else(|| invalid("`-` is given twice, and there is one stream".into()))?;
            inputs.push(Input::Stream(stream, "standard input".to_owned()));
        } else if path.is_absolute() {
            inputs.push(Input::Path(path));
        } else {
            return Err(relative(&path));
        }
    }
    let settings = asked.options.over(call.ingester.config.ingest.clone(), call.by);
    let settings = settings.map_err(|error| invalid(error.to_string()))?;
    let pace = Mutex::new((Some(parts), 0, Instant::now()));
    let runtime = Handle::current();
    let tell = move |event| {
        let (parts, unsent, at) = &mut *pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = paced(event, unsent, at);
        // A client that takes no more must not hold up the ingest.
        let takes = |parts: &Parts| now.iter().flatten().all(|event| parts.send_blocking(&runtime, event));
        *parts = parts.take().filter(takes);
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
