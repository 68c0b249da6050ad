//! Names, and who says them: which repositories, manifests and tags there are, by rank.
//!
//! Two layers say names: the data folder (pushed, ingested, mirrored) and media that are served in place. [`Catalog`]
//! merges them by the one rule of rank (`binding`). Everything that changes names is one [`Changes`], committed in one
//! place (`files`) that writes truth, derived index and caches in the one right order. Where bytes are is `blobs`.

mod binding;
mod caches;
mod changes;
mod files;
mod layer;
mod mount;
mod outcome;
mod precedence;
pub(crate) mod release;
mod view;

pub use binding::{Binding, Origin, Provenance, Rank, TagLink};
pub(crate) use changes::Changes;
pub(crate) use files::{CHARTS, Exclusive, Linked};
pub use files::{IndexError, ManifestLink, RebuildReport};

pub use layer::ServedManifest;
pub(crate) use mount::{MountedNames, MountedRepository};
pub use outcome::TagOutcome;
pub use precedence::{OnConflict, Outcome, Precedence, WhyKept};
pub(crate) use view::Catalog;

#[cfg(test)]
mod tests;
