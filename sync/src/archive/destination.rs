//! Where what is found in archives goes: into the store, as a release; or nowhere, when it is served from where it lies,
//! or only asked about.

use std::collections::HashMap;
use std::fs::File;

use airdock_registry::oci::{Algorithm, Digest, Hasher, Manifest, RepositoryName, Tag};
use airdock_registry::{BlobWriter, Error, MountDraft, ReleaseDraft, ReleaseImage, ReleaseSignature};
use bytes::Bytes;

use super::problem::{Problem, printable};
use super::room::Count;
use super::source::Window;

/// What a mount may hold in memory: charts' configs, configs of images that lie in archives. Everything else stays where
/// it is.
const MAX_HELD: u64 = 64 * 1024 * 1024;

/// Where it goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// Blobs are written as they are read.
    Store(ReleaseDraft),
    /// Blobs are located, and read when somebody asks for them.
    Mount(MountDraft),
    /// What would be written is counted.
    Count(Count),
    /// Blobs are read and hashed as they would be for the store, and forgotten but for their sizes.
    Hash(HashMap<Digest, u64>),
}

impl Destination {
    /// Whether nothing is to be read that is not needed to say where things lie.
    pub(crate) const fn leaves_content(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Hash(_))
    }

    pub(crate) fn has_blob(&self, digest: &Digest) -> Option<u64> {
        match self {
            Self::Store(draft) => draft.has_blob(digest),
            Self::Mount(draft) => draft.has_blob(digest),
            Self::Count(count) => count.has_blob(digest),
            Self::Hash(hashed) => hashed.get(digest).copied(),
        }
    }

    /// A blob that is in the store, to be read again.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<File>, Problem> {
        match self {
            Self::Store(draft) => draft.open_blob(digest).map_err(Problem::Registry),
            Self::Mount(_) | Self::Count(_) | Self::Hash(_) => Ok(None),
        }
    }

    /// Whether a blob of which the digest would be known by reading it is only counted: under its unpacked content's.
    pub(crate) fn count(&mut self, diff_id: Digest, size: u64) -> bool {
        let Self::Count(count) = self else { return false };
        count.add(diff_id, size);
        true
    }

    /// Begins a blob that is read whole.
    pub(crate) fn writer(&mut self, algorithm: Algorithm) -> Result<Sink, Problem> {
        match self {
            Self::Store(draft) => draft.writer_with(algorithm).map(Sink::Store).map_err(Problem::Registry),
            Self::Mount(_) | Self::Count(_) | Self::Hash(_) => Ok(Sink::Hash(algorithm.hasher(), 0)),
        }
    }

    /// A blob that was begun is whole. The store knows by itself.
    pub(crate) fn written(&mut self, (digest, size): &(Digest, u64)) {
        if let Self::Hash(hashed) = self {
            hashed.insert(*digest, *size);
        }
    }

    /// Takes a small blob that has `digest`.
    pub(crate) fn put(&mut self, bytes: &[u8], entry: &str, digest: Digest) -> Result<(), Problem> {
        match self {
            Self::Store(_) | Self::Hash(_) => {
                let mut sink = self.writer(digest.algorithm())?;
                sink.write(bytes)?;
                let written = sink.finish(entry, Some(digest))?;
                self.written(&written);
                Ok(())
            }
            Self::Mount(draft) => {
                if draft.held() + bytes.len() as u64 > MAX_HELD {
                    return Err(Problem::OverLimit {
                        what: format!("what is held in memory of the mounted medium, with `{}`,", printable(entry)),
                        limit: format!("{MAX_HELD} bytes"),
                        cure: "ingest the bundle instead of mounting it",
                    });
                }
                draft.hold(digest, Bytes::copy_from_slice(bytes));
                Ok(())
            }
            Self::Count(count) => {
                count.add(digest, bytes.len() as u64);
                Ok(())
            }
        }
    }

    /// Leaves a blob where it lies, if it is to be served from there. `false`: it has to be written.
    pub(crate) fn locate(
        &mut self,
        window: &Window<'_>,
        entry: &str,
        digest: Digest,
        verified: bool,
    ) -> Result<bool, Problem> {
        let draft = match self {
            Self::Store(_) | Self::Hash(_) => return Ok(false),
            Self::Count(count) => {
                count.add(digest, window.size());
                return Ok(true);
            }
            Self::Mount(draft) => draft,
        };
        if let Some(known) = draft.has_blob(&digest).filter(|known| *known != window.size()) {
            return Err(Problem::Size { entry: printable(entry), expected: known, found: window.size() });
        }
        let (file, path) = window.file();
        draft.locate(digest, (file, path), (window.start(), window.size()), verified).map_err(Problem::Read)?;
        Ok(true)
    }

    pub(crate) fn add_manifest(&mut self, repository: &RepositoryName, digest: Digest, manifest: Manifest) {
        match self {
            Self::Store(draft) => draft.add_manifest(repository, digest, manifest),
            Self::Mount(draft) => draft.add_manifest(repository, digest, manifest),
            Self::Count(_) | Self::Hash(_) => {}
        }
    }

    /// For the record of the release.
    pub(crate) fn describe(&mut self, image: ReleaseImage) {
        if let Self::Store(draft) = self {
            draft.describe(image);
        }
    }

    /// For the record of the release.
    pub(crate) fn set_signatures(&mut self, signatures: Vec<ReleaseSignature>) {
        if let Self::Store(draft) = self {
            draft.set_signatures(signatures);
        }
    }

    pub(crate) fn add_tag(&mut self, repository: &RepositoryName, tag: Tag, digest: Digest) {
        match self {
            Self::Store(draft) => draft.add_tag(repository, tag, digest),
            Self::Mount(draft) => draft.add_tag(repository, tag, digest),
            Self::Count(_) | Self::Hash(_) => {}
        }
    }
}

/// What a blob is read into.
pub(crate) enum Sink {
    Store(BlobWriter),
    Hash(Hasher, u64),
}

impl Sink {
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), Problem> {
        match self {
            Self::Store(writer) => writer.write(piece).map_err(Problem::Registry),
            Self::Hash(hasher, size) => {
                hasher.update(piece);
                *size += piece.len() as u64;
                Ok(())
            }
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        match self {
            Self::Store(writer) => writer.size(),
            Self::Hash(_, size) => *size,
        }
    }

    /// Ends the blob, which must have the `expected` digest if there is one.
    pub(crate) fn finish(self, entry: &str, expected: Option<Digest>) -> Result<(Digest, u64), Problem> {
        let wrong = |expected, found| Problem::Digest { entry: printable(entry), expected, found };
        match self {
            Self::Store(writer) => match writer.commit(expected) {
                Ok(written) => Ok((written.digest, written.size)),
                Err(Error::DigestMismatch { expected, found }) => Err(wrong(expected, found)),
                Err(error) => Err(Problem::Registry(error)),
            },
            Self::Hash(hasher, size) => {
                let found = hasher.finish();
                match expected.filter(|expected| *expected != found) {
                    Some(expected) => Err(wrong(expected, found)),
                    None => Ok((found, size)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mount_holds_in_memory_is_bounded() {
        let mut to = Destination::Mount(MountDraft::new(std::path::Path::new("disc")));
        let mut chart = vec![7; 40 << 20];
        to.put(&chart, "a.tgz", Algorithm::Sha256.digest(b"a")).unwrap();
        chart[0] = 8;
        let refused = to.put(&chart, "b.tgz", Algorithm::Sha256.digest(b"b")).unwrap_err();
        assert!(matches!(&refused, Problem::OverLimit { .. }), "{refused}");
        assert!(refused.sentence().contains("ingest the bundle instead"), "{refused}");
    }
}
