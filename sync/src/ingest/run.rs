//! From inputs to a committed release or mount: read everything, decide names, commit once.

use std::path::Path;
use std::time::Instant;

use airdock_registry::content::{Committed, Sink};
use airdock_registry::oci::Digest;
use airdock_registry::{Provenance, Registry, TagOutcome};

use super::dry::{Count, Hash};
use super::error::IngestError;
use super::plan::Plan;
use super::settings::{Input, Naming, Settings};
use super::trust::{self, Trust};
use crate::archive::found::{Found, FoundName, UNTAGGED};
use crate::archive::intake::Intake;
use crate::archive::{platforms, read};
use crate::inventory::Inventory;
use crate::manifest_txt::{self, Held};
use crate::problem::{Problem, Result};
use crate::progress::{Cancel, Event, Meter};
use crate::publish::{PublishRules, Publisher};
use crate::report::{Kept, Notice, Report};
use crate::text::printable;

/// Ingests `inputs`. All tags appear together at the end, or none does.
///
/// Blocks: call it on a thread that may block, inside a tokio runtime.
///
/// # Errors
/// [`IngestError`], when nothing went in. Failures of single items are in the [`Report`].
///
/// # Durability
/// When it returns `Ok`, every tag is durable. A crash before that leaves all tags unchanged.
pub fn ingest(
    registry: &Registry,
    publish: &PublishRules,
    inputs: Vec<Input>,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    ingest_until(&Cancel::default(), registry, publish, inputs, settings, progress)
}

/// [`ingest`], which another thread can cancel.
///
/// # Errors
/// As for [`ingest`]; [`IngestError::Cancelled`].
///
/// # Cancel safety
/// Cancelled before the commit, nothing becomes visible. The commit itself cannot be cancelled.
pub fn ingest_until(
    cancel: &Cancel,
    registry: &Registry,
    publish: &PublishRules,
    inputs: Vec<Input>,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    let meter = Meter::new(progress, cancel);
    let work = Work::new(publish, settings, &meter)?;
    progress(Event::Started { total_bytes: total(&inputs) });
    let origin = Provenance::Ingested { bundle: bundle_name(&inputs), release: None };
    work.survey(registry, &origin, &inputs)?;
    let mut draft = registry.release(origin);
    draft.set_precedence(settings.precedence.clone());
    draft.set_source(settings.by.clone(), inputs.iter().map(Input::source).collect());
    work.take(Box::new(draft), inputs)
}

/// Serves `path`, a folder or an uncompressed archive, in place: under the names an ingest would give it, and reading no
/// more than is needed to locate its blobs.
///
/// Blocks: call it on a thread that may block, inside a tokio runtime.
///
/// # Errors
/// As for [`ingest`], when nothing was mounted; [`IngestError::Compressed`] when only an ingest can read it.
///
/// # Durability
/// None: nothing is written, and the mount ends with the process.
pub fn mount(
    registry: &Registry,
    publish: &PublishRules,
    path: &Path,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    let cancel = Cancel::default();
    let meter = Meter::new(progress, &cancel);
    let work = Work::new(publish, settings, &meter)?;
    // Files are opened again later, when the working folder may be another.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut draft = registry.medium(&path);
    draft.set_precedence(settings.precedence.clone());
    match work.take(Box::new(draft), vec![Input::Path(path.clone())]) {
        // Checked last, because a packed chart can be served.
        Err(IngestError::Nothing { .. } | IngestError::Strict { .. } | IngestError::Untrusted { .. })
            if read::is_compressed(&path) =>
        {
            Err(IngestError::Compressed)
        }
        taken => taken,
    }
}

/// The inventory of `inputs`, under the names in the archives. Everything is read and hashed, and nothing is written;
/// warnings go to `progress`.
///
/// Blocks: call it on a thread that may block.
///
/// # Errors
/// [`IngestError::Strict`] when any item could not go in, because half a bundle must not be signed;
/// [`IngestError::Nothing`]; [`IngestError::Contested`] when a name is several images; [`IngestError::Cancelled`].
pub fn inventory(
    inputs: Vec<Input>,
    settings: &Settings,
    cancel: &Cancel,
    progress: &dyn Fn(Event),
) -> Result<Inventory, IngestError> {
    progress(Event::Started { total_bytes: total(&inputs) });
    let meter = Meter::new(progress, cancel);
    let mut hash = Hash::default();
    let mut intake = Intake::new(&mut hash, &meter, &settings.limits, settings.naming.base.as_ref());
    read_all(&mut intake, inputs)?;
    if cancel.is_cancelled() {
        return Err(IngestError::Cancelled);
    }
    if !intake.failures.is_empty() {
        return Err(IngestError::Strict { failures: intake.failures });
    }
    let entries = intake.found.iter().flat_map(trust::entries).collect();
    let inventory = Inventory { expires: None, entries };
    if inventory.entries.is_empty() {
        return Err(IngestError::Nothing { failures: Vec::new() });
    }
    let contested = inventory.contested();
    if !contested.is_empty() {
        let shown = |(name, digests): &(&str, Vec<&Digest>)| {
            let all = digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            Notice { file: (*name).into(), message: format!("it is {all}; leave all but one out") }
        };
        return Err(IngestError::Contested { names: contested.iter().map(shown).collect() });
    }
    Ok(inventory)
}

/// An ingest or a mount: they differ in their sink.
struct Work<'a> {
    publisher: Publisher,
    settings: &'a Settings,
    trust: Trust,
    meter: &'a Meter<'a>,
    started: Instant,
}

impl<'a> Work<'a> {
    fn new(publish: &PublishRules, settings: &'a Settings, meter: &'a Meter<'a>) -> Result<Self, IngestError> {
        let started = Instant::now();
        let publisher = Publisher::new(publish);
        let publisher = publisher.map_err(|error| IngestError::Settings { message: error.to_string() })?;
        Ok(Self { publisher, settings, trust: Trust::new(settings)?, meter, started })
    }

    fn take(self, mut to: Box<dyn Sink>, inputs: Vec<Input>) -> Result<Report, IngestError> {
        let base = self.settings.naming.base.as_ref();
        let mut intake = Intake::new(&mut *to, self.meter, &self.settings.limits, base);
        let bundle = bundle_name(&inputs);
        read_all(&mut intake, inputs)?;
        if self.meter.cancel.is_cancelled() {
            return Err(IngestError::Cancelled);
        }
        if (self.settings.strict || self.trust.is_required()) && !intake.failures.is_empty() {
            return Err(IngestError::Strict { failures: intake.failures });
        }
        if intake.found.is_empty() {
            return Err(IngestError::Nothing { failures: intake.failures });
        }
        // Before the given name is used: it was chosen inside, and so is not signed.
        let signatures = self.trust.check(&mut intake, &bundle)?;
        give_name(&mut intake, &self.settings.naming)?;
        cross_check(&mut intake);
        let plan = Plan::new(&mut intake, &self.publisher).map_err(Problem::Registry)?;
        if self.settings.strict && !plan.conflicts.is_empty() {
            return Err(IngestError::Strict { failures: plan.conflicts });
        }
        if self.trust.is_required() && !plan.contested.is_empty() {
            return Err(trust::refuse(self.meter, plan.contested));
        }
        let Intake { found, warnings, failures, .. } = intake;
        to.signed(&signatures);
        let Committed { release, tags, wrote } = plan.commit(to, &found).map_err(Problem::Registry)?;
        let report = Report {
            images: plan.rows(&found, &tags),
            kept: tags.iter().filter_map(TagOutcome::kept).map(Kept::from).collect(),
            release,
            signatures,
            warnings,
            failures,
            wrote,
            bytes_read: self.meter.bytes_read(),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        self.meter.tell(Event::Finished(report.clone()));
        Ok(report)
    }

    /// Checks before anything is written whether the inputs are signed and whether they fit, as far as that can be told from
    /// seekable archives without reading their layers. Nothing that fits is refused, because no more is counted than will be
    /// written. Problems with an archive are left to the ingest.
    fn survey(&self, registry: &Registry, origin: &Provenance, inputs: &[Input]) -> Result<(), IngestError> {
        let mut count = Count::new(registry.release(origin.clone()));
        let keep_free = self.settings.limits.keep_free;
        let fits = |most| count.draft.require_room(most, keep_free).is_ok();
        let fits = keep_free == 0 || total(inputs).is_some_and(fits);
        if fits && !self.trust.is_required() {
            return Ok(());
        }
        let silent = |_| {};
        let meter = Meter::new(&silent, self.meter.cancel);
        let mut intake = Intake::new(&mut count, &meter, &self.settings.limits, self.settings.naming.base.as_ref());
        let paths: Vec<&Path> = inputs.iter().filter_map(Input::path).collect();
        for path in &paths {
            read::path(&mut intake, path)?;
        }
        let Intake { inventories: mut found, failures, .. } = intake;
        if self.trust.is_required() {
            let is_input = |file: &String| paths.iter().any(|path| *file == printable(&path.display().to_string()));
            // A stream, or an input that cannot be read, may have more.
            found.incomplete = paths.len() < inputs.len() || failures.iter().any(|failure| is_input(&failure.file));
            self.trust.check_ahead(self.meter, &found, &bundle_name(inputs))?;
        }
        if fits { Ok(()) } else { Ok(count.require_room(keep_free).map_err(Problem::Registry)?) }
    }
}

fn read_all(intake: &mut Intake<'_>, inputs: Vec<Input>) -> Result<()> {
    for input in inputs {
        match input {
            Input::Path(path) => read::path(intake, &path)?,
            Input::Stream(stream, name) => read::stream(intake, stream, &name)?,
        }
    }
    read::settle_charts(intake)?;
    platforms::join(intake)
}

/// Gives the one image without a name the name in the settings.
fn give_name(intake: &mut Intake<'_>, naming: &Naming) -> Result<(), IngestError> {
    let Some((repository, tag)) = &naming.name else { return Ok(()) };
    let nameless = |found: &&mut Found| {
        found.beside.is_none() && found.names.iter().all(|name| name.repository.as_str() == UNTAGGED)
    };
    let mut unnamed: Vec<&mut Found> = intake.found.iter_mut().filter(nameless).collect();
    match unnamed.as_mut_slice() {
        [found] => {
            found.names = vec![FoundName::stored(repository.clone(), tag.clone(), &found.root)];
            found.notes.retain(|note| !note.contains(UNTAGGED));
        }
        [] => intake.warn("the given name", "not used: everything in what was given says its own name"),
        several => {
            let images = several.iter().map(|found| format!("{}: {}", printable(&found.file), found.root)).collect();
            return Err(IngestError::Unnamed { images });
        }
    }
    Ok(())
}

/// The size of all inputs together, if it can be known.
fn total(inputs: &[Input]) -> Option<u64> {
    inputs.iter().map(Input::size).try_fold(0, |sum: u64, size| Some(sum.saturating_add(size?)))
}

/// The name of the bundle, for the origin of its tags.
fn bundle_name(inputs: &[Input]) -> String {
    let first = inputs.first().map(Input::name).unwrap_or_default();
    if inputs.len() > 1 { format!("{first} and {} more", inputs.len() - 1) } else { first }
}

/// Compares every `manifest.txt` with what was found.
fn cross_check(intake: &mut Intake<'_>) {
    let texts = std::mem::take(&mut intake.texts);
    let mut held = Vec::new();
    for found in &intake.found {
        for named in &found.names {
            let name = named.repository.components().next_back().unwrap_or_default().to_owned();
            let version = named.tag.as_ref().map(ToString::to_string);
            let digests = found.manifests.iter().map(|(digest, _)| *digest).collect();
            held.push(Held { name, version, digests });
        }
    }
    for (file, text) in texts {
        let text = manifest_txt::decode(&text[..text.len().min(manifest_txt::MAX_SIZE)]);
        for warning in manifest_txt::cross_check(&text, &held) {
            intake.warn(&file, warning);
        }
    }
}
