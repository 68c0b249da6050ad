//! The use cases of the administration API.

mod ingest;
mod inspect;
mod list;
mod remove;
mod uploads;
mod verify;

use airdock_registry::Error;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::operation::{Call, Parts, Running, Work, json};
use super::wire::{Pin, Release, Removed, RolledBack};
use crate::exit::Failure;

/// Starts what a request asks for.
pub(crate) fn start(endpoint: Endpoint, call: Call) -> Running {
    Running::new(call.patience, |parts| perform(endpoint, call, parts))
}

/// The one match: an endpoint, its use case.
fn perform(endpoint: Endpoint, call: Call, parts: Parts) -> Work {
    let (registry, by) = (call.registry().clone(), call.by.clone());
    let releases = move || registry.releases();
    match endpoint {
        Endpoint::ListTags { patterns, untagged } => work(list::list(patterns, untagged, call, parts)),
        Endpoint::Inspect { reference } => work(inspect::inspect(reference, call)),
        Endpoint::Ingest(asked) => work(ingest::ingest(asked, call, parts)),
        Endpoint::Remove(asked) => work(remove::remove(asked, call, parts)),
        Endpoint::Verify(asked) => work(verify::verify(asked, call, parts)),
        Endpoint::ListUploads => work(uploads::list(call, parts)),
        Endpoint::RemoveUploads { ids } => work(uploads::remove(ids, call)),
        Endpoint::Rebuild => {
            work(async move { call.registry().rebuild().await.map_err(because("cannot rebuild the index")) })
        }
        Endpoint::ListReleases => {
            work(async move { releases().list().await.map_err(because("cannot list the releases")) })
        }
        Endpoint::ShowRelease { id } => {
            work(
                async move { releases().show(id).await.map(Release::from).map_err(because("cannot show the release")) },
            )
        }
        Endpoint::RemoveRelease { id } => work(async move {
            let record = releases().remove(id, &by).await.map_err(because("cannot remove the release"))?;
            Ok(Removed { removed: id, record: record.into() })
        }),
        Endpoint::PinRelease { id, pinned } => work(async move {
            releases().pin(id, pinned).await.map_err(because("cannot pin the release"))?;
            Ok(Pin { id, pinned })
        }),
        Endpoint::Rollback { to } => work(async move {
            let done = releases().rollback(to, &by).await.map_err(because("cannot roll back"))?;
            Ok(RolledBack { in_effect: done.to, record: done.record.map(Release::from) })
        }),
    }
}

fn work<T: Serialize>(work: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Work {
    Box::pin(async { json(&work.await?) })
}

fn because(tried: &str) -> impl Fn(Error) -> Failure {
    move |error| Failure::of(tried, &error)
}
