//! Entries of the release log, and what may be wrong with what is asked of it.

mod error;
mod record;

pub use error::ReleaseError;
pub(crate) use record::RemovedRelease;
pub(crate) use record::now;
pub use record::{
    ImageState, KeptTag, ManifestName, ReleaseImage, ReleaseKind, ReleaseRecord, ReleaseSignature, ReleaseSource,
    SourceKind, TagChange, TagOutcome,
};
