//! The errors of all use cases. Their HTTP answers are in `api::error`.

use std::net::IpAddr;

use crate::blobs::MediumError;
use crate::catalog::IndexError;
use crate::catalog::release::{KeptTag, ReleaseError};
use crate::disk::DiskError;
use crate::oci::{Digest, ErrorCode, InvalidManifest, MediaType, RepositoryName};

/// A refusal or a failure of the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such repository.
    #[error("repository `{0}` has no manifest here, or is misspelt; `/v2/_catalog` lists those that have")]
    NameUnknown(RepositoryName),
    /// The repository has no such manifest.
    #[error("manifest `{reference}` is not in `{repository}`")]
    ManifestUnknown {
        /// The repository asked.
        repository: RepositoryName,
        /// The tag or digest asked for.
        reference: String,
    },
    /// There is no such file in the classic Helm repository.
    #[error("there is no chart `{0}` here; `helm repo update`, then `helm search repo`, show what there is")]
    ChartUnknown(String),
    /// No repository `charts/FOLDER/NAME` has a chart.
    #[error("there are no charts in the folder `{0}`; the index of all folders is at `/charts/index.yaml`")]
    ChartFolderUnknown(String),
    /// The repository has no such blob.
    #[error("blob `{digest}` is not in `{repository}`")]
    BlobUnknown {
        /// The repository asked.
        repository: RepositoryName,
        /// The digest asked for.
        digest: Digest,
    },
    /// The manifest is not one.
    #[error(transparent)]
    ManifestInvalid(#[from] InvalidManifest),
    /// The manifest names content the repository does not have.
    #[error("the manifest names {} that `{repository}` does not have; push that first", list(.missing))]
    ManifestBlobUnknown {
        /// The repository pushed to.
        repository: RepositoryName,
        /// What is missing.
        missing: Vec<Digest>,
    },
    /// The manifest gives a blob another size than it has.
    #[error("the manifest gives `{digest}` {stated} bytes and it has {found}; correct `size` in its descriptor")]
    SizeInvalid {
        /// The blob.
        digest: Digest,
        /// The descriptor's size.
        stated: u64,
        /// The blob's size.
        found: u64,
    },
    /// An index lists a manifest as another type than it has.
    #[error("the index lists `{digest}` as `{stated}` and it is `{found}`")]
    TypeInvalid {
        /// The manifest it lists.
        digest: Digest,
        /// The descriptor's type.
        stated: MediaType,
        /// The manifest's type.
        found: MediaType,
    },
    /// The content does not have the stated digest.
    #[error(
        "the content was to have digest `{expected}` and has `{found}`; it was damaged or changed on the way, or the digest is another's"
    )]
    DigestMismatch {
        /// The stated digest.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// There is no such upload in this repository.
    #[error("the upload is not known in `{0}`; it may have been finished, cancelled or swept; begin a new one")]
    UploadUnknown(RepositoryName),
    /// Another request is writing to the upload.
    #[error("another request is writing to this upload; ask for its status and continue from there")]
    UploadBusy,
    /// Too many uploads are open.
    #[error(
        "uploads that are open: {0}, as many as `registry.max_uploads` allows; finish or cancel some, or wait until they expire"
    )]
    TooManyUploads(usize),
    /// A client's address has too many uploads open.
    #[error(
        "{limit} uploads from the address {client} are open, as many as one address may have; finish or cancel some, or \
         wait until they expire: those without a byte do in minutes"
    )]
    TooManyUploadsOfClient {
        /// The address.
        client: IpAddr,
        /// How many it may have.
        limit: usize,
    },
    /// The content is not what the client requires before it is changed.
    #[error(
        "`{reference}` of `{repository}` {}, which `If-Match` or `If-None-Match` excludes; nothing was changed",
        found.map_or_else(|| "is not there".to_owned(), |found| format!("is `{found}`"))
    )]
    PreconditionFailed {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest that was to be changed.
        reference: String,
        /// What it is.
        found: Option<Digest>,
    },
    /// Deleting is switched off.
    #[error("deleting is switched off in this registry, by its setting `registry.delete`")]
    DeleteDisabled,
    /// A manifest of the repository needs the blob.
    #[error("blob `{digest}` belongs to manifest `{manifest}`; delete that first")]
    BlobInUse {
        /// The blob.
        digest: Digest,
        /// A manifest that names it.
        manifest: Digest,
    },
    /// An index of the repository lists the manifest.
    #[error("manifest `{digest}` is listed by index `{index}`; delete that first")]
    ManifestInUse {
        /// The manifest.
        digest: Digest,
        /// An index that lists it.
        index: Digest,
    },
    /// It is on a medium that is served in place and cannot be changed.
    #[error(
        "`{reference}` of `{repository}` is on a mounted medium, which is only read; mount another, or push over it"
    )]
    ReadOnly {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest that was to be removed.
        reference: String,
    },
    /// A mounted medium cannot give a blob.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// The bundle may not change some of its tags, and the conflict rule is to fail then.
    #[error("nothing was changed: {} would have to change and {}:\n{}", tags(.0.len()), if .0.len() == 1 { "is not the bundle's" } else { "are not the bundle's" }, lines(.0))]
    Conflicts(Vec<KeptTag>),
    /// What was asked of a release cannot be done.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The registry is starting or stopping.
    #[error("the registry is not ready: {0}")]
    Unavailable(String),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The index failed; it is being rebuilt from the data folder.
    #[error(transparent)]
    Index(#[from] IndexError),
}

fn list(digests: &[Digest]) -> String {
    const SHOWN: usize = 5;
    let mut text = digests.iter().take(SHOWN).map(|digest| format!("`{digest}`")).collect::<Vec<_>>().join(", ");
    if digests.len() > SHOWN {
        text.push_str(&format!(" and {} more", digests.len() - SHOWN));
    }
    text
}

fn tags(count: usize) -> String {
    if count == 1 { "one tag".to_owned() } else { format!("{count} tags") }
}

fn lines(kept: &[KeptTag]) -> String {
    kept.iter().map(|tag| format!("  {tag}")).collect::<Vec<_>>().join("\n")
}

impl Error {
    /// The code clients switch on.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NameUnknown(_) | Self::ChartUnknown(_) | Self::ChartFolderUnknown(_) => ErrorCode::NameUnknown,
            Self::ManifestUnknown { .. } => ErrorCode::ManifestUnknown,
            Self::BlobUnknown { .. } => ErrorCode::BlobUnknown,
            Self::ManifestInvalid(_) | Self::TypeInvalid { .. } => ErrorCode::ManifestInvalid,
            Self::ManifestBlobUnknown { .. } => ErrorCode::ManifestBlobUnknown,
            Self::SizeInvalid { .. } => ErrorCode::SizeInvalid,
            Self::DigestMismatch { .. } => ErrorCode::DigestInvalid,
            Self::UploadUnknown(_) => ErrorCode::BlobUploadUnknown,
            Self::UploadBusy => ErrorCode::BlobUploadInvalid,
            Self::TooManyUploads(_) | Self::TooManyUploadsOfClient { .. } => ErrorCode::TooManyRequests,
            Self::PreconditionFailed { .. } => ErrorCode::Denied,
            Self::DeleteDisabled
            | Self::BlobInUse { .. }
            | Self::ManifestInUse { .. }
            | Self::ReadOnly { .. }
            | Self::Conflicts(_)
            | Self::Release(_) => ErrorCode::Unsupported,
            Self::Medium(MediumError::Damaged { .. }) | Self::Disk(_) | Self::Index(_) => ErrorCode::Unknown,
            Self::Medium(_) | Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }

    /// Whether the disk is full: a retry succeeds once there is room again.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_no_space(),
            Self::Index(error) => error.is_no_space(),
            _ => false,
        }
    }
}
