//! What is found in archives: blobs go straight to their destination, seen by nobody; images and charts onto a list that
//! becomes visible, all of it together, when the ingest commits or the medium is mounted.
//!
//! An archive that fails takes back what it put on the list; blobs it has written lie unreferenced.

use std::collections::HashMap;
use std::io::Read as _;

use airdock_registry::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use bytes::Bytes;

use super::chart::Chart;
use super::destination::{Destination, Sink};
use super::diff_id::DiffId;
use super::inventories::Inventories;
use super::problem::{Problem, printable};
use super::room;
use super::source::{Meter, PIECE, Source};
use crate::ingest::{Event, Limits, Naming, Notice};

/// Manifests wait in memory for the commit; together they have at most this many bytes.
const MAX_MANIFESTS: usize = 64 * 1024 * 1024;
/// Provenance files and `manifest.txt` wait in memory, too.
const MAX_TEXTS: usize = 4 * 1024 * 1024;
/// Warnings and failures told in full; a hostile bundle could have millions.
const MAX_NOTICES: usize = 1000;

/// A repository and tag content is found under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Option<Tag>,
    /// The name as the archive gives it.
    pub(crate) shown: String,
}

/// An image, chart or other artifact, whole in the store.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: String,
    pub(crate) places: Vec<Place>,
    /// Every manifest of it that is here, children before what lists them, the root last.
    pub(crate) manifests: Vec<(Digest, Manifest)>,
    pub(crate) root: Digest,
    pub(crate) platforms: Vec<String>,
    pub(crate) size: u64,
    pub(crate) notes: Vec<String>,
    /// Without a name of its own it goes where this manifest goes: a signature beside what it signs.
    pub(crate) beside: Option<(Digest, Option<Tag>)>,
    /// Its manifest is not the registry's: made here, or by whoever saved it.
    pub(crate) lost_digest: bool,
}

/// Where an archive began on the lists, to take back what it added.
pub(crate) struct Mark {
    found: usize,
    charts: usize,
}

/// What an ingest takes in.
pub(crate) struct Intake<'a> {
    pub(crate) to: Destination,
    pub(crate) meter: &'a Meter<'a>,
    pub(crate) limits: &'a Limits,
    pub(crate) naming: &'a Naming,
    pub(crate) found: Vec<Found>,
    pub(crate) charts: Vec<Chart>,
    /// Provenance files by the chart they lie beside.
    pub(crate) provenance: HashMap<String, Bytes>,
    /// Every `manifest.txt`.
    pub(crate) texts: Vec<(String, String)>,
    /// What lies in the roots of what was given, to cover all of it.
    pub(crate) inventories: Inventories,
    /// How many archives, or folders, deep the reading is.
    pub(crate) depth: usize,
    pub(crate) warnings: Vec<Notice>,
    pub(crate) failures: Vec<Notice>,
    manifest_bytes: usize,
    text_bytes: usize,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(to: Destination, meter: &'a Meter<'a>, limits: &'a Limits, naming: &'a Naming) -> Self {
        Self {
            to,
            meter,
            limits,
            naming,
            found: Vec::new(),
            charts: Vec::new(),
            provenance: HashMap::new(),
            texts: Vec::new(),
            inventories: Inventories::default(),
            depth: 0,
            warnings: Vec::new(),
            failures: Vec::new(),
            manifest_bytes: 0,
            text_bytes: 0,
        }
    }

    pub(crate) const fn mark(&self) -> Mark {
        Mark { found: self.found.len(), charts: self.charts.len() }
    }

    /// Takes back everything found since.
    pub(crate) fn take_back(&mut self, mark: &Mark) {
        self.found.truncate(mark.found);
        self.charts.truncate(mark.charts);
    }

    /// How much was found since, failures aside.
    pub(crate) const fn found_since(&self, mark: &Mark) -> usize {
        self.found.len() + self.charts.len() - mark.found - mark.charts
    }

    pub(crate) fn add(&mut self, found: Found) -> Result<(), Problem> {
        if self.found.len() + self.charts.len() >= self.limits.images {
            return Err(Problem::OverLimit {
                what: "the number of images and charts".into(),
                limit: self.limits.images.to_string(),
                cure: "raise `ingest.limits.images` or ingest in parts",
            });
        }
        self.manifest_bytes += found.manifests.iter().map(|(_, manifest)| manifest.bytes().len()).sum::<usize>();
        if self.manifest_bytes > MAX_MANIFESTS {
            return Err(Problem::OverLimit {
                what: "all manifests of the ingest together".into(),
                limit: format!("{MAX_MANIFESTS} bytes"),
                cure: "ingest in parts",
            });
        }
        let name = found.places.first().map_or_else(|| found.file.clone(), |place| place.shown.clone());
        self.meter.tell(Event::Item { name, file: found.file.clone(), digest: found.root.to_string() });
        self.found.push(found);
        Ok(())
    }

    pub(crate) fn warn(&mut self, file: &str, message: impl Into<String>) {
        let notice = Notice { file: printable(file), message: message.into() };
        if self.warnings.len() < MAX_NOTICES && !self.warnings.contains(&notice) {
            self.meter.tell(Event::Warning(notice.clone()));
            self.warnings.push(notice);
        }
    }

    /// Records what does not go in. What would make every other file fail, too, is handed back.
    pub(crate) fn fail(&mut self, file: &str, problem: Problem) -> Result<(), Problem> {
        if problem.is_fatal() {
            return Err(problem);
        }
        if self.failures.len() < MAX_NOTICES {
            let notice = Notice { file: printable(file), message: problem.sentence() };
            self.meter.tell(Event::Failed(notice.clone()));
            self.failures.push(notice);
        }
        Ok(())
    }

    /// Keeps a small text for the end.
    pub(crate) fn keep_text(&mut self, file: &str, text: Bytes, provenance: bool) {
        self.text_bytes += text.len();
        if self.text_bytes > MAX_TEXTS {
            self.warn(file, "left out: the texts of the bundle are too large together");
        } else if provenance {
            self.provenance.insert(file.to_owned(), text);
        } else {
            self.texts.push((file.to_owned(), String::from_utf8_lossy(&text).into_owned()));
        }
    }

    /// Whether the blob, of this size, is where it is to go.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.to.has_blob(digest) == Some(size)
    }

    /// Whether so many bytes fit. Files cost more than their bytes: for that there is half of what is kept free.
    pub(crate) fn require_room(&self, needed: u64, entry: &str) -> Result<(), Problem> {
        let Destination::Store(draft) = &self.to else { return Ok(()) };
        let room = match self.limits.keep_free {
            0 => Ok(()),
            keep_free => draft.require_room(needed, keep_free / 2),
        };
        room.map_err(|source| Problem::NoRoom { entry: printable(entry), source })
    }

    /// Writes all of `source` as one blob, which must have the `expected` digest if there is one. A mount hashes it and
    /// no more: there it has to be located as well.
    pub(crate) fn write(
        &mut self,
        source: &mut dyn Source,
        entry: &str,
        expected: Option<Digest>,
        mut diff_id: Option<&mut DiffId>,
    ) -> Result<(Digest, u64), Problem> {
        let algorithm = expected.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let size = source.left().unwrap_or(1);
        let mut asked = 0;
        self.require_room(size, entry)?;
        let mut writer = self.to.writer(algorithm)?;
        loop {
            let piece = source.fill_buf()?;
            let count = piece.len();
            if count == 0 {
                break;
            }
            writer.write(piece)?;
            if let Some(diff_id) = diff_id.as_deref_mut() {
                diff_id.update(piece);
            }
            source.consume(count);
            if writer.size() - asked >= room::AGAIN {
                asked = writer.size();
                self.require_room(size.saturating_sub(asked), entry)?;
            }
            if writer.size() > self.limits.layer {
                return Err(Problem::OverLimit {
                    what: format!("`{}`", printable(entry)),
                    limit: format!("{} bytes", self.limits.layer),
                    cure: "raise `ingest.limits.layer` if the image is honest",
                });
            }
        }
        let written = writer.finish(entry, expected)?;
        self.to.written(&written);
        Ok(written)
    }

    /// Reads all of `source`, a layer that is in the store as `expected`, for what it unpacks to.
    pub(crate) fn check(
        &self,
        source: &mut dyn Source,
        entry: &str,
        expected: Digest,
        diff_id: &mut DiffId,
    ) -> Result<(Digest, u64), Problem> {
        let mut sink = Sink::Hash(expected.algorithm().hasher(), 0);
        loop {
            let piece = source.fill_buf()?;
            let count = piece.len();
            if count == 0 {
                return sink.finish(entry, Some(expected));
            }
            sink.write(piece)?;
            diff_id.update(piece);
            source.consume(count);
        }
    }

    /// What a layer in the store unpacks to, read from there and not from the medium; `None` while it is on its way there.
    pub(crate) fn unpacked(&self, digest: &Digest, entry: &str) -> Result<Option<Digest>, Problem> {
        let Some(mut file) = self.to.open_blob(digest)? else { return Ok(None) };
        let mut diff_id = DiffId::new(self.limits.allowance());
        let mut piece = vec![0; PIECE];
        loop {
            let count = file.read(&mut piece).map_err(Problem::Read)?;
            if count == 0 {
                return diff_id.finish(entry, *digest).map(Some);
            }
            diff_id.update(&piece[..count]);
            // Nothing more of the medium; but whoever waits may want it to stop.
            self.meter.skipped(0)?;
        }
    }

    /// Puts a small blob where it is to go, unless it is there.
    pub(crate) fn put(&mut self, bytes: &[u8], entry: &str, expected: Digest) -> Result<(), Problem> {
        if self.has(&expected, bytes.len() as u64) {
            return Ok(());
        }
        self.to.put(bytes, entry, expected)
    }
}
