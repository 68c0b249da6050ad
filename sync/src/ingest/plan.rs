//! What an ingest is to do with what was found: which manifest goes to which repositories, under which tags, and what is
//! said of each afterwards.

use std::collections::{BTreeMap, HashMap};

use airdock_registry::names::Namespace;
use airdock_registry::oci::{Digest, RepositoryName, Tag};
use airdock_registry::{ImageState, Outcome, Registry, ReleaseImage, ReleaseReport, TagOutcome, WhyKept};

use super::report::{ImageRow, Notice};
use crate::archive::{Destination, Found, Intake, UNTAGGED};
use crate::publish::Publisher;

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
pub(super) struct Committed {
    pub(super) release: Option<u64>,
    pub(super) tags: Vec<TagOutcome>,
    pub(super) wrote: bool,
}

/// Which manifest goes where, under which tags.
pub(super) struct Plan {
    rows: Vec<Row>,
    tags: BTreeMap<(RepositoryName, Tag), Claim>,
    /// Tags that several images of the ingest claim.
    contested: Vec<Notice>,
}

/// Which image of the ingest has a tag.
#[derive(Clone, Copy)]
struct Claim {
    digest: Digest,
    lost_digest: bool,
}

impl Plan {
    pub(super) fn new(intake: &mut Intake<'_>, publisher: &Publisher) -> Self {
        let mut plan = Self { rows: Vec::new(), tags: BTreeMap::new(), contested: Vec::new() };
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

    /// Which tags several images of the ingest claim: which gets one depends on the order they were read in.
    pub(super) fn contested(&self) -> &[Notice] {
        &self.contested
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
                    intake.warn(file, message.clone());
                    self.contested.push(Notice { file: file.clone(), message });
                }
                if !stays {
                    self.tags.insert(key, claim);
                }
            }
        }
        self.rows.push(row);
    }

    pub(super) fn commit(
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
            Destination::Count(_) | Destination::Hash(_) => {
                Ok(Committed { release: None, tags: Vec::new(), wrote: false })
            }
        }
    }

    pub(super) fn rows(&self, found: &[Found], tags: &[TagOutcome]) -> Vec<ImageRow> {
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
