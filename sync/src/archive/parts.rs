//! What the readers of image dialects need of an archive, whether it is seekable or a stream. Implemented by `seekable`
//! and `sequential`.

use airdock_registry::oci::Digest;
use bytes::Bytes;

use super::intake::Intake;
use crate::input::compression::Format;
use crate::input::diff_id::DiffId;
use crate::input::source::{Source, read_all};
use crate::limits::Allowance;
use crate::problem::{Problem, Result};
use crate::text::printable;

/// The compression of a stored layer, which its media type must state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// How many bytes of a layer are needed to recognise its compression.
pub(crate) const LAYER_HEAD: usize = 8;

/// The largest compressed layer of an image with a manifest that is unpacked to be held against its config, in bytes. It
/// costs about a millisecond; unpacking all layers would take several times as long as storing them.
pub(crate) const UNPACKED: u64 = 128 * 1024;
/// What such a layer may unpack to, in bytes. One that is larger is not held against its config.
const UNPACKED_TO: u64 = 16 * 1024 * 1024;

/// What the small layer of these bytes unpacks to. `None` if they are not what their digest says, which is found elsewhere,
/// or if they cannot be unpacked within the bound.
pub(crate) fn unpacked(bytes: &[u8], digest: Digest) -> Option<Digest> {
    if digest.algorithm().digest(bytes) != digest {
        return None;
    }
    let mut unpacked = DiffId::new(Allowance { ratio: 0, from: UNPACKED_TO });
    unpacked.update(bytes);
    unpacked.finish("", digest).ok()
}

impl Compression {
    /// The compression, by a layer's first [`LAYER_HEAD`] bytes; or the name of one that archives may have and layers may not,
    /// because there is no media type for it.
    pub(crate) fn of(head: &[u8]) -> Result<Self, &'static str> {
        match Format::of(head) {
            Format::Gzip => Ok(Self::Gzip),
            Format::Zstd => Ok(Self::Zstd),
            Format::Xz => Err("xz"),
            Format::Bzip2 => Err("bzip2"),
            Format::Foreign(kind) => Err(kind),
            Format::Tar | Format::Empty | Format::Other => Ok(Self::None),
        }
    }
}

/// The error for the layer at `path`, whose compression no layer may have.
pub(crate) fn unfit(compression: &str, path: &str) -> Problem {
    Problem::Unusable(format!(
        "its layer `{}` is compressed with {compression}, and an image can only say of a layer that it is plain, gzip or zstd; \
         load the archive with Docker and save it from there (`docker load`, `docker save`)",
        printable(path)
    ))
}

/// A layer that is in the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
}

/// The entries of an archive by normalised path.
pub(crate) trait Parts {
    /// The folders that have a file of this name; `""` is the archive itself.
    fn folders_with(&self, name: &str) -> Vec<String>;

    /// The files that nothing has asked for, by any of their names.
    fn unasked(&self) -> Vec<String>;

    /// The size of the file `path`, whatever name it has.
    fn size(&self, path: &str) -> Result<Option<u64>>;

    /// The content of a small file.
    fn document(&self, path: &str, limit: u64) -> Result<Option<Bytes>>;

    /// Writes these files in parallel if the archive is seekable, before each is asked for in turn. `stored` says whether
    /// the digests of compressed files are those of the files, and not of what they unpack to.
    fn ahead(&mut self, _: &mut Intake<'_>, _: &[(String, Digest)], _stored: bool) -> Result<()> {
        Ok(())
    }

    /// The layer that the file `path` is by its name, if the sink has it and the archive is seekable. Only the first bytes
    /// are read, and nothing is checked.
    fn named(&mut self, _: &Intake<'_>, _path: &str, _diff_id: Digest) -> Result<Option<Layer>> {
        Ok(None)
    }

    /// Brings the file `path`, which exists, into the sink as `digest`.
    fn blob(&mut self, intake: &mut Intake<'_>, path: &str, digest: Digest) -> Result<()>;

    /// What the layer `path`, whose digest is `digest`, unpacks to: for nothing if it is not compressed, by unpacking it if it
    /// has at most [`UNPACKED`] bytes. `None` for a larger one, and for one that is not here.
    fn unpacked(&mut self, path: &str, digest: Digest) -> Result<Option<Digest>>;

    /// Brings the file `path`, or the target of that link, into the sink, and checks that it unpacks to `diff_id`.
    fn layer(&mut self, intake: &mut Intake<'_>, path: &str, diff_id: Digest) -> Result<Layer>;
}

/// `name` in `folder`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Reads a document of `size` bytes.
pub(crate) fn document(source: &mut dyn Source, path: &str, size: u64, limit: u64) -> Result<Bytes> {
    if size > limit {
        return Err(document_over(path, size, limit));
    }
    Ok(read_all(source)?.into())
}

/// The error for a document that is over its limit.
pub(crate) fn document_over(path: &str, size: u64, limit: u64) -> Problem {
    Problem::document_over(path, size, limit, "no image needs a description so large")
}

/// One folder of an archive while its images are read.
pub(crate) struct Folder<'f, 'a> {
    pub(crate) parts: &'f mut dyn Parts,
    pub(crate) intake: &'f mut Intake<'a>,
    /// Its path; `""` is the archive itself.
    pub(crate) path: &'f str,
    /// Its name for messages.
    pub(crate) shown: &'f str,
}

impl Folder<'_, '_> {
    /// Records why the image `label` in it does not go in.
    pub(crate) fn fail(&mut self, label: &str, problem: Problem) -> Result<()> {
        self.intake.fail(&format!("{}: {label}", self.shown), problem)
    }
}
