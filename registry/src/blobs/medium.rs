//! The blobs of one medium that is served in place, each with every position it can be read from.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::blob::Blob;
use super::medium_blob::MediumBlob;
use super::medium_error::MediumError;
use super::place::{Answer, Digests, Place};
use crate::disk::read_pieces;
use crate::oci::Digest;

/// A mounted medium. Its blobs never change.
#[derive(Debug)]
pub(crate) struct Medium {
    /// What was mounted.
    pub(crate) name: String,
    /// Every blob once, in the order of their positions.
    pub(crate) blobs: Vec<Arc<MediumBlob>>,
    by_digest: HashMap<Digest, Arc<MediumBlob>>,
    /// Where else some of them are.
    copies: HashMap<Digest, Vec<Arc<MediumBlob>>>,
}

impl Medium {
    /// `copies` are further positions of some of `blobs`.
    pub(crate) fn new(
        name: String,
        mut blobs: Vec<Arc<MediumBlob>>,
        mut copies: HashMap<Digest, Vec<Arc<MediumBlob>>>,
    ) -> Self {
        blobs.sort_by(|a, b| a.position().cmp(&b.position()));
        let by_digest: HashMap<_, _> = blobs.iter().map(|blob| (blob.digest(), blob.clone())).collect();
        copies.retain(|digest, _| by_digest.contains_key(digest));
        Self { name, blobs, by_digest, copies }
    }

    /// Every position of a blob, in the order in which to try them.
    pub(crate) fn positions(&self, digest: &Digest) -> Vec<Arc<MediumBlob>> {
        let first = self.by_digest.get(digest).into_iter();
        first.chain(self.copies.get(digest).into_iter().flatten()).cloned().collect()
    }

    /// Every position of every blob, in order.
    pub(crate) fn every_position(&self) -> Vec<Arc<MediumBlob>> {
        let mut all: Vec<_> = self.blobs.iter().chain(self.copies.values().flatten()).cloned().collect();
        all.sort_by(|a, b| a.position().cmp(&b.position()));
        all
    }

    pub(crate) fn size(&self, digest: &Digest) -> Option<u64> {
        self.by_digest.get(digest).map(|blob| blob.size())
    }

    /// Reads the blob from the first position that gives it, on the medium's own threads.
    fn first<T: Send + 'static>(
        &self,
        digest: &Digest,
        give: impl Fn(&Arc<MediumBlob>) -> Result<T, MediumError> + Clone + Send + 'static,
    ) -> Answer<'static, Option<T>> {
        let positions = self.positions(digest);
        let Some(first) = positions.first().cloned() else { return Box::pin(std::future::ready(Ok(None))) };
        let asked = async move {
            // One wait for all of them: they are on the same medium.
            let first_of_all = move |_: &Arc<MediumBlob>| {
                let mut failed = None;
                for position in &positions {
                    match give(position) {
                        Ok(given) => return Ok(Some(given)),
                        Err(error) => drop(failed.get_or_insert(error)),
                    }
                }
                failed.map_or(Ok(None), Err)
            };
            Ok(first.ask(first_of_all).await?)
        };
        Box::pin(asked)
    }
}

impl Place for Medium {
    fn find(&self, digest: &Digest, size: Option<u64>) -> Answer<'_, Option<Blob>> {
        self.first(digest, move |position| match size {
            Some(size) if size != position.size() => Err(position.damaged()),
            _ => Blob::open_on_medium(position),
        })
    }

    fn sizes(&self, digests: &[Digest]) -> Answer<'_, Vec<Option<u64>>> {
        Box::pin(std::future::ready(Ok(digests.iter().map(|digest| self.size(digest)).collect())))
    }

    fn read(&self, digest: &Digest, limit: usize) -> Answer<'_, Option<Bytes>> {
        let wanted = *digest;
        self.first(digest, move |position| {
            if position.size() > limit as u64 {
                return Err(position.damaged());
            }
            let (file, offset) = position.open()?;
            let version = position.version(&file);
            let content = position.read(&file, offset)?;
            position.found(&wanted.algorithm().digest(&content), version)?;
            Ok(Bytes::from(content))
        })
    }

    fn list(&self) -> Digests<'_> {
        Box::pin(stream::iter([Ok(self.blobs.iter().map(|blob| blob.digest()).collect())]))
    }
}

/// Why a blob could not be re-hashed.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// `watch` stopped it.
    Stopped,
    /// The blob is damaged, or cannot be read.
    Failed(MediumError),
}

/// Reads all of a blob at one position and records whether it has its digest. `watch` gets the size of each piece, first
/// 0, and stops the reading by returning `false`.
pub(crate) fn re_hash(
    blob: &MediumBlob,
    buffer: &mut [u8],
    watch: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Unfinished> {
    let (file, offset) = blob.open().map_err(Unfinished::Failed)?;
    if !watch(0) {
        return Err(Unfinished::Stopped);
    }
    let (version, mut hasher) = (blob.version(&file), blob.digest().algorithm().hasher());
    let read = read_pieces(&file, offset, Some(blob.size()), buffer, |piece| {
        hasher.update(piece);
        if watch(piece.len() as u64) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let checked = match read {
        Ok(ControlFlow::Break(())) => return Err(Unfinished::Stopped),
        Ok(ControlFlow::Continue(())) => blob.found(&hasher.finish(), version),
        Err(failed) if failed.error.kind() == io::ErrorKind::UnexpectedEof => Err(blob.unreadable(&failed.error)),
        Err(failed) => Err(blob.read_failed(failed.at, &failed.error)),
    };
    checked.map_err(Unfinished::Failed)
}
