//! A tar that can be read only once, front to back: from a pipe, or out of a compressed file.
//!
//! The entries that explain an archive come last, so every entry that may be a layer is stored as it passes, and small JSON
//! stays in memory, within a bound. Only at the end is it known what was needed.

use std::collections::HashSet;

use airdock_registry::oci::{Algorithm, Digest};
use bytes::Bytes;

use super::dialect::storage::MAX_LINK;
use super::files::{Files, Taken};
use super::found::Seen;
use super::intake::Intake;
use super::inventories;
use super::parts::{self, Compression, Layer, Parts, UNPACKED, document, document_over, unfit};
use super::role::{Role, digest_in_name, is_named_as_archive};
use super::scope::{self, Tally};
use crate::input::compression::{Format, HEAD};
use crate::input::diff_id::DiffId;
use crate::input::source::{Rewound, Source};
use crate::input::tar::{Entry, TarReader};
use crate::limits::MAX_CONFIG;
use crate::problem::{Problem, Result};
use crate::text::printable;

/// JSON in memory at once. Beyond it the largest documents are stored: those are lists of packages, not manifests.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// Small files that are no JSON, kept because a link may lead to them.
const MAX_SMALL: usize = 4 * 1024 * 1024;

/// Reads an entry that may be an archive of its own.
pub(crate) type ReadNested = fn(&mut Intake<'_>, &mut dyn Source, &str) -> Result<Seen>;

/// What became of one entry.
enum Part {
    Kept(Bytes),
    /// With the digest of what it unpacks to, if that is known.
    Stored(Layer, Option<Digest>),
    /// Its digest is not the one in its name. Matters only if an image needs it.
    Wrong {
        expected: Digest,
        found: Digest,
    },
    /// A layer in this compression, which no image may have; not read.
    Unfit(&'static str),
    /// It cannot be used, as a layer that is damaged. Matters only if an image needs it.
    Broken(Problem),
    /// Read as an archive of its own, or skipped.
    Passed,
}

/// One entry.
struct Piece {
    size: u64,
    part: Part,
    /// If it was looked into: what it turned out to be.
    seen: Option<Seen>,
}

#[derive(Default)]
struct Sequential {
    parts: Files<Piece>,
    /// Bytes of all JSON that is kept.
    kept: usize,
    /// Bytes of everything else that is kept.
    small: usize,
}

/// Reads the tar in `source`.
pub(crate) fn read_tar(intake: &mut Intake<'_>, source: &mut dyn Source, file: &str, nested: ReadNested) -> Result<()> {
    let mut tar = TarReader::new(source, intake.limits.entries);
    let mut archive = Sequential::default();
    let mut tally = Tally::default();
    while let Some(entry) = tar.next()? {
        intake.count_entry()?;
        match archive.parts.take(intake, &entry, file) {
            Taken::NoFile => {}
            Taken::Hidden => archive.insert(entry.path, entry.size, Part::Passed, None),
            Taken::File => archive.take(intake, entry, &mut tar.body(), file, nested, &mut tally)?,
        }
    }
    archive.parts.settle(intake, file);
    scope::images(&mut archive, intake, file, ": ", &mut tally)?;
    archive.rest(intake, file, nested, &mut tally)?;
    tally.check()
}

impl Sequential {
    fn insert(&mut self, path: String, size: u64, part: Part, seen: Option<Seen>) {
        self.parts.insert(path, Piece { size, part, seen });
    }

    fn take(
        &mut self,
        intake: &mut Intake<'_>,
        entry: Entry,
        body: &mut dyn Source,
        file: &str,
        nested: ReadNested,
        tally: &mut Tally,
    ) -> Result<()> {
        let Entry { path, size, .. } = entry;
        let inner = format!("{file}: {path}");
        let mut seen = None;
        let part = match Role::of(&path) {
            Role::Legacy => Ok(Part::Passed),
            Role::Chart => {
                tally.unpacked_chart(intake, &path, &inner);
                Ok(Part::Passed)
            }
            Role::Text | Role::Provenance => {
                let text = document(body, &path, size, scope::MAX_TEXT);
                let part = self.small(text.as_ref().ok());
                scope::text(intake, &path, &inner, text.map(Some))?;
                Ok(part)
            }
            Role::Inventory => {
                let mut part = Part::Passed;
                inventories::take(intake, &path, &inner, |limit| {
                    let text = document(body, &path, size, limit)?;
                    part = self.small(Some(&text));
                    Ok(Some(text))
                })?;
                Ok(part)
            }
            Role::Link => document(body, &path, size, MAX_LINK).and_then(|bytes| self.keep(&path, bytes)),
            Role::Document => {
                document(body, &path, size, intake.limits.document).and_then(|bytes| self.keep(&path, bytes))
            }
            Role::Blob(digest) => self.blob(intake, &path, size, digest, body),
            Role::Config(digest) if size <= MAX_CONFIG => document(body, &path, size, MAX_CONFIG)
                .and_then(|bytes| self.keep_or_store(intake, &path, bytes, Some(digest))),
            Role::Layer | Role::Config(_) => Self::layer(intake, &path, size, body),
            Role::Other | Role::Companion => {
                let mut body = Rewound::peek(body, HEAD)?;
                let is_other = matches!(Format::of(&body.head), Format::Other | Format::Empty);
                if size <= MAX_CONFIG && is_other && is_json(&body.head) && !is_named_as_archive(&path) {
                    // A config with a name of its own, as jib writes it.
                    let bytes = document(&mut body, &path, size, MAX_CONFIG)?;
                    seen = Some(nested(intake, &mut bytes.as_ref(), &inner)?);
                    self.keep_or_store(intake, &path, bytes, None)
                } else if size <= scope::MAX_TEXT && is_other {
                    let bytes = document(&mut body, &path, size, scope::MAX_TEXT)?;
                    seen = Some(nested(intake, &mut bytes.as_ref(), &inner)?);
                    Ok(self.small(Some(&bytes)))
                } else {
                    seen = Some(nested(intake, &mut body, &inner)?);
                    Ok(Part::Passed)
                }
            }
        };
        let part = match part {
            // Only an image that needs it fails. When the archive itself ends here, all of it does.
            Err(problem) if !problem.is_fatal() && !matches!(problem, Problem::Incomplete(_)) => Part::Broken(problem),
            part => part?,
        };
        self.insert(path, size, part, seen);
        Ok(())
    }

    /// Keeps a small file that is no JSON, as long as there is room for it.
    fn small(&mut self, bytes: Option<&Bytes>) -> Part {
        match bytes {
            Some(bytes) if self.small + bytes.len() <= MAX_SMALL => {
                self.small += bytes.len();
                Part::Kept(bytes.clone())
            }
            _ => Part::Passed,
        }
    }

    /// What no image needed: says what was left out, and follows the links that lead to texts.
    fn rest(&mut self, intake: &mut Intake<'_>, file: &str, nested: ReadNested, tally: &mut Tally) -> Result<()> {
        let resolve = |path: &String| self.parts.find(path).map(|(path, _)| path.clone());
        let mut known: HashSet<String> = tally.claimed.iter().filter_map(resolve).collect();
        for path in self.parts.names() {
            let Some((name, piece)) = self.parts.find(&path).filter(|_| !tally.claimed.contains(&path)) else {
                continue;
            };
            let inner = format!("{file}: {path}");
            let is_link = *name != path;
            match Role::of(&path) {
                Role::Text | Role::Provenance if is_link => {
                    scope::text(intake, &path, &inner, self.document(&path, scope::MAX_TEXT))?;
                }
                Role::Inventory if is_link => {
                    inventories::take(intake, &path, &inner, |limit| self.document(&path, limit))?;
                }
                Role::Chart if is_link => tally.unpacked_chart(intake, &path, &inner),
                Role::Other | Role::Companion if known.insert(name.clone()) => {
                    let found = match (piece.seen, &piece.part) {
                        (Some(seen), _) => seen,
                        (None, Part::Kept(bytes)) => nested(intake, &mut bytes.as_ref(), &inner)?,
                        (None, _) => {
                            intake.fail(&inner, too_late(&path))?;
                            Seen::Archive
                        }
                    };
                    tally.looked_into(intake, &path, &inner, found);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn blob(
        &mut self,
        intake: &mut Intake<'_>,
        path: &str,
        size: u64,
        digest: Digest,
        body: &mut dyn Source,
    ) -> Result<Part> {
        if size <= MAX_CONFIG && is_json(body.fill_buf()?) {
            let bytes = document(body, path, size, MAX_CONFIG)?;
            return self.keep_or_store(intake, path, bytes, Some(digest));
        }
        let mut body = Rewound::peek(body, HEAD)?;
        // Content in another compression is no layer, or one that no client can unpack.
        let compression = Compression::of(&body.head).unwrap_or(Compression::None);
        let mut small = Bytes::new();
        let mut unpacked = (compression == Compression::None).then_some(digest);
        if compression != Compression::None && size <= UNPACKED {
            // It cannot be read again when it is known which image it must fit.
            small = document(&mut body, path, size, UNPACKED)?;
            unpacked = parts::unpacked(&small, digest);
        }
        if intake.has(&digest, size) {
            return Ok(Part::Stored(Layer { digest, size, compression }, unpacked));
        }
        let stored = store(intake, path, digest, &mut Rewound::new(small.into(), &mut body))?;
        Ok(match stored {
            Part::Stored(layer, _) => Part::Stored(Layer { compression, ..layer }, unpacked),
            wrong => wrong,
        })
    }

    fn layer(intake: &mut Intake<'_>, path: &str, size: u64, body: &mut dyn Source) -> Result<Part> {
        let mut body = Rewound::peek(body, HEAD)?;
        let compression = match Compression::of(&body.head) {
            Ok(compression) => compression,
            Err(compression) => return Ok(Part::Unfit(compression)),
        };
        let mut unpacked = DiffId::new(intake.limits.allowance());
        // A layer that the sink has is read nevertheless, to learn what it unpacks to.
        let (digest, size) = match digest_in_name(path).filter(|named| intake.has(named, size)) {
            Some(named) => Intake::check(&mut body, path, named, &mut unpacked)?,
            None => intake.write(&mut body, path, None, Some(&mut unpacked))?,
        };
        let diff_id = unpacked.finish(path, digest)?;
        Ok(Part::Stored(Layer { digest, size, compression }, Some(diff_id)))
    }

    fn keep(&mut self, path: &str, bytes: Bytes) -> Result<Part> {
        self.kept += bytes.len();
        if self.kept > MAX_KEPT {
            let what = format!("the JSON of the archive, with `{}`,", printable(path));
            let cure = "ingest the file uncompressed and not from a pipe, so that it need not be kept in memory";
            return Err(Problem::over(what, format_args!("{MAX_KEPT} bytes"), cure));
        }
        Ok(Part::Kept(bytes))
    }

    /// Keeps JSON in memory; if there is too much of it, the largest documents are stored.
    fn keep_or_store(
        &mut self,
        intake: &mut Intake<'_>,
        path: &str,
        bytes: Bytes,
        named: Option<Digest>,
    ) -> Result<Part> {
        if self.kept + bytes.len() <= MAX_KEPT || named.is_none() {
            return self.keep(path, bytes);
        }
        let kept = |(path, piece): (&String, &Piece)| match (Role::of(path), &piece.part) {
            (Role::Blob(digest), Part::Kept(kept)) => Some((kept.len(), path.clone(), digest)),
            _ => None,
        };
        let largest = self.parts.iter().filter_map(kept).max().filter(|(size, ..)| *size > bytes.len());
        let Some((size, largest, expected)) = largest else {
            let digest = named.unwrap_or_else(|| Algorithm::Sha256.digest(&bytes));
            return store(intake, path, digest, &mut bytes.as_ref());
        };
        if let Some(Piece { size: whole, part: Part::Kept(kept), seen }) = self.parts.remove(&largest) {
            self.kept -= size;
            let stored = store(intake, &largest, expected, &mut kept.as_ref())?;
            self.insert(largest, whole, stored, seen);
        }
        self.keep_or_store(intake, path, bytes, named)
    }

    /// A part, and the path that the file has.
    fn part<'p>(&'p self, path: &'p str) -> (&'p str, Option<&'p Part>) {
        self.parts.find(path).map_or((path, None), |(path, piece)| (path, Some(&piece.part)))
    }
}

fn store(intake: &mut Intake<'_>, path: &str, expected: Digest, body: &mut dyn Source) -> Result<Part> {
    match intake.write(body, path, Some(expected), None) {
        Ok((digest, size)) => Ok(Part::Stored(Layer { digest, size, compression: Compression::None }, Some(digest))),
        Err(Problem::Digest { expected, found, .. }) => Ok(Part::Wrong { expected, found }),
        Err(problem) => Err(problem),
    }
}

fn is_json(head: &[u8]) -> bool {
    matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The error for a part that an image needs and that was not stored.
fn unusable(part: Option<&Part>, path: &str) -> Problem {
    match part {
        None => Problem::missing(path),
        Some(Part::Unfit(compression)) => unfit(compression, path),
        Some(Part::Broken(problem)) => problem.again(),
        // No tool names layers so, or puts them so.
        Some(_) => too_late(path),
    }
}

/// The error for an entry that has passed when it turns out to be needed.
fn too_late(path: &str) -> Problem {
    Problem::Unusable(format!(
        "`{}` had passed before it was known what needs it, and a stream cannot be read again; ingest the file uncompressed and \
         not from a pipe",
        printable(path)
    ))
}

impl Parts for Sequential {
    fn folders_with(&self, name: &str) -> Vec<String> {
        self.parts.folders_with(name)
    }

    fn unasked(&self) -> Vec<String> {
        self.parts.unasked()
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.parts.find(path).map(|(_, piece)| piece.size))
    }

    fn document(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let (path, part) = self.part(path);
        match part {
            None => Ok(None),
            Some(Part::Kept(bytes)) if bytes.len() as u64 <= limit => Ok(Some(bytes.clone())),
            Some(Part::Kept(bytes)) => Err(document_over(path, bytes.len() as u64, limit)),
            Some(Part::Wrong { expected, found }) => Err(Problem::digest(path, *expected, *found)),
            Some(Part::Broken(problem)) => Err(problem.again()),
            Some(Part::Stored(..) | Part::Unfit(_) | Part::Passed) => {
                Err(Problem::document(path, "it is no JSON, or a very large one"))
            }
        }
    }

    fn blob(&mut self, intake: &mut Intake<'_>, path: &str, digest: Digest) -> Result<()> {
        let (path, part) = self.part(path);
        match part {
            Some(Part::Kept(bytes)) => intake.put(bytes, path, digest),
            Some(Part::Stored(Layer { digest: found, .. }, _)) if *found == digest => Ok(()),
            Some(Part::Stored(Layer { digest: found, .. }, _) | Part::Wrong { found, .. }) => {
                Err(Problem::digest(path, digest, *found))
            }
            other => Err(unusable(other, path)),
        }
    }

    fn unpacked(&mut self, path: &str, digest: Digest) -> Result<Option<Digest>> {
        Ok(match self.part(path).1 {
            Some(Part::Kept(_)) => Some(digest),
            Some(Part::Stored(_, unpacked)) => *unpacked,
            _ => None,
        })
    }

    fn layer(&mut self, intake: &mut Intake<'_>, path: &str, diff_id: Digest) -> Result<Layer> {
        let (path, part) = self.part(path);
        let (layer, found) = match part {
            Some(Part::Kept(bytes)) => {
                let digest = Algorithm::Sha256.digest(bytes);
                intake.put(bytes, path, digest)?;
                (Layer { digest, size: bytes.len() as u64, compression: Compression::None }, digest)
            }
            Some(Part::Stored(layer, unpacked)) => {
                let known = match unpacked {
                    None => intake.unpacked(&layer.digest, path)?,
                    known => *known,
                };
                (*layer, known.ok_or_else(|| unusable(Some(&Part::Passed), path))?)
            }
            Some(Part::Wrong { expected, found }) => return Err(Problem::digest(path, *expected, *found)),
            other => return Err(unusable(other, path)),
        };
        if found == diff_id { Ok(layer) } else { Err(Problem::digest(path, diff_id, found)) }
    }
}
