//! What readers push into: blobs go straight to the sink and are visible to nobody; images and charts go onto a list that
//! becomes visible all at once, in the end.
//!
//! An archive that fails takes its entries off the list again. Blobs it has written stay unreferenced.

use std::collections::HashMap;
use std::io::Read;

use airdock_registry::Error;
use airdock_registry::content::{BlobSink, HashedBlob, Sink};
use airdock_registry::oci::{Algorithm, Digest, RepositoryName};
use bytes::Bytes;

use super::found::{Chart, Found, Inventories};
use super::names::drop_repeats;
use crate::input::diff_id::DiffId;
use crate::input::source::{PIECE, Source, Window};
use crate::limits::Limits;
use crate::problem::{Problem, Result};
use crate::progress::{Event, Meter};
use crate::report::Notice;
use crate::text::printable;

/// Manifests stay in memory until the commit. This is the limit for all of them together, in bytes.
const MAX_MANIFESTS: usize = 64 * 1024 * 1024;
/// The same for the descriptions of charts.
const MAX_CHARTS: usize = 64 * 1024 * 1024;
/// The same for provenance files and `manifest.txt`.
const MAX_TEXTS: usize = 4 * 1024 * 1024;
/// What a sink may hold in memory: configs of charts and of images inside archives, when a medium is mounted.
const MAX_HELD: u64 = 64 * 1024 * 1024;
/// Warnings and failures that are reported; a hostile bundle could cause millions.
const MAX_NOTICES: usize = 1000;
/// Archives and charts that are opened in one ingest, however deep: each costs a little, and archives within archives
/// multiply. Enough for as many as may hold the images of an ingest, each in an archive and that compressed.
const MAX_ARCHIVES: usize = 40_000;
/// While a large blob is written, free disk space is checked again after so many bytes: other processes write as well.
const CHECK_AGAIN: u64 = 64 * 1024 * 1024;

/// What an ingest has read so far.
pub(crate) struct Intake<'a> {
    pub(crate) to: &'a mut dyn Sink,
    pub(crate) meter: &'a Meter<'a>,
    pub(crate) limits: &'a Limits,
    /// The repository for content that has a bare tag.
    pub(crate) base: Option<&'a RepositoryName>,
    pub(crate) found: Vec<Found>,
    pub(crate) charts: Vec<Chart>,
    /// Provenance files by the chart they belong to.
    pub(crate) provenance: HashMap<String, Bytes>,
    /// Every `manifest.txt`.
    pub(crate) texts: Vec<(String, Bytes)>,
    /// From the root of each input.
    pub(crate) inventories: Inventories,
    /// How many archives or folders are open within one another.
    pub(crate) archives: usize,
    /// How many compressed streams are open within one another.
    pub(crate) compressions: usize,
    pub(crate) warnings: Vec<Notice>,
    pub(crate) failures: Vec<Notice>,
    /// The number of failures, also of those that are not reported.
    pub(crate) failed: usize,
    /// Entries of all archives and files of all folders so far, and archives that were opened.
    entries: u64,
    opened: usize,
    manifest_bytes: usize,
    chart_bytes: usize,
    text_bytes: usize,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        to: &'a mut dyn Sink,
        meter: &'a Meter<'a>,
        limits: &'a Limits,
        base: Option<&'a RepositoryName>,
    ) -> Self {
        Self {
            to,
            meter,
            limits,
            base,
            found: Vec::new(),
            charts: Vec::new(),
            provenance: HashMap::new(),
            texts: Vec::new(),
            inventories: Inventories::default(),
            archives: 0,
            compressions: 0,
            warnings: Vec::new(),
            failures: Vec::new(),
            failed: 0,
            entries: 0,
            opened: 0,
            manifest_bytes: 0,
            chart_bytes: 0,
            text_bytes: 0,
        }
    }

    /// Whether so many more bytes of manifests may be held.
    pub(crate) fn require_memory(&self, more: usize) -> Result<()> {
        if self.manifest_bytes + more > MAX_MANIFESTS {
            let limit = format_args!("{MAX_MANIFESTS} bytes");
            return Err(Problem::over("all manifests of the ingest together", limit, "ingest in parts"));
        }
        Ok(())
    }

    /// One more entry is read. Ends the archive beyond the limit, and the ingest once that is cancelled.
    pub(crate) fn count_entry(&mut self) -> Result<()> {
        self.count_entries(1)
    }

    /// The same for all files of a folder.
    pub(crate) fn count_entries(&mut self, count: u64) -> Result<()> {
        self.entries = self.entries.saturating_add(count);
        if self.entries > self.limits.entries {
            let cure = "raise `ingest.limits.entries` if you trust the bundle, or ingest in parts";
            return Err(Problem::over("the number of entries in all archives together", self.limits.entries, cure));
        }
        Ok(self.meter.go_on()?)
    }

    /// One more archive or chart is opened.
    pub(crate) fn count_archive(&mut self) -> Result<()> {
        self.opened += 1;
        if self.opened > MAX_ARCHIVES {
            let cure = "ingest in parts";
            return Err(Problem::over("the number of archives in the bundle", MAX_ARCHIVES, cure));
        }
        Ok(self.meter.go_on()?)
    }

    fn require_place(&self) -> Result<()> {
        if self.found.len() + self.charts.len() >= self.limits.images {
            let cure = "raise `ingest.limits.images` or ingest in parts";
            return Err(Problem::over("the number of images and charts", self.limits.images, cure));
        }
        Ok(())
    }

    /// Keeps a chart until its provenance file may have been read.
    pub(crate) fn keep_chart(&mut self, chart: Chart) -> Result<()> {
        self.require_place()?;
        let annotations = chart.annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        self.chart_bytes += chart.config.len() + annotations;
        if self.chart_bytes > MAX_CHARTS {
            let limit = format_args!("{MAX_CHARTS} bytes");
            return Err(Problem::over("the descriptions of all charts together", limit, "ingest in parts"));
        }
        self.charts.push(chart);
        Ok(())
    }

    pub(crate) fn add(&mut self, mut found: Found) -> Result<()> {
        self.require_place()?;
        drop_repeats(&mut found.names);
        self.manifest_bytes += found.manifest_bytes();
        self.require_memory(0)?;
        let name = found.names.first().map_or_else(|| found.file.clone(), |name| name.shown.clone());
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

    /// Records a failure. A fatal one, which every other file would meet as well, is returned.
    pub(crate) fn fail(&mut self, file: &str, problem: Problem) -> Result<()> {
        if problem.is_fatal() {
            return Err(problem);
        }
        self.failed += 1;
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
            self.texts.push((file.to_owned(), text));
        }
    }

    /// Whether the sink has the blob in this size.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.to.has(digest) == Some(size)
    }

    /// Whether so many bytes fit on the disk. Files take more than their size: half of `keep_free` is reserved for that.
    pub(crate) fn require_room(&self, needed: u64, entry: &str) -> Result<()> {
        if self.limits.keep_free == 0 {
            return Ok(());
        }
        let room = self.to.require_room(needed, self.limits.keep_free / 2);
        room.map_err(|source| Problem::NoRoom { entry: printable(entry), source })
    }

    /// Leaves a blob where it is, if the sink serves it from there. `false`: it has to be written.
    pub(crate) fn locate(&mut self, window: &Window<'_>, entry: &str, digest: Digest, verified: bool) -> Result<bool> {
        let size = window.size();
        if !self.to.locate(digest, &window.range(), verified).map_err(Problem::Read)? {
            return Ok(false);
        }
        match self.to.has(&digest) {
            Some(known) if known != size => {
                Err(Problem::Size { entry: printable(entry), expected: known, found: size })
            }
            _ => Ok(true),
        }
    }

    /// Writes all of `source` as one blob, which must have the `expected` digest if there is one.
    pub(crate) fn write(
        &mut self,
        source: &mut dyn Source,
        entry: &str,
        expected: Option<Digest>,
        diff_id: Option<&mut DiffId>,
    ) -> Result<(Digest, u64)> {
        let algorithm = expected.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let (size, limit) = (source.left().unwrap_or(1), self.limits.layer);
        self.require_room(size, entry)?;
        let blob = self.to.blob(algorithm).map_err(Problem::Registry)?;
        let mut checked = 0;
        let within = |written: u64| {
            if written - checked >= CHECK_AGAIN {
                checked = written;
                self.require_room(size.saturating_sub(written), entry)?;
            }
            if written > limit {
                let (what, limit) = (format!("`{}`", printable(entry)), format_args!("{limit} bytes"));
                return Err(Problem::over(what, limit, "raise `ingest.limits.layer` if you trust the image"));
            }
            Ok(())
        };
        copy(source, entry, blob, expected, diff_id, within)
    }

    /// Reads all of `source`, a layer that the sink has as `expected`, to learn what it unpacks to.
    pub(crate) fn check(
        source: &mut dyn Source,
        entry: &str,
        expected: Digest,
        diff_id: &mut DiffId,
    ) -> Result<(Digest, u64)> {
        let blob = Box::new(HashedBlob::new(expected.algorithm()));
        copy(source, entry, blob, Some(expected), Some(diff_id), |_| Ok(()))
    }

    /// What a layer that the sink has unpacks to, read from there and not from the medium. `None` while it cannot be read
    /// back.
    pub(crate) fn unpacked(&self, digest: &Digest, entry: &str) -> Result<Option<Digest>> {
        let Some(mut blob) = self.to.read(digest).map_err(Problem::Registry)? else { return Ok(None) };
        let mut diff_id = DiffId::new(self.limits.allowance());
        let mut piece = vec![0; PIECE];
        loop {
            let count = blob.read(&mut piece).map_err(Problem::Read)?;
            if count == 0 {
                return diff_id.finish(entry, *digest).map(Some);
            }
            diff_id.update(&piece[..count]);
            // Nothing more of the medium was read, but the ingest may have been cancelled.
            self.meter.skipped(0)?;
        }
    }

    /// A small blob that the sink has. `None` if it is larger than `limit`, or cannot be read back.
    pub(crate) fn read_back(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>> {
        if self.to.has(digest).is_none_or(|size| size > limit) {
            return Ok(None);
        }
        let Some(blob) = self.to.read(digest).map_err(Problem::Registry)? else { return Ok(None) };
        let mut bytes = Vec::new();
        blob.take(limit).read_to_end(&mut bytes).map_err(Problem::Read)?;
        Ok(Some(bytes.into()))
    }

    /// Gives a small blob to the sink, unless it has it.
    pub(crate) fn put(&mut self, bytes: &[u8], entry: &str, expected: Digest) -> Result<()> {
        let size = bytes.len() as u64;
        if self.has(&expected, size) {
            return Ok(());
        }
        if self.to.held().is_some_and(|held| held + size > MAX_HELD) {
            let what = format!("what is held in memory of the mounted medium, with `{}`,", printable(entry));
            let cure = "ingest the bundle instead of mounting it";
            return Err(Problem::over(what, format_args!("{MAX_HELD} bytes"), cure));
        }
        self.to.put(bytes, expected).map_err(|error| refused(error, entry))
    }
}

/// Copies all of `source` into a blob; `within` is called with the bytes written so far.
fn copy(
    source: &mut dyn Source,
    entry: &str,
    mut blob: Box<dyn BlobSink>,
    expected: Option<Digest>,
    mut diff_id: Option<&mut DiffId>,
    mut within: impl FnMut(u64) -> Result<()>,
) -> Result<(Digest, u64)> {
    loop {
        let piece = source.fill_buf()?;
        let count = piece.len();
        if count == 0 {
            return blob.finish(expected).map_err(|error| refused(error, entry));
        }
        blob.write(piece).map_err(Problem::Registry)?;
        if let Some(diff_id) = diff_id.as_deref_mut() {
            diff_id.update(piece);
        }
        source.consume(count);
        within(blob.size())?;
    }
}

/// Names the entry whose digest is wrong.
fn refused(error: Error, entry: &str) -> Problem {
    match error {
        Error::DigestMismatch { expected, found } => Problem::digest(entry, expected, found),
        other => Problem::Registry(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Cancel;
    use airdock_registry::{Registry, Settings};

    /// An intake whose sink is a medium to be mounted.
    async fn mounting(test: impl FnOnce(Intake<'_>)) {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data: folder.path().join("data"), ..Settings::default() };
        let registry = Registry::open(settings).await.unwrap();
        let (cancel, limits) = (Cancel::default(), Limits::default());
        let meter = Meter::new(&|_| {}, &cancel);
        let mut mount = registry.medium(folder.path());
        test(Intake::new(&mut mount, &meter, &limits, None));
    }

    #[tokio::test]
    async fn what_a_mount_holds_in_memory_is_bounded() {
        mounting(|mut intake| {
            let mut chart = vec![7; 40 << 20];
            intake.put(&chart, "a.tgz", Algorithm::Sha256.digest(b"a")).unwrap();
            chart[0] = 8;
            let refused = intake.put(&chart, "b.tgz", Algorithm::Sha256.digest(b"b")).unwrap_err();
            assert!(matches!(&refused, Problem::OverLimit { .. }), "{refused}");
            assert!(refused.sentence().contains("ingest the bundle instead"), "{refused}");
        })
        .await;
    }

    #[tokio::test]
    async fn what_charts_say_of_themselves_is_bounded() {
        mounting(|mut intake| {
            let chart = || Chart {
                file: "a.tgz".into(),
                name: "a".into(),
                version: "1.0.0".into(),
                config: vec![b' '; 24 << 20],
                annotations: [("description".to_owned(), " ".repeat(4 << 20))].into(),
                digest: Algorithm::Sha256.digest(b"a"),
                size: 1,
                repacked: false,
            };
            intake.keep_chart(chart()).unwrap();
            intake.keep_chart(chart()).unwrap();
            let refused = intake.keep_chart(chart()).unwrap_err();
            assert!(refused.sentence().contains("all charts together"), "{refused}");
        })
        .await;
    }
}
