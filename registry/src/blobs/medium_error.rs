//! Errors of mounted media.

use crate::oci::Digest;

/// Why a blob on a medium cannot be read. Names the file as it is on the medium, not where the medium is mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// The medium was pulled out, or cannot be read.
    #[error(
        "blob `{digest}` is on a mounted medium, in `{file}`, which cannot be read: {reason}; is the medium still in?"
    )]
    Unreadable {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
        /// What the operating system said.
        reason: String,
    },
    /// The file changed since it was mounted.
    #[error(
        "blob `{digest}` is on a mounted medium, in `{file}`, which was changed since; restart the registry to mount it again"
    )]
    Changed {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
    },
    /// The content is not what its name or its image says.
    #[error(
        "the content of `{file}` on a mounted medium does not have the digest `{digest}`: it was damaged or changed on the way; copy the file again"
    )]
    Damaged {
        /// The blob.
        digest: Digest,
        /// The file on the medium.
        file: String,
    },
}
