//! The charts below `charts/` as a classic Helm repository: an index, and a file for each version.
//!
//! Derived from the tags there, and made anew only when one of them changed; what is known of a manifest is kept, since a
//! manifest never changes. Invariants: a file's name leads to one chart, because the name in a chart must be its
//! repository's and its version the tag's; the index is bounded.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::catalog::{Binding, CHARTS, Origin};
use crate::core::Core;
use crate::error::Error;
use crate::oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};

/// Versions listed, and the bytes of what they say of themselves; what is beyond is left out and logged.
const MAX_VERSIONS: usize = 10_000;
const MAX_INDEX: usize = 16 * 1024 * 1024;

/// Largest chart metadata read, in bytes.
const MAX_CONFIG: usize = 256 * 1024;

/// When a chart was made, by the manifest.
const CREATED: &str = crate::oci::annotation::CREATED;

/// The repository's index and what its files are.
#[derive(Debug)]
pub struct ChartIndex {
    /// `index.yaml`, written so that it is JSON as well.
    pub yaml: Bytes,
    /// Its digest.
    pub digest: Digest,
    files: HashMap<String, ChartFile>,
}

/// Where a chart's archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// The repository it may be read from.
    pub repository: RepositoryName,
    /// The archive.
    pub archive: Digest,
    /// Its provenance file, when it has one.
    pub provenance: Option<Digest>,
}

/// What was made last, and of which names.
#[derive(Debug, Default)]
pub(crate) struct Charts(tokio::sync::Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    of: Option<Generation>,
    index: Option<Arc<ChartIndex>>,
    known: KnownCharts,
}

/// By manifest; `None` for what is no chart.
type KnownCharts = HashMap<(RepositoryName, Digest), Option<Arc<Known>>>;

/// Changes of the tags, and how many media are mounted.
type Generation = (u64, usize);

/// What a manifest says of a chart.
#[derive(Debug)]
struct Known {
    name: String,
    version: String,
    metadata: Map<String, Value>,
    /// How much that is, as JSON.
    size: usize,
    created: Option<Timestamp>,
    file: ChartFile,
}

/// One line of the index.
struct Line {
    known: Arc<Known>,
    url: String,
    created: Timestamp,
}

impl ChartIndex {
    /// The chart whose archive has this path in the repository: `zenml-0.93.2.tgz`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ChartFile> {
        self.files.get(path)
    }
}

impl Charts {
    /// See [`Registry::charts`](crate::Registry::charts).
    pub(crate) async fn index(&self, core: &Arc<Core>) -> Result<Arc<ChartIndex>, Error> {
        // Held while it is made: others wait for the same one rather than making it too.
        let mut made = self.0.lock().await;
        // Read first: a change that comes in meanwhile is noticed the next time.
        let now = core.catalog.chart_generation().await?;
        if let Some(index) = made.index.as_ref().filter(|_| made.of == Some(now)) {
            return Ok(index.clone());
        }
        let known = std::mem::take(&mut made.known);
        let (index, known) = core.run(async move |core| make(&core, known).await).await?;
        *made = Made { of: Some(now), index: Some(index.clone()), known };
        Ok(index)
    }
}

async fn make(core: &Core, mut known: KnownCharts) -> Result<(Arc<ChartIndex>, KnownCharts), Error> {
    let mut kept = KnownCharts::new();
    let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    let (mut count, mut bytes) = (0, 0);
    for (repository, tag) in chart_tags(core).await? {
        let Ok(Some(Binding { digest, origin })) = core.catalog.resolve(&repository, &tag).await else { continue };
        let key = (repository.clone(), digest);
        let chart = match known.remove(&key).or_else(|| kept.get(&key).cloned()) {
            Some(chart) => chart,
            None => chart(core, &repository, &digest).await.map(Arc::new),
        };
        kept.insert(key, chart.clone());
        let Some(chart) = chart.filter(|chart| chart.version == tag.as_str().replace('_', "+")) else { continue };
        (count, bytes) = (count + 1, bytes + chart.size);
        if count > MAX_VERSIONS || bytes > MAX_INDEX {
            tracing::warn!("the Helm repository has more charts than its index may list");
            break;
        }
        lines.entry(chart.name.clone()).or_default().push(line(&repository, chart, &origin));
    }
    Ok((Arc::new(render(lines)), kept))
}

/// Every tag below the prefix, in order.
async fn chart_tags(core: &Core) -> Result<Vec<(RepositoryName, Tag)>, Error> {
    let mut found = Vec::new();
    let names = core.catalog.repositories(Some(CHARTS), MAX_VERSIONS).await?.entries;
    for repository in names.into_iter().take_while(|name| name.as_str().starts_with(CHARTS)) {
        let tags = core.catalog.tags(&repository, None, MAX_VERSIONS).await?.entries;
        found.extend(tags.into_iter().map(|tag| (repository.clone(), tag)));
        if found.len() > MAX_VERSIONS {
            break;
        }
    }
    Ok(found)
}

/// What a manifest says, when it is a chart's. What is damaged is no chart: it does not hide the others.
async fn chart(core: &Core, repository: &RepositoryName, digest: &Digest) -> Option<Known> {
    let manifest = core.catalog.parsed(repository, digest).await.ok()??;
    let config = manifest.config().filter(|config| config.media_type.as_str() == MediaType::HELM_CONFIG)?;
    let bytes = core.blobs.read(&config.digest, MAX_CONFIG).await.ok()??;
    let metadata = serde_json::from_slice::<Map<String, Value>>(&bytes).ok()?;
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    let (name, version) = (text("name")?, text("version")?);
    // A client that may push to one repository must not put a chart into the index under another's name.
    if repository.as_str().rsplit('/').next() != Some(name.as_str()) {
        return None;
    }
    let layer = |kind: &str| manifest.blobs().find(|blob| blob.media_type.as_str() == kind).map(|blob| blob.digest);
    let archive = layer(MediaType::HELM_CHART)?;
    let created = manifest.annotations().and_then(|all| all.get(CREATED)?.parse().ok());
    let provenance = layer(MediaType::HELM_PROVENANCE);
    let file = ChartFile { repository: repository.clone(), archive, provenance };
    Some(Known { name, version, metadata, size: bytes.len(), created, file })
}

fn line(repository: &RepositoryName, known: Arc<Known>, origin: &Origin) -> Line {
    let folder = repository.as_str().trim_start_matches(CHARTS).trim_end_matches(known.name.as_str());
    // Relative to the index, so that it fits whatever address and proxy the client came by.
    let url = format!("{folder}{}-{}.tgz", known.name, known.version);
    let linked = match origin {
        Origin::Stored { at, .. } => i64::try_from(*at).ok().and_then(|at| Timestamp::from_second(at).ok()),
        Origin::Mounted { .. } => None,
    };
    let created = known.created.or(linked).unwrap_or_default();
    Line { known, url, created }
}

fn render(mut lines: BTreeMap<String, Vec<Line>>) -> ChartIndex {
    let mut files = HashMap::new();
    let mut generated = Timestamp::UNIX_EPOCH;
    let mut yaml = String::from("{\"apiVersion\":\"v1\",\"entries\":{");
    let mut first_name = true;
    for (name, lines) in &mut lines {
        lines.sort_by(|one, other| newest_first(&one.known.version, &other.known.version));
        // The same name and version in two folders: the first in order is the one.
        lines.dedup_by(|later, first| later.known.version == first.known.version);
        let mut entries = String::new();
        for line in lines.iter() {
            entries += if entries.is_empty() { "\n" } else { ",\n" };
            entries += &entry(line);
            generated = generated.max(line.created);
            files.insert(line.url.clone(), line.known.file.clone());
        }
        yaml += if std::mem::take(&mut first_name) { "\n" } else { ",\n" };
        yaml += &format!("{}:[{entries}\n]", Value::from(name.as_str()));
    }
    // Of the newest chart and not of now: the same charts are the same bytes, which clients need not load again.
    yaml += &format!("}},\"generated\":{}}}\n", Value::from(generated.to_string()));
    let yaml = Bytes::from(plain(&yaml));
    ChartIndex { digest: Algorithm::Sha256.digest(&yaml), yaml, files }
}

fn entry(line: &Line) -> String {
    let mut entry = line.known.metadata.clone();
    entry.insert("created".into(), line.created.to_string().into());
    entry.insert("urls".into(), vec![Value::from(line.url.as_str())].into());
    let archive = &line.known.file.archive;
    // Helm compares it with SHA-256.
    if archive.algorithm() == Algorithm::Sha256 {
        entry.insert("digest".into(), archive.encoded().into());
    } else {
        entry.remove("digest");
    }
    Value::Object(entry).to_string()
}

/// JSON is YAML but for characters that YAML wants written as escapes; all of them are in strings.
fn plain(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => text.push(c),
        }
    }
    text
}

/// By semantic version, the newest first; what is none comes last, in order.
fn newest_first(one: &str, other: &str) -> Ordering {
    match (Version::read(one), Version::read(other)) {
        (Some(one), Some(other)) => other.cmp(&one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
    .then_with(|| one.cmp(other))
}

/// Ordered as SemVer 2.0.0, 11 says. A release goes after its prereleases.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    core: [u64; 3],
    released: bool,
    prerelease: Vec<Identifier>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Version {
    /// As lenient as Helm: a leading `v`, and parts that are missing.
    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (core, prerelease) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
        let mut parts = core.split('.').map(str::parse);
        let mut number = || parts.next().unwrap_or(Ok(0)).ok();
        let core = [number()?, number()?, number()?];
        let identifier = |part: &str| part.parse().map_or_else(|_| Identifier::Text(part.into()), Identifier::Number);
        Some(Self {
            core,
            released: prerelease.is_none(),
            prerelease: prerelease.into_iter().flat_map(|rest| rest.split('.')).map(identifier).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_the_newest_first() {
        let mut versions =
            ["1.0.0-rc.1", "nightly", "0.9.12", "1.0.0", "v0.10", "1.0.0-rc.10", "1.0.0-alpha", "1.0.0+2"];
        versions.sort_by(|one, other| newest_first(one, other));
        let expected = ["1.0.0", "1.0.0+2", "1.0.0-rc.10", "1.0.0-rc.1", "1.0.0-alpha", "v0.10", "0.9.12", "nightly"];
        assert_eq!(versions, expected);
    }

    #[test]
    fn characters_that_yaml_does_not_take_are_escaped_and_stay_the_same_json() {
        let value = Value::from("é\u{7f}\u{85}\u{2028}\u{feff}\u{1f600}\"\\\n: #");
        let text = plain(&value.to_string());
        assert!(!text.contains(['\u{7f}', '\u{85}', '\u{2028}', '\u{feff}', '\n']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
