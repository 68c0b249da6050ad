//! What a place of blobs can be asked. Free of files, paths and HTTP: object storage is one more implementation.

use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use super::blob::Blob;
use super::writer::{Adopted, Sealed, Writer};
use crate::error::Error;
use crate::oci::{Algorithm, Digest};

/// An answer that may be waited for.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Digests in no order, in batches.
pub(crate) type Digests<'a> = Pin<Box<dyn Stream<Item = Result<Vec<Digest>, Error>> + Send + 'a>>;

/// Where blobs can be read.
pub(crate) trait Place: Debug + Send + Sync {
    /// The blob, opened; `None` where it is not here. `size` is what a link or a manifest says it has, in bytes. An error
    /// means that the blob should be here and cannot be read, or does not have its size.
    fn find(&self, digest: &Digest, size: Option<u64>) -> Answer<'_, Option<Blob>>;

    /// The size of each, in bytes, as it is here; nothing is read.
    fn sizes(&self, digests: &[Digest]) -> Answer<'_, Vec<Option<u64>>>;

    /// The whole of a small blob, re-hashed; `None` where it is not here. An error also means that it does not have its
    /// digest, or is larger than `limit` bytes.
    fn read(&self, digest: &Digest, limit: usize) -> Answer<'_, Option<Bytes>>;

    /// Every blob.
    fn list(&self) -> Digests<'_>;
}

/// A place that new blobs go to.
pub(crate) trait Depot: Place {
    /// Begins a blob that is to be known by a digest of `algorithm`.
    fn begin(&self, algorithm: Algorithm) -> Answer<'_, Writer>;

    /// Gives a sealed blob its name, durably, unless an equal one has it.
    fn store(&self, sealed: Sealed) -> Answer<'_, Adopted>;

    /// Moves a damaged blob to quarantine, durably, unless it was replaced since it was opened. Says whether it was moved.
    fn quarantine(&self, damaged: &Blob) -> Answer<'_, bool>;
}
