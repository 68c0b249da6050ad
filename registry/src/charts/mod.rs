//! The charts below `charts/` as a classic Helm repository: an index, and a file for each version.
//!
//! Derived from the tags there, and only when one of them changed; what was read from a manifest is kept, since manifests
//! never change. Invariants: a file name leads to one chart, because the name in a chart must be its repository's and its
//! version the tag's; the index is bounded.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::catalog::{Binding, CHARTS, Origin};
use crate::core::Core;
use crate::error::Error;
use crate::oci::{self, Algorithm, Digest, MediaType, RepositoryName, Tag};

/// The most versions listed, and the most bytes of their metadata. The rest is left out and logged.
const MAX_VERSIONS: usize = 10_000;
const MAX_INDEX: usize = 16 * 1024 * 1024;

/// The largest chart metadata read, in bytes.
const MAX_CONFIG: usize = 256 * 1024;

/// The index of the repository, and its files.
#[derive(Debug)]
pub struct ChartIndex {
    /// `index.yaml`, which is also valid JSON.
    pub yaml: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// Where each chart's archive is, by its path in the repository: `zenml-0.93.2.tgz`.
    pub files: HashMap<String, ChartFile>,
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

/// The latest index, and what is known of the charts in it.
#[derive(Debug, Default)]
pub(crate) struct Charts(tokio::sync::Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    /// With the generation of the tags and the number of media that it was made from.
    index: Option<((u64, usize), Arc<ChartIndex>)>,
    known: KnownCharts,
}

/// By manifest; `None` for one that is not a chart's.
type KnownCharts = HashMap<(RepositoryName, Digest), Option<Arc<Known>>>;

/// What a manifest says about a chart.
#[derive(Debug)]
struct Known {
    name: String,
    version: String,
    metadata: Map<String, Value>,
    /// The size of the metadata as JSON, in bytes.
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

impl Charts {
    /// See [`Registry::charts`](crate::Registry::charts).
    pub(crate) async fn index(&self, core: &Arc<Core>) -> Result<Arc<ChartIndex>, Error> {
        // Held while the index is made: concurrent requests wait for it instead of making it too.
        let mut latest = self.0.lock().await;
        // Read first: a change during the making is noticed at the next request.
        let now = core.catalog.chart_generation().await?;
        if let Some((_, index)) = latest.index.as_ref().filter(|(of, _)| *of == now) {
            return Ok(index.clone());
        }
        let known = std::mem::take(&mut latest.known);
        let (index, known) = core.run(async move |core| make(&core, known).await).await?;
        *latest = Latest { index: Some((now, index.clone())), known };
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
    Some(Known { name, version, metadata, size: bytes.len(), created, file })
}

fn line(repository: &RepositoryName, known: Arc<Known>, origin: &Origin) -> Line {
    let folder = repository.as_str().trim_start_matches(CHARTS).trim_end_matches(known.name.as_str());
    // Relative to the index, so that it works through any address and proxy.
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
    let mut charts = Vec::new();
    for (name, lines) in &mut lines {
        lines.sort_by(|one, other| newest_first(&one.known.version, &other.known.version));
        // If two folders have the same name and version, the first folder counts.
        lines.dedup_by(|later, first| later.known.version == first.known.version);
        generated = lines.iter().map(|line| line.created).fold(generated, Timestamp::max);
        files.extend(lines.iter().map(|line| (line.url.clone(), line.known.file.clone())));
        let entries = lines.iter().map(entry).collect::<Vec<_>>().join(",\n");
        charts.push(format!("\n{}:[\n{entries}\n]", Value::from(name.as_str())));
    }
    // The newest chart's time rather than now: the same charts give the same bytes, which clients need not load again.
    let (charts, generated) = (charts.join(","), Value::from(generated.to_string()));
    let yaml = format!("{{\"apiVersion\":\"v1\",\"entries\":{{{charts}}},\"generated\":{generated}}}\n");
    let yaml = Bytes::from(plain(&yaml));
    ChartIndex { digest: Algorithm::Sha256.digest(&yaml), yaml, files }
}

fn entry(line: &Line) -> String {
    let mut entry = line.known.metadata.clone();
    entry.insert("created".into(), line.created.to_string().into());
    entry.insert("urls".into(), vec![Value::from(line.url.as_str())].into());
    let archive = &line.known.file.archive;
    // Helm compares it with the SHA-256 of the archive.
    if archive.algorithm() == Algorithm::Sha256 {
        entry.insert("digest".into(), archive.encoded().into());
    } else {
        entry.remove("digest");
    }
    Value::Object(entry).to_string()
}

/// Makes JSON valid YAML: some characters, which only occur in strings, must be escaped.
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

/// By semantic version, the newest first; texts that are not versions come last, in their order.
fn newest_first(one: &str, other: &str) -> Ordering {
    Version::read(other).cmp(&Version::read(one)).then_with(|| one.cmp(other))
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
    /// As lenient as Helm: a leading `v` and missing parts are accepted.
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
