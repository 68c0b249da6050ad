//! Verifying what is stored or mounted.

use std::time::{Duration, Instant};

use airdock_registry::VerifyReport;

use crate::admin::operation::{Call, Parts};
use crate::admin::reference;
use crate::admin::wire::Verify;
use crate::exit::Failure;

/// How often the client gets the progress.
const PACE: Duration = Duration::from_millis(100);

/// Verifies what the references need, or everything.
pub(super) async fn verify(asked: Verify, call: Call, parts: Parts) -> Result<VerifyReport, Failure> {
    let registry = call.registry().clone();
    let mut scope = Vec::new();
    for text in &asked.references {
        let wanted = reference::parse(text, registry.names())?;
        let failed = |error| Failure::of(&format!("cannot verify `{text}`"), &error);
        scope.push(registry.locate_unread(&wanted.name, &wanted.what).await.map_err(failed)?);
    }
    // Reading blocks, so it has a thread, which notices between two reads that the client has gone.
    let work = tokio::task::spawn_blocking(move || {
        let mut sent = Instant::now();
        let mut watch = |progress| {
            if sent.elapsed() >= PACE {
                sent = Instant::now();
                parts.try_send(&progress);
            }
            !parts.is_abandoned()
        };
        registry.verify((!scope.is_empty()).then_some(&scope), asked.remove_damaged, &mut watch)
    });
    let report = work.await.map_err(|error| Failure::because("the verification failed on a defect", &error))?;
    report.map_err(|error| Failure::of("cannot verify", &error))
}
