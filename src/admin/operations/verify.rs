//! Verifying what is stored or mounted.

use std::time::{Duration, Instant};

use airdock_registry::{VerifyProgress, VerifyReport};

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::{Call, Operation, Parts};
use crate::admin::reference;
use crate::admin::wire::Verify;
use crate::exit::Failure;

/// How often the client gets the progress.
const PACE: Duration = Duration::from_millis(100);

/// Verifies what the references need, or everything.
pub(crate) fn verify(body: Verify) -> Operation<VerifyProgress, VerifyReport> {
    let request = serde_json::to_vec(&body);
    Operation { body: request, ..Operation::new(Endpoint::Verify, |call, parts| run(body, call, parts)) }
}

async fn run(body: Verify, call: Call, parts: Parts<VerifyProgress>) -> Result<VerifyReport, Failure> {
    let registry = call.registry().clone();
    let mut scope = Vec::new();
    for text in &body.references {
        let asked = reference::parse(text, registry.names())?;
        let failed = |error| Failure::of(&format!("cannot verify `{text}`"), &error);
        scope.push(registry.locate_unread(&asked.name, &asked.what).await.map_err(failed)?);
    }
    // Reading blocks, so it has a thread, which notices between two reads that the client has gone.
    let work = tokio::task::spawn_blocking(move || {
        let mut sent = Instant::now();
        let mut watch = |progress| {
            if sent.elapsed() >= PACE {
                sent = Instant::now();
                parts.try_send(progress);
            }
            !parts.is_abandoned()
        };
        registry.verify((!scope.is_empty()).then_some(&scope), body.remove_damaged, &mut watch)
    });
    let report = work.await.map_err(|error| Failure::because("the verification failed on a defect", &error))?;
    report.map_err(|error| Failure::of("cannot verify", &error))
}
