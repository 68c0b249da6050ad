//! The OCI registry of Airdock: vocabulary, store, metadata, use cases, and the HTTP API as a tower service.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

pub mod api;
mod cache;
pub mod content;
mod error;
mod metadata;
mod mounts;
pub mod names;
pub mod oci;
mod registry;
mod repository;
pub mod server;
mod settings;
mod store;

pub use error::Error;
pub use metadata::MetadataError;
pub use mounts::{MountDraft, Verification};
pub use registry::{RebuildReport, Registry};
pub use repository::{
    BlobWriter, ChartFile, ChartIndex, ContentKind, Description, Finding, Listed, MediumPlace, MediumRead, MountSink,
    Mounted, OnConflict, Outcome, Part, Place, Precedence, PutManifest, PutReference, ReferrersPage, ReleaseDraft,
    ReleaseError, ReleaseList, ReleaseReport, ReleaseState, ReleaseSummary, Releases, Repository, RepositoryPage,
    Rollback, ServedManifest, Summary, TagOrigin, TagOutcome, TagPage, Tagged, TaggedPage, Upload, VerifyProgress,
    VerifyReport, Written,
};
pub use settings::{References, Settings};
pub use store::{
    Blob, ImageState, KeptTag, ManifestLink, ManifestName, MediumError, OpenError, Provenance, ReleaseImage,
    ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource, SourceKind, StoreError, TagChange, TagLink, WhyKept,
};
