//! Where content goes: a reader of archives or of registries pushes blobs, manifests and tags into a [`Sink`] and
//! does not know whether that is a release, a mounted medium, a count or a bundle being written.
//!
//! Both traits block. Call them from a thread that may block, inside a tokio runtime.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub use crate::catalog::Homes;
use crate::catalog::TagOutcome;
use crate::catalog::release::{ReleaseImage, ReleaseSignature};
use crate::error::Error;
use crate::oci::{Algorithm, Descriptor, Digest, Hasher, Manifest, MediaType, RepositoryName, Tag};

/// Receives content. Nothing becomes visible before [`Sink::finish`]; a sink that is dropped before that leaves nothing
/// but blobs that no manifest names.
pub trait Sink: Send {
    /// The size of a blob that the sink has, or does not need.
    fn has(&self, digest: &Digest) -> Option<u64>;

    /// Reads back a blob that the sink has. `None` if it cannot, or not yet.
    fn read(&self, _digest: &Digest) -> Result<Option<Box<dyn Read>>, Error> {
        Ok(None)
    }

    /// The repositories in which each of these manifests can be pulled already, at most 256 of each: what belongs to one
    /// goes there. A sink that makes nothing visible knows of none.
    ///
    /// # Errors
    /// When the disk refuses.
    fn repositories_of(&self, _manifests: &BTreeSet<Digest>) -> Result<Homes, Error> {
        Ok(Homes::new())
    }

    /// Whether `needed` more bytes fit and leave `keep_free` free. Nothing is reserved.
    ///
    /// # Errors
    /// [`NoRoom`](crate::DiskError::NoRoom), with what is missing; when the disk cannot say.
    fn require_room(&self, _needed: u64, _keep_free: u64) -> Result<(), Error> {
        Ok(())
    }

    /// Whether blobs are only located and never copied. Such a sink cannot use compressed archives and pipes.
    fn locates_only(&self) -> bool {
        false
    }

    /// How many bytes the sink holds in memory, if it holds any; the caller bounds them.
    fn held(&self) -> Option<u64> {
        None
    }

    /// Begins a blob. A sink that stores nothing hashes it, as [`HashedBlob`] does.
    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error>;

    /// Adds a small blob that is in memory.
    fn put(&mut self, bytes: &[u8], digest: Digest) -> Result<(), Error> {
        let mut blob = self.blob(digest.algorithm())?;
        blob.write(bytes)?;
        blob.finish(Some(digest)).map(drop)
    }

    /// Offers a blob where it is stored; `verified` if its bytes have just been hashed. `false`: it has to be written.
    /// A blob may be offered at several places: the first one counts, the others are tried when it fails.
    ///
    /// # Errors
    /// When the file cannot be examined.
    fn locate(&mut self, _digest: Digest, _at: &FileRange<'_>, _verified: bool) -> io::Result<bool> {
        Ok(false)
    }

    /// Offers a compressed layer whose digest is unknown until it has been read. `true` if the sink does not need it, and
    /// counts what the layer unpacks to instead.
    fn estimate(&mut self, _diff_id: Digest, _size: u64) -> bool {
        false
    }

    /// Adds a manifest to a repository, after everything it names.
    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>);

    /// Adds a tag. If the same tag is added twice, the last one counts.
    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest);

    /// For the record: an image or chart under one of its names.
    fn describe(&mut self, _image: ReleaseImage) {}

    /// For the record: who signed the content.
    fn signed(&mut self, _signatures: &[ReleaseSignature]) {}

    /// Makes everything visible at once.
    ///
    /// # Errors
    /// When a manifest does not match its digest or its blobs, when a tag would be kept and that is to fail, and the
    /// failures of the disk. Then nothing becomes visible.
    fn finish(self: Box<Self>) -> Result<Committed, Error>;
}

/// A blob being written. If it is dropped before it is finished, its bytes are discarded.
pub trait BlobSink: Send {
    /// Adds the next piece. 64 KiB to 1 MiB are best.
    fn write(&mut self, piece: &[u8]) -> Result<(), Error>;

    /// Bytes written so far.
    fn size(&self) -> u64;

    /// Writes on the calling thread, however large the blob is. For callers that write several blobs at once.
    fn write_inline(&mut self) {}

    /// Ends the blob, which must have the `expected` digest if there is one. Returns its digest and size.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]: then nothing is kept. When the disk refuses.
    fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<(Digest, u64), Error>;
}

/// A range of a file, where a blob is stored.
#[derive(Clone, Copy, Debug)]
pub struct FileRange<'a> {
    /// The file, open for reading.
    pub file: &'a File,
    /// Its path.
    pub path: &'a Path,
    /// Where the blob begins.
    pub offset: u64,
    /// The size of the blob.
    pub size: u64,
}

/// What a sink did in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The number of the release it became, if it became one.
    pub release: Option<u64>,
    /// Every tag and what happened to it.
    pub tags: Vec<TagOutcome>,
    /// Whether anything was written.
    pub wrote: bool,
}

/// A blob that is hashed and not kept.
#[derive(Debug)]
pub struct HashedBlob {
    hasher: Hasher,
    size: u64,
}

impl HashedBlob {
    /// Begins with nothing.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self { hasher: algorithm.hasher(), size: 0 }
    }
}

impl BlobSink for HashedBlob {
    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.hasher.update(piece);
        self.size += piece.len() as u64;
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<(Digest, u64), Error> {
        let found = self.hasher.finish();
        check_digest(expected.unwrap_or(found), found)?;
        Ok((found, self.size))
    }
}

/// Whether content has the digest it is to have.
pub(crate) fn check_digest(expected: Digest, found: Digest) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::DigestMismatch { expected, found }) }
}

/// Whether a manifest's blobs are there, except the foreign ones, and have its sizes. `sizes` are those found, in the same
/// order.
pub(crate) fn check_blobs(
    repository: &RepositoryName,
    manifest: &Manifest,
    sizes: impl IntoIterator<Item = Option<u64>>,
) -> Result<(), Error> {
    let mut missing = Vec::new();
    let required: HashSet<Digest> = manifest.required_blobs().map(|blob| blob.digest).collect();
    for (blob, found) in manifest.blobs().zip(sizes) {
        match found {
            Some(found) if found != blob.size => {
                return Err(Error::SizeInvalid { digest: blob.digest, stated: blob.size, found });
            }
            None if required.contains(&blob.digest) => missing.push(blob.digest),
            _ => {}
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::ManifestBlobUnknown { repository: repository.clone(), missing })
    }
}

/// Whether a manifest has the type an index gives it.
pub(crate) fn check_type(stated: &Descriptor, found: &MediaType) -> Result<(), Error> {
    if stated.media_type == *found {
        Ok(())
    } else {
        let (digest, stated, found) = (stated.digest, stated.media_type.clone(), found.clone());
        Err(Error::TypeInvalid { digest, stated, found })
    }
}

/// Whether a manifest that an index lists has the size and type that it gives.
pub(crate) fn check_child(stated: &Descriptor, child: &Manifest) -> Result<(), Error> {
    let found = child.bytes().len() as u64;
    if stated.size != found {
        return Err(Error::SizeInvalid { digest: stated.digest, stated: stated.size, found });
    }
    check_type(stated, child.media_type())
}

/// Waits for an asynchronous step of a sink.
pub(crate) fn wait<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.block_on(step),
        Err(_) => Err(Error::Unavailable("content can only be committed within a runtime".into())),
    }
}
