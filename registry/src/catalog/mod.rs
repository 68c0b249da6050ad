//! Names: which repositories, manifests and tags there are, and which layer decides.
//!
//! There are two layers: the data folder (pushed, ingested, mirrored) and media that are served in place. [`Catalog`]
//! merges them by the one rule of rank (`binding`). Every change of one repository is one [`Changes`], committed in one
//! place (`files/commit`) that writes truth, derived index and caches in the one right order. Bytes are in `blobs`.

mod binding;
mod caches;
mod changes;
mod files;
mod homes;
mod layer;
mod mount;
mod page;
mod precedence;
mod referrer;
pub(crate) mod release;
mod view;

pub use binding::{Binding, Origin, Provenance, Rank, TagLink};
pub(crate) use changes::Changes;
pub(crate) use files::{CHARTS, Linked, Logging, Right};
pub use files::{
    IndexError, ManifestLink, RebuildReport, ReleaseList, ReleaseState, ReleaseSummary, Releases, Rollback,
};
pub use homes::Homes;
pub(crate) use layer::Layer;
pub use layer::ServedManifest;
pub(crate) use mount::{MountedNames, MountedRepository};
pub use precedence::{OnConflict, Outcome, Precedence, WhyKept};
pub(crate) use referrer::Referrer;
pub use release::TagOutcome;
pub(crate) use view::Catalog;

#[cfg(test)]
mod tests;
