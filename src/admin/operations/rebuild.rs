//! Rebuilding the derived index.

use airdock_registry::RebuildReport;

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::{Call, Operation, Parts};
use crate::exit::Failure;

/// Rebuilds the derived index from blobs and links.
pub(crate) struct Rebuild;

impl Operation for Rebuild {
    type Part = ();
    type Outcome = RebuildReport;

    fn endpoint(&self) -> Endpoint {
        Endpoint::Rebuild
    }

    async fn run(self, call: Call, _: Parts<()>) -> Result<RebuildReport, Failure> {
        call.registry.rebuild().await.map_err(|error| Failure::of("cannot rebuild the metadata", &error))
    }
}
