//! The charts below `charts/` as classic Helm repositories: an index for each folder, one over all, and a file for each
//! version.
//!
//! Derived from the tags there, and only when one of them changed; what was read from a manifest is kept, since manifests
//! never change. Invariants: a path leads to one chart, because the name in a chart must be its repository's and its version
//! the tag's; in the index over all a name is the charts of one folder, so that a push to another folder cannot take their
//! place; what is kept and what is listed is bounded.

mod metadata;
mod page;
mod version;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::catalog::{Binding, CHARTS, Origin, Provenance};
use crate::core::Core;
use crate::error::Error;
use crate::oci::{self, Digest, MediaType, RepositoryName, Tag};

/// The most versions listed, and the most bytes of their metadata. The rest is left out and logged.
const MAX_VERSIONS: usize = 10_000;
const MAX_INDEX: usize = 16 * 1024 * 1024;

/// The largest chart metadata read, in bytes.
const MAX_CONFIG: usize = 256 * 1024;

/// How many folders a log line about a chart's name has.
const MAX_SHOWN: usize = 5;

/// An index of charts.
#[derive(Clone, Debug)]
pub struct ChartIndex {
    /// `index.yaml`, which is also valid JSON.
    pub yaml: Bytes,
    /// Its digest.
    pub digest: Digest,
}

/// Where a chart's archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// A repository it can be read from.
    pub repository: RepositoryName,
    /// The archive.
    pub archive: Digest,
    /// Its provenance file, if it has one.
    pub provenance: Option<Digest>,
}

/// What is known of the charts now.
#[derive(Debug, Default)]
pub(crate) struct Charts(tokio::sync::Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    /// The generation of the tags and the number of media that this was made from.
    of: Option<(u64, usize)>,
    known: KnownCharts,
    listed: Listed,
    /// The indexes that were asked for since.
    pages: HashMap<String, ChartIndex>,
    /// The collisions that the log has.
    told: BTreeSet<String>,
}

/// By manifest; `None` for one that is not a chart's.
type KnownCharts = HashMap<(RepositoryName, Digest), Option<Arc<Known>>>;

/// What a manifest says about a chart.
#[derive(Debug)]
struct Known {
    name: String,
    version: String,
    /// Its members in an index, as JSON. Kept as text: as values they would need several times the memory.
    members: Box<str>,
    created: Option<Timestamp>,
    file: ChartFile,
}

/// A version of a chart.
#[derive(Clone, Debug)]
struct Line {
    known: Arc<Known>,
    created: Timestamp,
}

/// The versions of each chart, by folder and name. The folder of `charts/zenml` is `""`, that of `charts/dev/zenml` is `dev`.
type Listed = BTreeMap<String, BTreeMap<String, Vec<Line>>>;

impl Charts {
    /// See [`Registry::chart_index`](crate::Registry::chart_index).
    pub(crate) async fn index(&self, core: &Arc<Core>, folder: &str) -> Result<ChartIndex, Error> {
        // Held while the index is made: concurrent requests wait for it instead of making it too.
        let mut latest = self.0.lock().await;
        latest.refresh(core).await?;
        if let Some(page) = latest.pages.get(folder) {
            return Ok(page.clone());
        }
        let unknown = || Error::ChartFolderUnknown(folder.to_owned());
        let lines = lines(&latest.listed, folder).ok_or_else(unknown)?;
        let page = core.run(async move |_| Ok(page::render(&lines))).await?;
        latest.pages.insert(folder.to_owned(), page.clone());
        Ok(page)
    }

    /// See [`Registry::chart_file`](crate::Registry::chart_file).
    pub(crate) async fn file(&self, core: &Arc<Core>, path: &str) -> Result<Option<ChartFile>, Error> {
        let mut latest = self.0.lock().await;
        latest.refresh(core).await?;
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(charts) = latest.listed.get(folder) else { return Ok(None) };
        // Both names and versions may have hyphens.
        let found = file.match_indices('-').find_map(|(at, _)| {
            let version = file[at + 1..].strip_suffix(".tgz")?;
            charts.get(&file[..at])?.iter().find(|line| line.known.version == version)
        });
        Ok(found.map(|line| line.known.file.clone()))
    }
}

impl Latest {
    async fn refresh(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        // Read first: a change during the making is noticed at the next request.
        let now = core.catalog.chart_generation().await?;
        if self.of == Some(now) {
            return Ok(());
        }
        // Before the new ones are made, so that both are never in memory.
        self.of = None;
        self.pages.clear();
        self.listed.clear();
        let known = std::mem::take(&mut self.known);
        (self.listed, self.known) = core.run(async move |core| list(&core, known).await).await?;
        let collisions = collisions(&self.listed);
        collisions.difference(&self.told).for_each(|collision| tracing::warn!("{collision}"));
        (self.told, self.of) = (collisions, Some(now));
        Ok(())
    }
}

/// What an index lists: the charts of `folder`, or all for `""`; `None` when there is no such folder. Each with the folder
/// its files are in, relative to the index.
fn lines(listed: &Listed, folder: &str) -> Option<Vec<(String, Vec<Line>)>> {
    if !folder.is_empty() {
        return Some(listed.get(folder)?.values().map(|lines| (String::new(), lines.clone())).collect());
    }
    let mut all = Vec::new();
    for (name, folders) in folders(listed) {
        // Of a chart that several folders have and the first level has not, it cannot be said whose is meant.
        let Some(folder) = folders.first().filter(|folder| folder.is_empty() || folders.len() == 1) else { continue };
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        all.extend(listed[*folder].get(name).map(|lines| (below, lines.clone())));
    }
    Some(all)
}

/// The folders that have a chart of each name, the first level first.
fn folders(listed: &Listed) -> BTreeMap<&str, Vec<&str>> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (folder, charts) in listed {
        charts.keys().for_each(|name| folders.entry(name).or_default().push(folder));
    }
    folders
}

/// What the log says of names that several folders have.
fn collisions(listed: &Listed) -> BTreeSet<String> {
    let several = folders(listed).into_iter().filter(|(_, folders)| folders.len() > 1);
    let tell = |(name, folders): (&str, Vec<&str>)| {
        let first = folders.first().filter(|folder| folder.is_empty());
        let others: Vec<_> = folders.iter().filter(|folder| !folder.is_empty()).collect();
        let indexes = others.iter().take(MAX_SHOWN).map(|folder| format!("/charts/{folder}/index.yaml"));
        let mut indexes = indexes.collect::<Vec<_>>().join(", ");
        if others.len() > MAX_SHOWN {
            indexes.push_str(&format!(" and {} more", others.len() - MAX_SHOWN));
        }
        match first {
            Some(_) => format!(
                "the chart `{name}` is in several folders: /charts/index.yaml lists that of `charts/{name}`, the others \
                 are in {indexes}"
            ),
            None => format!(
                "the chart `{name}` is in several folders and not in `charts/{name}`: /charts/index.yaml lists none of \
                 them, they are in {indexes}"
            ),
        }
    };
    several.map(tell).collect()
}

async fn list(core: &Core, mut known: KnownCharts) -> Result<(Listed, KnownCharts), Error> {
    let mut kept = KnownCharts::new();
    let mut listed = Listed::new();
    let (mut count, mut bytes) = (0, 0);
    for Tagged { repository, tag, binding: Binding { digest, origin }, .. } in tagged(core).await? {
        let key = (repository.clone(), digest);
        let chart = match known.remove(&key).or_else(|| kept.get(&key).cloned()) {
            Some(chart) => chart,
            None => chart(core, &repository, &digest).await.map(Arc::new),
        };
        if let Some(chart) = chart.as_ref().filter(|_| !kept.contains_key(&key)) {
            (count, bytes) = (count + 1, bytes + chart.members.len());
            if count > MAX_VERSIONS || bytes > MAX_INDEX {
                tracing::warn!("the Helm repository has more charts than its index may list");
                break;
            }
        }
        kept.insert(key, chart.clone());
        let Some(known) = chart.filter(|chart| chart.version == tag.as_str().replace('_', "+")) else { continue };
        let folder = repository.as_str().strip_prefix(CHARTS).and_then(|path| path.rsplit_once('/'));
        let folder = folder.map_or("", |(folder, _)| folder).to_owned();
        let linked = match origin {
            Origin::Stored { at, .. } => i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok()),
            Origin::Mounted { .. } => None,
        };
        let created = known.created.or(linked).unwrap_or_default();
        let charts = listed.entry(folder).or_default();
        charts.entry(known.name.clone()).or_default().push(Line { known, created });
    }
    let versions = listed.values_mut().flat_map(BTreeMap::values_mut);
    versions.for_each(|lines| lines.sort_by(|a, b| version::newest_first(&a.known.version, &b.known.version)));
    Ok((listed, kept))
}

/// A tag below the prefix.
struct Tagged {
    is_carried: bool,
    depth: usize,
    repository: RepositoryName,
    tag: Tag,
    binding: Binding,
}

/// Every tag below the prefix. Should there be too many for an index, those that were carried here come first, then those
/// of the first level: what clients push must not displace them.
async fn tagged(core: &Core) -> Result<Vec<Tagged>, Error> {
    let mut found = Vec::new();
    let names = core.catalog.repositories(Some(CHARTS), MAX_VERSIONS).await?.entries;
    for repository in names.into_iter().take_while(|name| name.as_str().starts_with(CHARTS)) {
        for tag in core.catalog.tags(&repository, None, MAX_VERSIONS).await?.entries {
            let Ok(Some(binding)) = core.catalog.resolve(&repository, &tag).await else { continue };
            let is_pushed = matches!(binding.origin, Origin::Stored { provenance: Provenance::Pushed { .. }, .. });
            let depth = repository.as_str().matches('/').count();
            found.push(Tagged { is_carried: !is_pushed, depth, repository: repository.clone(), tag, binding });
        }
        if found.len() > MAX_VERSIONS {
            break;
        }
    }
    found.sort_by_key(|tagged| (Reverse(tagged.is_carried), tagged.depth));
    Ok(found)
}

/// What a manifest says about a chart, if it is a chart's. A damaged one is left out and does not hide the others.
async fn chart(core: &Core, repository: &RepositoryName, digest: &Digest) -> Option<Known> {
    let manifest = core.catalog.parsed(repository, digest).await.ok()??;
    let config = manifest.config().filter(|config| config.media_type.as_str() == MediaType::HELM_CONFIG)?;
    let bytes = core.blobs.read(&config.digest, MAX_CONFIG).await.ok()??;
    let metadata = serde_json::from_slice::<Map<String, Value>>(&bytes).ok()?;
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    let (name, version) = (text("name")?, text("version")?);
    // A client that may push to one repository must not add a chart under the name of another.
    if repository.as_str().rsplit('/').next() != Some(name.as_str()) {
        return None;
    }
    let layer = |kind: &str| manifest.blobs().find(|blob| blob.media_type.as_str() == kind).map(|blob| blob.digest);
    let archive = layer(MediaType::HELM_CHART)?;
    let created = manifest.annotations().and_then(|all| all.get(oci::annotation::CREATED)?.parse().ok());
    let provenance = layer(MediaType::HELM_PROVENANCE);
    let file = ChartFile { repository: repository.clone(), archive, provenance };
    Some(Known { name, version, members: metadata::members(metadata).into(), created, file })
}
