//! The OCI registry of Airdock: vocabulary, blobs, catalog, use cases, and the HTTP API as a tower service.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

pub mod api;
mod blobs;
mod cache;
mod catalog;
mod charts;
pub mod content;
mod core;
mod disk;
mod error;
mod mount;
pub mod names;
pub mod oci;
mod registry;
mod release;
mod repository;
pub mod server;
mod settings;
mod verify;

pub use blobs::{Blob, MediumError, UploadSummary};
pub use catalog::release::{
    ImageState, KeptTag, ManifestName, ReleaseError, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature,
    ReleaseSource, SourceKind, TagChange,
};
pub use catalog::{
    Binding, IndexError, ManifestLink, OnConflict, Origin, Outcome, Precedence, Provenance, Rank, RebuildReport,
    ReleaseList, ReleaseState, ReleaseSummary, Releases, Rollback, ServedManifest, TagLink, TagOutcome, WhyKept,
};
pub use charts::{ChartFile, ChartIndex};
pub use disk::{DiskError, OpenError};
pub use error::Error;
pub use mount::{MediumCheck, MountDraft, Mounted};
pub use registry::Registry;
pub use release::{BlobWriter, ReleaseDraft, ReleaseReport, Written};
pub use repository::{
    ContentKind, Description, Digests, Holder, Listed, Part, Precondition, PutManifest, PutReference, ReferrersPage,
    Repository, RepositoryPage, Summary, TagPage, Tagged, TaggedPage, Upload,
};
pub use settings::{References, Settings};
pub use verify::{Finding, MediumPosition, MediumRead, VerifyProgress, VerifyReport};
