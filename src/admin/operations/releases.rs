//! The releases: listing and showing them, pinning, going back or forward, removing.

use airdock_registry::{Error, ReleaseList};

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::{Call, Operation, Parts};
use crate::admin::wire::{Pin, Release, Removed, RolledBack};
use crate::exit::Failure;

/// Lists all releases.
pub(crate) struct ListReleases;

impl Operation for ListReleases {
    type Part = ();
    type Outcome = ReleaseList;

    fn endpoint(&self) -> Endpoint {
        Endpoint::ListReleases
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<ReleaseList, Failure> {
        call.registry.releases().list().await.map_err(because("cannot list the releases"))
    }
}

/// Shows the release of this number.
pub(crate) struct ShowRelease(pub(crate) u64);

impl Operation for ShowRelease {
    type Part = ();
    type Outcome = Release;

    fn endpoint(&self) -> Endpoint {
        Endpoint::ShowRelease { id: self.0 }
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<Release, Failure> {
        let shown = call.registry.releases().show(self.0).await;
        shown.map(Release::from).map_err(because("cannot show the release"))
    }
}

impl Operation for Pin {
    type Part = ();
    type Outcome = Self;

    fn endpoint(&self) -> Endpoint {
        Endpoint::PinRelease { id: self.id, pinned: self.pinned }
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<Self, Failure> {
        let done = call.registry.releases().pin(self.id, self.pinned).await;
        done.map(|()| self).map_err(because("cannot pin the release"))
    }
}

/// Goes back, or forward, to the release of this number, or to the one before the one in effect.
pub(crate) struct Rollback(pub(crate) Option<u64>);

impl Operation for Rollback {
    type Part = ();
    type Outcome = RolledBack;

    fn endpoint(&self) -> Endpoint {
        Endpoint::Rollback { to: self.0 }
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<RolledBack, Failure> {
        let done = call.registry.releases().rollback(self.0, &call.by).await.map_err(because("cannot roll back"))?;
        Ok(RolledBack { in_effect: done.to, record: done.record.map(Release::from) })
    }
}

/// Removes the release of this number.
pub(crate) struct RemoveRelease(pub(crate) u64);

impl Operation for RemoveRelease {
    type Part = ();
    type Outcome = Removed;

    fn endpoint(&self) -> Endpoint {
        Endpoint::RemoveRelease { id: self.0 }
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<Removed, Failure> {
        let done = call.registry.releases().remove(self.0, &call.by).await;
        let record = done.map_err(because("cannot remove the release"))?;
        Ok(Removed { removed: self.0, record: record.into() })
    }
}

fn because(tried: &str) -> impl Fn(Error) -> Failure {
    move |error| Failure::of(tried, &error)
}
