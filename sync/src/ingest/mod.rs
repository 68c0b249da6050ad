//! Taking in what crossed the gap: archives and bundles into the registry, all tags together at the end.

mod plan;
mod report;
mod run;
mod settings;
mod trust;

pub use report::{Event, ImageRow, IngestError, Kept, Notice, Report};
pub use run::{ingest, ingest_until, inventory, mount};
pub use settings::{Cancel, Input, InvalidNaming, Limits, Naming, Settings, TrustSettings};
pub use trust::check_keys;
