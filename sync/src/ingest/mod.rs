//! Ingesting what crossed the gap: archives and bundles into the registry, all tags together at the end.

mod dry;
mod error;
mod plan;
mod run;
mod settings;
mod trust;

pub use crate::limits::Limits;
pub use crate::progress::{Cancel, Event};
pub use crate::report::{ImageRow, Kept, Notice, Report};
pub use error::IngestError;
pub use run::{ingest, ingest_until, inventory, mount};
pub use settings::{Input, InvalidNaming, Naming, Settings, TrustSettings};
pub use trust::check_keys;
