//! A release as a sink: blobs are written as they are read, and one commit makes everything visible.

use std::io::Read;
use std::sync::Arc;

use super::draft::ReleaseDraft;
use super::writer::BlobWriter;
use crate::catalog::release::{ReleaseImage, ReleaseSignature};
use crate::content::{BlobSink, Committed, Sink, wait};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

impl Sink for ReleaseDraft {
    fn has(&self, digest: &Digest) -> Option<u64> {
        self.has_blob(digest)
    }

    fn read(&self, digest: &Digest) -> Result<Option<Box<dyn Read>>, Error> {
        Ok(self.open_blob(digest)?.map(|file| Box::new(file) as Box<dyn Read>))
    }

    fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), Error> {
        Self::require_room(self, needed, keep_free)
    }

    fn blob(&mut self, algorithm: Algorithm) -> Result<Box<dyn BlobSink>, Error> {
        Ok(Box::new(self.writer_with(algorithm)?))
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Arc<Manifest>) {
        self.add_manifest(repository, digest, manifest);
    }

    fn tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        self.add_tag(repository, tag, digest);
    }

    fn describe(&mut self, image: ReleaseImage) {
        Self::describe(self, image);
    }

    fn signed(&mut self, signatures: &[ReleaseSignature]) {
        self.set_signatures(signatures.to_vec());
    }

    fn finish(self: Box<Self>) -> Result<Committed, Error> {
        let report = wait(self.commit())?;
        Ok(Committed { release: report.id, tags: report.tags, wrote: report.wrote })
    }
}

impl BlobSink for BlobWriter {
    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        Self::write(self, piece)
    }

    fn size(&self) -> u64 {
        Self::size(self)
    }

    fn write_inline(&mut self) {
        Self::write_inline(self);
    }

    fn finish(self: Box<Self>, expected: Option<Digest>) -> Result<(Digest, u64), Error> {
        self.commit(expected).map(|written| (written.digest, written.size))
    }
}
