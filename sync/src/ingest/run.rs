//! From inputs to a committed release: read everything, decide names, commit once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use airdock_registry::oci::Digest;
use airdock_registry::{MountDraft, Provenance, Registry, ReleaseDraft, TagOutcome};

use super::plan::{Committed, Plan};
use super::report::{Event, IngestError, Kept, Notice, Report};
use super::settings::{Cancel, Input, Settings};
use super::trust::{self, Trust};
use crate::archive::{self, Destination, Found, Intake, Meter, Place, Problem, UNTAGGED, printable};
use crate::inventory::Inventory;
use crate::manifest_txt::{self, Held};
use crate::publish::{PublishRules, Publisher};

/// Takes `inputs` in. All tags appear together at the end, or none does.
///
/// Blocks: to be run on a thread that may, within a tokio runtime.
///
/// # Errors
/// [`IngestError`], when nothing went in. What failed while other things went in is in the [`Report`].
///
/// # Durability
/// When it returns `Ok`, every tag is durable. A crash before leaves no tag changed.
pub fn ingest(
    registry: &Registry,
    publish: &PublishRules,
    inputs: Vec<Input>,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    ingest_until(&Cancel::default(), registry, publish, inputs, settings, progress)
}

/// [`ingest`], which another thread may stop.
///
/// # Errors
/// As [`ingest`]; [`IngestError::Cancelled`] when it was stopped.
///
/// # Cancel safety
/// Stopped before the commit, nothing of it is seen. During the commit it is not stopped.
pub fn ingest_until(
    cancel: &Cancel,
    registry: &Registry,
    publish: &PublishRules,
    inputs: Vec<Input>,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    let started = Instant::now();
    let publisher = Publisher::new(publish).map_err(|error| IngestError::Settings { message: error.to_string() })?;
    let trust = Trust::new(settings)?;
    progress(Event::Started { total_bytes: total(&inputs) });
    let meter = Meter::new(progress, cancel);
    let origin = Provenance::Ingested { bundle: bundle_name(&inputs), release: None };
    ahead(registry.release(origin.clone()), &trust, (&meter, cancel), settings, &inputs)?;
    room(registry.release(origin.clone()), cancel, settings, &inputs).map_err(ended)?;
    let mut draft = registry.release(origin);
    draft.set_precedence(settings.precedence.clone());
    let sources = inputs.iter().map(|input| input.source(total(std::slice::from_ref(input))));
    draft.set_source(settings.by.clone(), sources.collect());
    let work = Work { registry, publisher: &publisher, settings, trust, meter: &meter, cancel, started };
    work.take(Destination::Store(draft), inputs)
}

/// Serves what lies at `path`, a folder or an uncompressed archive, from where it lies: under the names an ingest would
/// give it, and without reading more than says what is where.
///
/// Blocks: to be run on a thread that may, within a tokio runtime.
///
/// # Errors
/// As [`ingest`], when nothing was mounted; [`IngestError::Compressed`] when only an ingest can take it.
///
/// # Durability
/// None: nothing is written, and with the process it is gone.
pub fn mount(
    registry: &Registry,
    publish: &PublishRules,
    path: &Path,
    settings: &Settings,
    progress: &dyn Fn(Event),
) -> Result<Report, IngestError> {
    let started = Instant::now();
    let publisher = Publisher::new(publish).map_err(|error| IngestError::Settings { message: error.to_string() })?;
    let trust = Trust::new(settings)?;
    // Its files are opened again and again, whatever becomes of the working folder.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let cancel = Cancel::default();
    let meter = Meter::new(progress, &cancel);
    let to = Destination::Mount(MountDraft::new(&path));
    let work = Work { registry, publisher: &publisher, settings, trust, meter: &meter, cancel: &cancel, started };
    match work.take(to, vec![Input::Path(path.clone())]) {
        // A packed chart can be served, so this is asked last.
        Err(IngestError::Nothing { .. } | IngestError::Strict { .. } | IngestError::Untrusted { .. })
            if archive::is_compressed(&path) =>
        {
            Err(IngestError::Compressed)
        }
        taken => taken,
    }
}

/// What an ingest of `inputs` would find, under the names the archives say; `progress` hears of warnings. Everything is read
/// and hashed, and nothing is written.
///
/// Blocks: to be run on a thread that may.
///
/// # Errors
/// [`IngestError::Strict`] when anything of it could not go in: half a bundle is not worth a signature;
/// [`IngestError::Nothing`]; [`IngestError::Contested`] when a name is several images; [`IngestError::Cancelled`].
pub fn inventory(
    inputs: Vec<Input>,
    settings: &Settings,
    cancel: &Cancel,
    progress: &dyn Fn(Event),
) -> Result<Inventory, IngestError> {
    progress(Event::Started { total_bytes: total(&inputs) });
    let meter = Meter::new(progress, cancel);
    let mut intake = Intake::new(Destination::Hash(HashMap::new()), &meter, &settings.limits, &settings.naming);
    read(&mut intake, inputs).map_err(ended)?;
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
        let message = |digests: &[&Digest]| {
            let all = digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            format!("it is {all}; leave all but one out")
        };
        let shown = |(name, digests): &(&str, Vec<&Digest>)| Notice { file: (*name).into(), message: message(digests) };
        return Err(IngestError::Contested { names: contested.iter().map(shown).collect() });
    }
    Ok(inventory)
}

/// An ingest, or a mount: they differ in where things go.
struct Work<'a> {
    registry: &'a Registry,
    publisher: &'a Publisher,
    settings: &'a Settings,
    trust: Trust,
    meter: &'a Meter<'a>,
    cancel: &'a Cancel,
    started: Instant,
}

impl Work<'_> {
    fn take(self, to: Destination, inputs: Vec<Input>) -> Result<Report, IngestError> {
        let mut intake = Intake::new(to, self.meter, &self.settings.limits, &self.settings.naming);
        let given = bundle_name(&inputs);
        read(&mut intake, inputs).map_err(ended)?;
        if self.cancel.is_cancelled() {
            return Err(IngestError::Cancelled);
        }
        if (self.settings.strict || self.trust.is_required()) && !intake.failures.is_empty() {
            return Err(IngestError::Strict { failures: intake.failures });
        }
        if intake.found.is_empty() {
            return Err(IngestError::Nothing { failures: intake.failures });
        }
        // Before any name is given: what the person inside calls it, nobody outside has signed.
        let signatures = self.trust.check(&mut intake, &given)?;
        give_name(&mut intake)?;
        cross_check(&mut intake);
        let plan = Plan::new(&mut intake, self.publisher);
        if self.trust.is_required() && !plan.contested().is_empty() {
            return Err(trust::refuse(intake.meter, plan.contested().to_vec()));
        }
        let Intake { mut to, found, warnings, failures, .. } = intake;
        to.set_signatures(signatures.clone());
        let committed = plan.commit(self.registry, to, &found);
        let Committed { release, tags, wrote } = committed.map_err(|error| ended(Problem::Registry(error)))?;
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
}

/// Before anything is written: whether it is signed, as far as that can be told without reading all of it.
fn ahead(
    draft: ReleaseDraft,
    trust: &Trust,
    (meter, cancel): (&Meter<'_>, &Cancel),
    settings: &Settings,
    inputs: &[Input],
) -> Result<(), IngestError> {
    if !trust.is_required() {
        return Ok(());
    }
    let paths = paths(inputs);
    let mut found = archive::inventories_of(draft, &Meter::new(&|_| {}, cancel), settings, &paths).map_err(ended)?;
    found.incomplete |= paths.len() < inputs.len();
    trust.check_ahead(meter, &found, &bundle_name(inputs))
}

/// Before anything is written: whether it fits, as far as that can be told without reading all of it.
fn room(draft: ReleaseDraft, cancel: &Cancel, settings: &Settings, inputs: &[Input]) -> Result<(), Problem> {
    archive::require_room(draft, &Meter::new(&|_| {}, cancel), settings, &paths(inputs), total(inputs))
}

fn paths(inputs: &[Input]) -> Vec<PathBuf> {
    let path = |input: &Input| if let Input::Path(path) = input { Some(path.clone()) } else { None };
    inputs.iter().filter_map(path).collect()
}

fn read(intake: &mut Intake<'_>, inputs: Vec<Input>) -> Result<(), Problem> {
    for input in inputs {
        match input {
            Input::Path(path) => archive::read_path(intake, &path)?,
            Input::Stream(stream, name) => archive::read_stream(intake, stream, &name)?,
        }
    }
    archive::settle_charts(intake)
}

/// Gives the one image that has no name the one that was given for it.
fn give_name(intake: &mut Intake<'_>) -> Result<(), IngestError> {
    let Some((repository, tag)) = &intake.naming.name else { return Ok(()) };
    let nameless = |found: &&mut Found| {
        found.beside.is_none() && found.places.iter().all(|place| place.repository.as_str() == UNTAGGED)
    };
    let mut unnamed: Vec<&mut Found> = intake.found.iter_mut().filter(nameless).collect();
    match unnamed.as_mut_slice() {
        [found] => {
            let version = tag.as_ref().map_or_else(|| format!("@{}", found.root), |tag| format!(":{tag}"));
            let shown = format!("{repository}{version}");
            found.places = vec![Place { repository: repository.clone(), tag: tag.clone(), shown }];
            found.notes.retain(|note| !note.contains(UNTAGGED));
        }
        [] => intake.warn("--name", "not used: everything in what was given says its own name"),
        several => {
            let images = several.iter().map(|found| format!("{}: {}", printable(&found.file), found.root)).collect();
            return Err(IngestError::Unnamed { images });
        }
    }
    Ok(())
}

fn ended(problem: Problem) -> IngestError {
    match problem {
        Problem::Cancelled => IngestError::Cancelled,
        Problem::Registry(airdock_registry::Error::Conflicts(kept)) => {
            IngestError::Conflicts { kept: kept.into_iter().map(Kept::from).collect() }
        }
        Problem::Registry(error) => IngestError::Registry { message: Problem::Registry(error).causes() },
        other => IngestError::Registry { message: other.sentence() },
    }
}

/// The bytes of all inputs, where that can be known.
fn total(inputs: &[Input]) -> Option<u64> {
    inputs.iter().map(|input| if let Input::Path(path) = input { size(path, 0) } else { None }).sum()
}

/// A guess for a progress bar: what cannot be read counts as nothing here and is told when it is read.
fn size(path: &Path, depth: usize) -> Option<u64> {
    let metadata = if depth == 0 { path.metadata() } else { path.symlink_metadata() };
    let Ok(metadata) = metadata else { return Some(0) };
    if metadata.is_dir() && depth < 32 {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return Some(entries.filter_map(|entry| size(&entry.path(), depth + 1)).sum());
    }
    if metadata.is_file() { Some(metadata.len()) } else { (depth > 0).then_some(0) }
}

/// What tags say they came from.
fn bundle_name(inputs: &[Input]) -> String {
    let name = |input: &Input| match input {
        Input::Path(path) => path
            .canonicalize()
            .ok()
            .as_deref()
            .unwrap_or(path)
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned()),
        Input::Stream(_, name) => name.clone(),
    };
    let first = inputs.first().map(name).unwrap_or_default();
    if inputs.len() > 1 { format!("{first} and {} more", inputs.len() - 1) } else { first }
}

fn cross_check(intake: &mut Intake<'_>) {
    let texts = std::mem::take(&mut intake.texts);
    let mut held = Vec::new();
    for place in intake.found.iter().flat_map(|found| &found.places) {
        let name = place.repository.components().next_back().unwrap_or_default().to_owned();
        held.extend(place.tag.as_ref().map(|tag| Held { name, version: tag.to_string() }));
    }
    for (file, text) in texts {
        let end = (0..=text.len().min(manifest_txt::MAX_SIZE)).rev().find(|end| text.is_char_boundary(*end));
        for warning in manifest_txt::cross_check(&text[..end.unwrap_or(0)], &held) {
            intake.warn(&file, warning);
        }
    }
}
