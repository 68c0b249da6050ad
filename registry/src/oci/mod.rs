//! The vocabulary of the OCI specifications, as types that are valid by construction.
//!
//! Pure: no runtime, no file system, no HTTP. Input is parsed into these types at the edge and trusted from there on.
//! Deserialising one of them runs the same checks as parsing it.

mod digest;
mod error_code;
mod image_config;
mod manifest;
mod media_type;
mod name;
mod range;
mod tag;
mod text;
mod upload_id;

pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use error_code::ErrorCode;
pub use image_config::ImageConfig;
pub use manifest::{
    Descriptor, FieldProblem, InvalidManifest, MAX_MANIFEST_SIZE, MAX_REFERENCES, Manifest, Platform, Reference,
};
pub use media_type::{InvalidMediaType, ManifestKind, MediaType};
pub use name::{InvalidName, RepositoryName};
pub use range::{ByteRange, ContentRange, InvalidContentRange, RangeSet, RequestedRanges};
pub use tag::{InvalidTag, InvalidTagOrDigest, Tag, TagOrDigest};
pub use upload_id::{InvalidUploadId, UploadId};

/// The annotation keys of the image specification that the registry or an ingest reads.
pub mod annotation {
    pub use oci_spec::image::{ANNOTATION_CREATED as CREATED, ANNOTATION_REF_NAME as REF_NAME};
}
