//! The releases: listing and showing them, pinning, going back or forward, removing.

use airdock_registry::{Error, ReleaseList};

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::Operation;
use crate::admin::wire::{Pin, Release, Removed, RolledBack};
use crate::exit::Failure;

/// Lists all releases.
pub(crate) fn list() -> Operation<(), ReleaseList> {
    Operation::new(Endpoint::ListReleases, |call, _| async move {
        call.registry().releases().list().await.map_err(because("cannot list the releases"))
    })
}

/// Shows one release.
pub(crate) fn show(id: u64) -> Operation<(), Release> {
    Operation::new(Endpoint::ShowRelease { id }, move |call, _| async move {
        let shown = call.registry().releases().show(id).await;
        shown.map(Release::from).map_err(because("cannot show the release"))
    })
}

/// Protects a release from being removed, or no longer does.
pub(crate) fn pin(id: u64, pinned: bool) -> Operation<(), Pin> {
    Operation::new(Endpoint::PinRelease { id, pinned }, move |call, _| async move {
        let done = call.registry().releases().pin(id, pinned).await;
        done.map(|()| Pin { id, pinned }).map_err(because("cannot pin the release"))
    })
}

/// Goes back, or forward, to a release, or to the one before the one in effect.
pub(crate) fn rollback(to: Option<u64>) -> Operation<(), RolledBack> {
    Operation::new(Endpoint::Rollback { to }, move |call, _| async move {
        let done = call.registry().releases().rollback(to, &call.by).await.map_err(because("cannot roll back"))?;
        Ok(RolledBack { in_effect: done.to, record: done.record.map(Release::from) })
    })
}

/// Removes a release.
pub(crate) fn remove(id: u64) -> Operation<(), Removed> {
    Operation::new(Endpoint::RemoveRelease { id }, move |call, _| async move {
        let done = call.registry().releases().remove(id, &call.by).await;
        let record = done.map_err(because("cannot remove the release"))?;
        Ok(Removed { removed: id, record: record.into() })
    })
}

fn because(tried: &str) -> impl Fn(Error) -> Failure {
    move |error| Failure::of(tried, &error)
}
