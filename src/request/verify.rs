//! Reading what is stored or mounted again. Goes on as long as somebody listens.

use std::time::{Duration, Instant};

use airdock_registry::{Finding, MediumPlace, MediumRead, Registry, VerifyReport};
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
    /// What of that was read from mounted media.
    pub(crate) media: Vec<Medium>,
    pub(crate) damaged: Vec<Damage>,
    /// How much more is damaged than is listed.
    pub(crate) more: u64,
}

/// What was read of one medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Medium {
    pub(crate) name: String,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
}

/// Where on a medium something lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) medium: String,
    pub(crate) file: String,
    pub(crate) offset: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Damage {
    pub(crate) subject: String,
    /// Absent for what is in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
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
        let asked = reference::parse(text, registry.names())?;
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
    let VerifyReport { blobs, bytes, manifests, media, findings, more, .. } =
        report.map_err(|error| Failure::because("cannot verify", &error))?;
    let medium = |MediumRead { name, blobs, bytes }| Medium { name, blobs, bytes };
    let media = media.into_iter().map(medium).collect();
    Ok(Verified { blobs, bytes, manifests, media, damaged: findings.into_iter().map(damage).collect(), more })
}

fn damage(Finding { subject, place, problem, breaks, more, removed }: Finding) -> Damage {
    let place = place.map(|MediumPlace { medium, file, offset }| Place { medium, file, offset });
    Damage { subject, place, problem, breaks, more, removed }
}
