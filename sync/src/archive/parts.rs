//! What the readers of image dialects ask of an archive, whichever way it can be read: anywhere, or once from front to
//! back. Two implementations: [`super::shelf`] and [`super::stream`].

use airdock_registry::oci::Digest;
use bytes::Bytes;

use super::compression::Format;
use super::intake::Intake;
use super::problem::{Problem, printable};

/// How a stored layer is compressed, which its media type must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Bytes of a layer that tell its compression.
pub(crate) const LAYER_HEAD: usize = 8;

/// A compression that archives may have and layers may not: there is no media type to say it. Its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotForLayers(&'static str);

impl Compression {
    /// Tells from a layer's first [`LAYER_HEAD`] bytes.
    pub(crate) fn of(head: &[u8]) -> Result<Self, NotForLayers> {
        match Format::of(head) {
            Format::Gzip => Ok(Self::Gzip),
            Format::Zstd => Ok(Self::Zstd),
            Format::Xz => Err(NotForLayers("xz")),
            Format::Bzip2 => Err(NotForLayers("bzip2")),
            Format::Foreign(kind) => Err(NotForLayers(kind)),
            Format::Tar | Format::Empty | Format::Other => Ok(Self::None),
        }
    }
}

impl NotForLayers {
    /// Of the layer at `path`.
    pub(crate) fn at(self, path: &str) -> Problem {
        Problem::Unusable(format!(
            "its layer `{}` is compressed with {}, and an image can only say of a layer that it is plain, gzip or zstd; load \
             the archive with Docker and save it from there (`docker load`, `docker save`)",
            printable(path),
            self.0
        ))
    }
}

/// A layer that is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
}

/// An archive's entries, by normalised path.
pub(crate) trait Parts {
    /// The folders that hold a file of this name, `""` being the archive itself.
    fn folders_with(&self, name: &str) -> Vec<String>;

    /// The size of the file `path`, or of what it links to; `None` when there is none.
    fn size(&self, path: &str) -> Result<Option<u64>, Problem>;

    /// The whole of a small file; `None` when there is none.
    fn document(&mut self, intake: &mut Intake<'_>, path: &str, limit: u64) -> Result<Option<Bytes>, Problem>;

    /// Brings in what can be brought in of these files beside each other, before each is asked for in turn. `as_they_lie`
    /// says whether the digests are those of compressed files, too. Only an archive that can be read anywhere can.
    fn ahead(&mut self, _: &mut Intake<'_>, _: &[(String, Digest)], _as_they_lie: bool) -> Result<(), Problem> {
        Ok(())
    }

    /// The layer the file `path` is by its name, if that is in the store. Only its first bytes are read, and nothing is
    /// checked. Only an archive that can be read anywhere can tell.
    fn named(&mut self, _: &Intake<'_>, _path: &str, _diff_id: Digest) -> Result<Option<Layer>, Problem> {
        Ok(None)
    }

    /// Sees to it that the file `path`, which is there, is in the store as `digest`.
    fn blob(&mut self, intake: &mut Intake<'_>, path: &str, digest: Digest) -> Result<(), Problem>;

    /// Sees to it that the file `path`, or what it links to, is in the store, and that it unpacks to `diff_id`.
    fn layer(&mut self, intake: &mut Intake<'_>, path: &str, diff_id: Digest) -> Result<Layer, Problem>;
}

/// `name` in `folder`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The folder of each path in `paths` whose last component is `name`.
pub(crate) fn folders_with<'p>(paths: impl Iterator<Item = &'p String>, name: &str) -> Vec<String> {
    let folder = |path: &String| match path.strip_suffix(name)? {
        "" => Some(String::new()),
        folder => folder.strip_suffix('/').map(str::to_owned),
    };
    let mut folders: Vec<String> = paths.filter_map(folder).collect();
    folders.sort();
    folders
}

/// One hop: a link must lead to a file, not to another link.
pub(crate) fn one_hop<'p>(
    path: &'p str,
    is_file: impl Fn(&str) -> bool,
    link: impl Fn(&str) -> Option<&'p str>,
) -> Result<Option<&'p str>, Problem> {
    if is_file(path) {
        return Ok(Some(path));
    }
    let Some(target) = link(path) else { return Ok(None) };
    if is_file(target) {
        return Ok(Some(target));
    }
    let why = if link(target).is_some() { "is a link itself" } else { "is no file of the archive" };
    Err(Problem::refused(path, format!("it links to `{}`, which {why}", printable(target))))
}

/// A document that is over the limit.
pub(crate) fn document_over(path: &str, size: u64, limit: u64) -> Problem {
    Problem::OverLimit {
        what: format!("`{}`, with {size} bytes,", printable(path)),
        limit: format!("{limit} bytes"),
        cure: "no image needs a description so large",
    }
}
