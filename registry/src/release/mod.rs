//! A release being made: what one ingest brings. Blobs go in as they are read and are seen by no client; at the end
//! manifests are linked, and then one entry of the log makes all tags appear together.

mod brought;
mod draft;
mod sink;
mod writer;

pub use draft::{ReleaseDraft, ReleaseReport};
pub use writer::{BlobWriter, Written};
