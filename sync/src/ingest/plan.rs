//! The plan of an ingest: which manifest goes to which repositories under which tags, and what is reported of each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use airdock_registry::content::{Committed, Sink};
use airdock_registry::names::Namespace;
use airdock_registry::oci::{Digest, RepositoryName, Tag};
use airdock_registry::{Error, ImageState, Outcome, ReleaseImage, TagOutcome, WhyKept};

use crate::archive::found::{Found, FoundName, UNTAGGED};
use crate::archive::intake::Intake;
use crate::publish::Publisher;
use crate::report::{ImageRow, Notice};

/// One name of one image, with all the names it is published under.
struct Row {
    image: usize,
    shown: String,
    /// The repository of the name itself comes first.
    repositories: Vec<RepositoryName>,
    tag: Option<Tag>,
    notes: Vec<String>,
}

/// Which manifest goes to which repositories, under which tags.
pub(super) struct Plan {
    rows: Vec<Row>,
    /// The image that gets each tag.
    tags: BTreeMap<(RepositoryName, Tag), usize>,
    /// Tags that several images of the ingest claim: which image gets one depends on the order of reading.
    pub(super) contested: Vec<Notice>,
    /// Those of them whose images are not one image in two forms.
    pub(super) conflicts: Vec<Notice>,
}

impl Plan {
    /// # Errors
    /// When the sink cannot say where the manifests are that content of this ingest belongs to.
    pub(super) fn new(intake: &mut Intake<'_>, publisher: &Publisher) -> Result<Self, Error> {
        let mut plan = Self { rows: Vec::new(), tags: BTreeMap::new(), contested: Vec::new(), conflicts: Vec::new() };
        let found = std::mem::take(&mut intake.found);
        let mut homes: HashMap<Digest, Vec<RepositoryName>> = HashMap::new();
        for (image, item) in found.iter().enumerate().filter(|(_, item)| item.beside.is_none()) {
            for name in &item.names {
                let mut repositories = vec![name.repository.clone()];
                // Content without a name is published nowhere else.
                if name.repository.as_str() != UNTAGGED {
                    repositories.extend(publisher.further_names(&name.repository));
                    repositories.extend(publisher.upstream_names(&name.repository));
                }
                for (digest, _) in &item.manifests {
                    homes.entry(*digest).or_default().extend(repositories.iter().cloned());
                }
                let (shown, tag) = (name.shown.clone(), name.tag.clone());
                plan.add(intake, &found, Row { image, shown, repositories, tag, notes: Vec::new() });
            }
        }
        plan.add_beside(intake, &found, homes)?;
        intake.found = found;
        Ok(plan)
    }

    /// Adds what belongs to a manifest to each repository that has that: those of this ingest first, then those of the
    /// registry. So it does not matter whether both come in one ingest or in several.
    fn add_beside(
        &mut self,
        intake: &mut Intake<'_>,
        found: &[Found],
        mut homes: HashMap<Digest, Vec<RepositoryName>>,
    ) -> Result<(), Error> {
        let abouts = found.iter().filter_map(|item| Some(item.beside.as_ref()?.0)).collect::<BTreeSet<_>>();
        if abouts.is_empty() {
            return Ok(());
        }
        let there = intake.to.repositories_of(&abouts)?;
        for image in subjects_first(found) {
            let item = &found[image];
            let Some((about, tag)) = &item.beside else { continue };
            let mut repositories = homes.get(about).cloned().unwrap_or_default();
            repositories.extend(there.get(about).into_iter().flatten().cloned());
            // Where nothing has a name is a place only until a better one is known.
            if repositories.iter().any(|repository| repository.as_str() != UNTAGGED) {
                repositories.retain(|repository| repository.as_str() != UNTAGGED);
            }
            let mut note = format!("it belongs to `{about}`");
            let rows = match repositories.first() {
                Some(first) => {
                    let name = FoundName::stored(first.clone(), tag.clone(), &item.root);
                    vec![(name.shown, repositories, name.tag)]
                }
                None => {
                    note.push_str(", which is not here: ingest that, and then this again to put it beside it");
                    let own = item.names.iter().cloned();
                    own.map(|name| (name.shown, vec![name.repository], name.tag)).collect()
                }
            };
            for (shown, repositories, tag) in rows {
                for (digest, _) in &item.manifests {
                    homes.entry(*digest).or_default().extend(repositories.iter().cloned());
                }
                self.add(intake, found, Row { image, shown, repositories, tag, notes: vec![note.clone()] });
            }
        }
        Ok(())
    }

    fn add(&mut self, intake: &mut Intake<'_>, found: &[Found], mut row: Row) {
        let mut seen = HashSet::new();
        row.repositories.retain(|repository| seen.insert(repository.clone()));
        let image = &found[row.image];
        for (repository, tag) in row.repositories.iter().filter_map(|repository| Some((repository, row.tag.as_ref()?)))
        {
            let key = (repository.clone(), tag.clone());
            let before = self.tags.get(&key).map(|before| &found[*before]).filter(|before| before.root != image.root);
            // The registry's own digest wins, in any order of archives; otherwise the last one does.
            let stays = before.is_some_and(|before| image.lost_digest && !before.lost_digest);
            if let Some(before) = before {
                let (gets, other) = if stays { (before, image) } else { (image, before) };
                let differ = gets.lost_digest != other.lost_digest;
                let why = if differ { ", which keeps the registry's digest," } else { "" };
                let message = format!(
                    "`{repository}:{tag}` is two images in this ingest; `{}`{}{why} gets the tag and `{}`{} does not",
                    gets.root,
                    platforms(gets),
                    other.root,
                    platforms(other)
                );
                intake.warn(&image.file, message.clone());
                let notice = Notice { file: image.file.clone(), message };
                if !share_a_config(before, image) {
                    self.conflicts.push(notice.clone());
                }
                self.contested.push(notice);
            }
            if !stays {
                self.tags.insert(key, row.image);
            }
        }
        self.rows.push(row);
    }

    /// Pushes manifests and tags into the sink and finishes it.
    pub(super) fn commit(&self, mut to: Box<dyn Sink>, found: &[Found]) -> Result<Committed, Error> {
        for row in &self.rows {
            let image = &found[row.image];
            for repository in &row.repositories {
                for (digest, manifest) in &image.manifests {
                    to.manifest(repository, *digest, manifest.clone());
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
        for ((repository, tag), image) in &self.tags {
            to.tag(repository, tag.clone(), found[*image].root);
        }
        to.finish()
    }

    /// The rows of the report.
    pub(super) fn rows(&self, found: &[Found], tags: &[TagOutcome]) -> Vec<ImageRow> {
        let outcomes: HashMap<_, _> =
            tags.iter().map(|tag| ((&tag.repository, &tag.tag), (&tag.digest, &tag.outcome))).collect();
        self.rows.iter().map(|row| row.shown(&found[row.image], &outcomes)).collect()
    }
}

/// The items that belong to another one, each after that one if it is among them: an artifact may be about an artifact.
fn subjects_first(found: &[Found]) -> Vec<usize> {
    let beside = |image: &usize| found[*image].beside.is_some();
    let roots: HashMap<Digest, usize> = (0..found.len())
        .filter(beside)
        .flat_map(|image| found[image].manifests.iter().map(move |(digest, _)| (*digest, image)))
        .collect();
    let (mut order, mut seen) = (Vec::new(), HashSet::new());
    for image in (0..found.len()).filter(beside) {
        let (mut chain, mut next) = (Vec::new(), Some(image));
        // Two signatures may name each other by their tags: that ends here, too.
        while let Some(image) = next.filter(|image| seen.insert(*image)) {
            chain.push(image);
            next = found[image].beside.as_ref().and_then(|(about, _)| roots.get(about).copied());
        }
        order.extend(chain.into_iter().rev());
    }
    order
}

impl Row {
    /// What a row with several tags may be; the last of them that one of its tags is counts.
    const STATES: [&str; 4] = ["already there", "updated", "new", "kept"];

    fn shown(&self, found: &Found, outcomes: &HashMap<(&RepositoryName, &Tag), (&Digest, &Outcome)>) -> ImageRow {
        let mut notes = found.notes.clone();
        notes.extend(self.notes.iter().cloned());
        let mut state = None;
        for repository in &self.repositories {
            let Some(tag) = &self.tag else { break };
            let Some((digest, outcome)) = outcomes.get(&(repository, tag)) else { continue };
            // Another image of this ingest got the tag.
            if **digest != found.root {
                continue;
            }
            let this = match outcome {
                Outcome::Kept { current, by, why } => {
                    let protected = if *why == WhyKept::Protected { "; its prefix is protected" } else { "" };
                    notes.push(format!("`{repository}:{tag}` stays `{current}`, {by}{protected}"));
                    3
                }
                Outcome::New => 2,
                Outcome::Moved { .. } => 1,
                Outcome::AlreadyThere => 0,
            };
            state = state.max(Some(this));
        }
        let suffix = self.tag.as_ref().map_or_else(|| format!("@{}", found.root), |tag| format!(":{tag}"));
        // The name of an image is shown already; a chart has only its internal name.
        let own_is_shown = self.repositories.first().is_some_and(is_upstream);
        let internal = self.repositories.iter().skip(usize::from(own_is_shown));
        ImageRow {
            image: self.shown.clone(),
            internal: internal.map(|repository| format!("{repository}{suffix}")).collect(),
            digest: found.root.to_string(),
            platforms: found.platforms.clone(),
            size: found.size,
            state: state.map_or("by digest", |state: usize| Self::STATES[state]).into(),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

/// The platforms of an image, in brackets.
fn platforms(found: &Found) -> String {
    if found.platforms.is_empty() { String::new() } else { format!(" ({})", found.platforms.join(", ")) }
}

/// Whether two images are one in two forms, such as with and without the registry's own manifest.
fn share_a_config(one: &Found, other: &Found) -> bool {
    let configs = |found: &Found| -> HashSet<Digest> {
        found.manifests.iter().filter_map(|(_, manifest)| Some(manifest.config()?.digest)).collect()
    };
    !configs(one).is_disjoint(&configs(other))
}

fn is_upstream(name: &RepositoryName) -> bool {
    Namespace::of_component(name.split_first().0).is_some()
}
