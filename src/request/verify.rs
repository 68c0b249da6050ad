//! Reading what is stored again. Goes on as long as somebody listens.

use std::time::{Duration, Instant};

use airdock_registry::{Finding, Registry, VerifyReport};
use serde::{Deserialize, Serialize};

use super::{Failure, Parts, Reply, reference};

/// How often whoever asked hears of it.
const PACE: Duration = Duration::from_millis(100);

/// How far it is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verifying {
    pub(crate) bytes: u64,
    pub(crate) total: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    pub(crate) manifests: u64,
    /// What lies on a mounted medium only, and was not read.
    pub(crate) mounted: Vec<String>,
    pub(crate) damaged: Vec<Damage>,
    /// How much more is damaged than is listed.
    pub(crate) more: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Damage {
    pub(crate) subject: String,
    pub(crate) problem: String,
    /// What cannot be pulled whole because of it.
    pub(crate) breaks: Vec<String>,
    /// And how much more than is listed.
    pub(crate) more: u64,
    /// Whether its file was moved aside.
    pub(crate) removed: bool,
}

pub(super) async fn verify(
    registry: &Registry,
    references: &[String],
    remove_damaged: bool,
    parts: &Parts,
) -> Result<Verified, Failure> {
    let mut scope = Vec::new();
    for text in references {
        let asked = reference::parse(text)?;
        let failed = |error| Failure::because(&format!("cannot verify `{text}`"), &error);
        scope.push(registry.locate_unread(&asked.name, &asked.what).await.map_err(failed)?);
    }
    let (registry, parts) = (registry.clone(), parts.clone());
    let everything = scope.is_empty();
    // A thread of its own, which notices within one piece that nobody listens any more.
    let work = tokio::task::spawn_blocking(move || {
        let mut told = Instant::now();
        let mut watch = |progress: airdock_registry::VerifyProgress| {
            if told.elapsed() >= PACE {
                told = Instant::now();
                parts.try_send(Reply::Verifying(Verifying { bytes: progress.bytes, total: progress.total }));
            }
            !parts.is_abandoned()
        };
        registry.verify((!everything).then_some(&scope), remove_damaged, &mut watch)
    });
    let report =
        work.await.map_err(|error| Failure::because("the verification came upon a defect of its own", &error))?;
    let VerifyReport { blobs, bytes, manifests, mounted, findings, more, .. } =
        report.map_err(|error| Failure::because("cannot verify", &error))?;
    Ok(Verified { blobs, bytes, manifests, mounted, damaged: findings.into_iter().map(damage).collect(), more })
}

fn damage(Finding { subject, problem, breaks, more, removed }: Finding) -> Damage {
    Damage { subject, problem, breaks, more, removed }
}
