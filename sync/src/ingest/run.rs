//! From inputs to a committed release: read everything, decide names, commit once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use airdock_registry::names::Namespace;
use airdock_registry::oci::{Digest, RepositoryName, Tag};
use airdock_registry::{
    ImageState, MountDraft, Outcome, Provenance, Registry, ReleaseDraft, ReleaseImage, ReleaseReport, TagOutcome,
    WhyKept,
};

use super::report::{Event, ImageRow, IngestError, Kept, Notice, Report};
use super::settings::{Cancel, Input, Settings};
use crate::archive::{self, Destination, Found, Intake, Meter, Place, Problem, UNTAGGED, printable};
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
    progress(Event::Started { total_bytes: total(&inputs) });
    let meter = Meter::new(progress, cancel);
    let origin = Provenance::Ingested { bundle: bundle_name(&inputs), release: None };
    room(registry.release(origin.clone()), cancel, settings, &inputs).map_err(ended)?;
    let mut draft = registry.release(origin);
    draft.set_precedence(settings.precedence.clone());
    let sources = inputs.iter().map(|input| input.source(total(std::slice::from_ref(input))));
    draft.set_source(settings.by.clone(), sources.collect());
    let work = Work { registry, publisher: &publisher, settings, meter: &meter, cancel, started };
    work.take(Destination::Store(draft), inputs)
}

/// Serves what lies at `path`, a folder or an uncompressed archive, from where it lies: under the names an ingest would
/// give it, and without reading more than says what is where.
///
/// Blocks: to be run on a thread that may, within a tokio runtime.
///
/// # Errors
/// As [`ingest`], when nothing was mounted.
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
    // Its files are opened again and again, whatever becomes of the working folder.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let cancel = Cancel::default();
    let meter = Meter::new(progress, &cancel);
    let to = Destination::Mount(MountDraft::new(&path));
    let work = Work { registry, publisher: &publisher, settings, meter: &meter, cancel: &cancel, started };
    work.take(to, vec![Input::Path(path)])
}

/// An ingest, or a mount: they differ in where things go.
struct Work<'a> {
    registry: &'a Registry,
    publisher: &'a Publisher,
    settings: &'a Settings,
    meter: &'a Meter<'a>,
    cancel: &'a Cancel,
    started: Instant,
}

impl Work<'_> {
    fn take(self, to: Destination, inputs: Vec<Input>) -> Result<Report, IngestError> {
        let mut intake = Intake::new(to, self.meter, &self.settings.limits, &self.settings.naming);
        read(&mut intake, inputs).map_err(ended)?;
        if self.cancel.is_cancelled() {
            return Err(IngestError::Cancelled);
        }
        if self.settings.strict && !intake.failures.is_empty() {
            return Err(IngestError::Strict { failures: intake.failures });
        }
        if intake.found.is_empty() {
            return Err(IngestError::Nothing { failures: intake.failures });
        }
        give_name(&mut intake)?;
        cross_check(&mut intake);
        let plan = Plan::new(&mut intake, self.publisher);
        let Intake { to, found, warnings, failures, .. } = intake;
        let committed = plan.commit(self.registry, to, &found);
        let Committed { release, tags, wrote } = committed.map_err(|error| ended(Problem::Registry(error)))?;
        let report = Report {
            images: plan.rows(&found, &tags),
            kept: tags.iter().filter_map(TagOutcome::kept).map(Kept::from).collect(),
            release,
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

/// Before anything is written: whether it fits, as far as that can be told without reading all of it.
fn room(draft: ReleaseDraft, cancel: &Cancel, settings: &Settings, inputs: &[Input]) -> Result<(), Problem> {
    let path = |input: &Input| if let Input::Path(path) = input { Some(path.clone()) } else { None };
    let paths: Vec<_> = inputs.iter().filter_map(path).collect();
    archive::require_room(draft, &Meter::new(&|_| {}, cancel), settings, &paths, total(inputs))
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

/// One name of one image, with everything it is published as.
struct Row {
    image: usize,
    shown: String,
    /// Its own repository first.
    repositories: Vec<RepositoryName>,
    tag: Option<Tag>,
    notes: Vec<String>,
}

/// What became of it all.
struct Committed {
    release: Option<u64>,
    tags: Vec<TagOutcome>,
    wrote: bool,
}

/// Which manifest goes where, under which tags.
struct Plan {
    rows: Vec<Row>,
    tags: BTreeMap<(RepositoryName, Tag), Claim>,
}

/// Which image of the ingest has a tag.
#[derive(Clone, Copy)]
struct Claim {
    digest: Digest,
    lost_digest: bool,
}

impl Plan {
    fn new(intake: &mut Intake<'_>, publisher: &Publisher) -> Self {
        let mut plan = Self { rows: Vec::new(), tags: BTreeMap::new() };
        let found = std::mem::take(&mut intake.found);
        let mut homes: HashMap<Digest, Vec<RepositoryName>> = HashMap::new();
        for (image, item) in found.iter().enumerate().filter(|(_, item)| item.beside.is_none()) {
            for place in &item.places {
                let mut repositories = vec![place.repository.clone()];
                // What has no name of its own is published nowhere else.
                if place.repository.as_str() != UNTAGGED {
                    repositories.extend(publisher.further_names(&place.repository));
                    repositories.extend(publisher.upstream_names(&place.repository));
                }
                for (digest, _) in &item.manifests {
                    homes.entry(*digest).or_default().extend(repositories.iter().cloned());
                }
                plan.add(
                    intake,
                    &found,
                    Row { image, shown: place.shown.clone(), repositories, tag: place.tag.clone(), notes: Vec::new() },
                );
            }
        }
        for (image, item) in found.iter().enumerate() {
            let Some((about, tag)) = &item.beside else { continue };
            let home = homes.get(about).cloned();
            let (repositories, tag) = match home {
                Some(repositories) => (repositories, tag.clone()),
                None => (item.places.iter().map(|place| place.repository.clone()).collect(), None),
            };
            let notes = vec![format!("it belongs to `{about}`")];
            let shown = item.places.first().map_or_else(|| item.root.to_string(), |place| place.shown.clone());
            plan.add(intake, &found, Row { image, shown, repositories, tag, notes });
        }
        intake.found = found;
        plan
    }

    fn add(&mut self, intake: &mut Intake<'_>, found: &[Found], mut row: Row) {
        let mut seen = Vec::new();
        row.repositories.retain(|repository| {
            let new = !seen.contains(repository);
            seen.push(repository.clone());
            new
        });
        let Found { root, file, lost_digest, .. } = &found[row.image];
        if let Some(tag) = &row.tag {
            let claim = Claim { digest: *root, lost_digest: *lost_digest };
            for repository in &row.repositories {
                let key = (repository.clone(), tag.clone());
                let before = self.tags.get(&key).copied().filter(|before| before.digest != *root);
                // The registry's own digest goes first, in whatever order the archives come; then what comes last.
                let stays = before.is_some_and(|before| claim.lost_digest && !before.lost_digest);
                if let Some(before) = before {
                    let (gets, other) = if stays { (before, claim) } else { (claim, before) };
                    let why =
                        if gets.lost_digest == other.lost_digest { "" } else { ", which keeps the registry's digest," };
                    let message = format!(
                        "`{repository}:{tag}` is two images in this ingest; `{}`{why} gets the tag and `{}` does not",
                        gets.digest, other.digest
                    );
                    intake.warn(file, message);
                }
                if !stays {
                    self.tags.insert(key, claim);
                }
            }
        }
        self.rows.push(row);
    }

    fn commit(
        &self,
        registry: &Registry,
        mut to: Destination,
        found: &[Found],
    ) -> Result<Committed, airdock_registry::Error> {
        for row in &self.rows {
            let image = &found[row.image];
            for repository in &row.repositories {
                for (digest, manifest) in &image.manifests {
                    to.add_manifest(repository, *digest, manifest.clone());
                }
                to.describe(ReleaseImage {
                    repository: repository.clone(),
                    tag: row.tag.clone(),
                    digest: image.root,
                    size: image.size,
                    platforms: image.platforms.clone(),
                    state: ImageState::default(),
                });
            }
        }
        for ((repository, tag), claim) in &self.tags {
            to.add_tag(repository, tag.clone(), claim.digest);
        }
        match to {
            Destination::Store(draft) => block_on(draft.commit()).map(|report| {
                let ReleaseReport { id, tags, wrote } = report;
                Committed { release: id, tags, wrote }
            }),
            Destination::Mount(draft) => block_on(registry.mount(draft)).map(|mounted| Committed {
                release: None,
                tags: mounted.tags,
                wrote: false,
            }),
            Destination::Count(_) => Ok(Committed { release: None, tags: Vec::new(), wrote: false }),
        }
    }

    fn rows(&self, found: &[Found], tags: &[TagOutcome]) -> Vec<ImageRow> {
        let outcomes: HashMap<_, _> =
            tags.iter().map(|tag| ((&tag.repository, &tag.tag), (&tag.digest, &tag.outcome))).collect();
        self.rows.iter().map(|row| row.shown(&found[row.image], &outcomes)).collect()
    }
}

impl Row {
    fn shown(&self, found: &Found, outcomes: &HashMap<(&RepositoryName, &Tag), (&Digest, &Outcome)>) -> ImageRow {
        let mut notes = found.notes.clone();
        notes.extend(self.notes.iter().cloned());
        let mut state = None;
        for repository in &self.repositories {
            let Some(tag) = &self.tag else { break };
            let Some((digest, outcome)) = outcomes.get(&(repository, tag)) else { continue };
            // Another image of this ingest has the tag.
            if **digest != found.root {
                continue;
            }
            let this = match outcome {
                Outcome::Kept { current, by, why } => {
                    let protected = if *why == WhyKept::Protected { "; its prefix is protected" } else { "" };
                    notes.push(format!("`{repository}:{tag}` stays `{current}`, {by}{protected}"));
                    State::Kept
                }
                Outcome::New => State::New,
                Outcome::Moved { .. } => State::Updated,
                Outcome::AlreadyThere => State::There,
            };
            state = state.max(Some(this));
        }
        let suffix = self.tag.as_ref().map_or_else(|| format!("@{}", found.root), |tag| format!(":{tag}"));
        // An image's own stored name is what is shown of it; a chart has no name but the internal one.
        let own_is_shown = self.repositories.first().is_some_and(is_upstream);
        ImageRow {
            image: self.shown.clone(),
            internal: self.repositories[usize::from(own_is_shown)..]
                .iter()
                .map(|repository| format!("{repository}{suffix}"))
                .collect(),
            digest: found.root.to_string(),
            platforms: found.platforms.clone(),
            size: found.size,
            state: state.map_or("by digest", State::text).into(),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

fn is_upstream(name: &RepositoryName) -> bool {
    Namespace::of_component(name.split_first().0).is_some()
}

/// In the order in which one of several tags decides what is said of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    There,
    Updated,
    New,
    Kept,
}

impl State {
    const fn text(self) -> &'static str {
        match self {
            Self::There => "already there",
            Self::Updated => "updated",
            Self::New => "new",
            Self::Kept => "kept",
        }
    }
}

/// The registry's surface is asynchronous and an ingest has a thread of its own.
fn block_on<T>(commit: impl Future<Output = Result<T, airdock_registry::Error>>) -> Result<T, airdock_registry::Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.block_on(commit),
        Err(_) => Err(airdock_registry::Error::Unavailable("an ingest needs a runtime to commit in".into())),
    }
}

/// Failures and warnings, for those who only want the sentences.
impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}
