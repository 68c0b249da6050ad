//! Rebuilding the derived index.

use airdock_registry::RebuildReport;

use crate::admin::endpoint::Endpoint;
use crate::admin::operation::Operation;
use crate::exit::Failure;

/// Rebuilds the derived index from blobs and links.
pub(crate) fn rebuild() -> Operation<(), RebuildReport> {
    Operation::new(Endpoint::Rebuild, |call, _| async move {
        call.registry().rebuild().await.map_err(|error| Failure::of("cannot rebuild the metadata", &error))
    })
}
