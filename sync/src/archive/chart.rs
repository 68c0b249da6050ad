//! Helm charts: a `.tgz` becomes the OCI artifact `helm push` would make of it, provenance file and all.
//!
//! The archive is stored as it is. It is read whole, because a chart is small and a damaged one must be told from its
//! checksum; what it unpacks to is bounded as Helm bounds it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName};
use bytes::Bytes;
use serde::Serialize;

use super::chart_yaml::{Metadata, go_json};
use super::compression::Unpacked;
use super::intake::{Found, Intake, Place};
use super::problem::{Problem, printable};
use super::role::Role;
use super::source::{Source, read_buffered};
use super::tar::{Kind, TarReader};

/// What a chart may unpack to, and each file in it: Helm's own limits.
const MAX_UNPACKED: u64 = 100 * 1024 * 1024;
const MAX_FILE: u64 = 5 * 1024 * 1024;
const MAX_FILES: u64 = 10_000;
/// How far a stream is looked into for a `Chart.yaml`; `helm package` writes it first.
const LOOK_INTO: usize = 4 * 1024 * 1024;

/// A chart whose archive is in the store; its provenance file may still come.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) file: String,
    metadata: Metadata,
    created: String,
    digest: Digest,
    size: u64,
}

/// Looks into a gzip stream as far as it must to tell whether it is a chart. Gives back what it has taken.
pub(crate) fn look_into(source: &mut dyn Source) -> (Vec<u8>, bool) {
    let mut recorder = Recorder { source, taken: Vec::new() };
    let found = {
        let mut unpacked = Unpacked::gzip(&mut recorder, MAX_UNPACKED);
        let mut tar = TarReader::new(&mut unpacked, MAX_FILES);
        loop {
            // Whatever is wrong with it is told by whoever reads it for good.
            let Ok(Some(entry)) = tar.next() else { break false };
            match Role::of(&entry.path) {
                Role::Chart if is_top(&entry.path) => break true,
                Role::Document | Role::Blob(_) | Role::Layer | Role::Config(_) | Role::Text => break false,
                _ if entry.size > MAX_FILE => break false,
                _ => {}
            }
        }
    };
    (recorder.taken, found)
}

/// Helm looks for files one folder down, whatever the folder's name.
fn is_top(path: &str) -> bool {
    path.split('/').count() == 2
}

/// Takes a chart in: `taken` and the rest of `source`.
pub(crate) fn read(
    intake: &mut Intake<'_>,
    taken: Vec<u8>,
    source: &mut dyn Source,
    file: &str,
) -> Result<(), Problem> {
    let mut archive = taken;
    let limit = intake.limits.chart;
    source.take((limit + 1).saturating_sub(archive.len() as u64)).read_to_end(&mut archive)?;
    if archive.len() as u64 > limit {
        return Err(Problem::OverLimit {
            what: "the chart".into(),
            limit: format!("{limit} bytes"),
            cure: "raise `ingest.limits.chart` if it is honest",
        });
    }
    let (metadata, modified) = open(&archive, intake.limits.document)?;
    let digest = Algorithm::Sha256.digest(&archive);
    intake.put(&archive, file, digest)?;
    let created = jiff::Timestamp::from_second(i64::try_from(modified).unwrap_or(0)).unwrap_or_default().to_string();
    intake.charts.push(Chart { file: file.to_owned(), metadata, created, digest, size: archive.len() as u64 });
    Ok(())
}

/// Reads the whole archive; gives its `Chart.yaml` and when that was written.
fn open(archive: &[u8], limit: u64) -> Result<(Metadata, u64), Problem> {
    let mut source = archive;
    let mut unpacked = Unpacked::gzip(&mut source, MAX_UNPACKED);
    let mut tar = TarReader::new(&mut unpacked, MAX_FILES);
    let mut found = None;
    while let Some(entry) = tar.next()? {
        if entry.kind != Kind::File || !is_top(&entry.path) || Role::of(&entry.path) != Role::Chart {
            continue;
        }
        if entry.size > limit.min(MAX_FILE) {
            return Err(Problem::OverLimit {
                what: format!("`{}`, with {} bytes,", printable(&entry.path), entry.size),
                limit: format!("{} bytes", limit.min(MAX_FILE)),
                cure: "no chart says so much about itself",
            });
        }
        if found.is_some() {
            return Err(Problem::Unusable(
                "it holds several charts side by side; package each by itself with `helm package`".into(),
            ));
        }
        let mut yaml = Vec::new();
        tar.body().read_to_end(&mut yaml)?;
        let metadata = Metadata::parse(&yaml).map_err(|reason| Problem::document(&entry.path, reason))?;
        found = Some((metadata, entry.modified));
    }
    found.ok_or_else(|| Problem::missing("`Chart.yaml`"))
}

/// For fuzzing: reads a packed chart, or the same bytes as a `Chart.yaml`.
pub(crate) fn probe(bytes: &[u8]) -> usize {
    let mut source = bytes;
    let (taken, is_chart) = look_into(&mut source);
    let found = open(bytes, 1 << 20).is_ok();
    let yaml = Metadata::parse(bytes).ok().and_then(|metadata| {
        let annotations = metadata.oci_annotations("2026-01-01T00:00:00Z").len();
        Some(annotations + metadata.config().ok()?.len())
    });
    taken.len() + usize::from(is_chart) + usize::from(found) + yaml.unwrap_or(0)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HelmManifest<'a> {
    schema_version: u8,
    config: HelmDescriptor<'a>,
    layers: Vec<HelmDescriptor<'a>>,
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HelmDescriptor<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
}

impl Chart {
    /// Makes the artifact, with the provenance file if there is one, and adds it under `charts/<name>`.
    pub(crate) fn settle(self, intake: &mut Intake<'_>, provenance: Option<Bytes>) -> Result<(), Problem> {
        let name = format!("charts/{}", self.metadata.name);
        let repository: RepositoryName =
            name.parse().map_err(|error| Problem::Unusable(format!("its name cannot be a repository: {error}")))?;
        // A tag cannot have a plus sign; Helm writes and reads an underscore.
        let tag = self.metadata.version.replace('+', "_");
        let tag = tag.parse().map_err(|error| Problem::Unusable(format!("its version cannot be a tag: {error}")))?;
        let written = |error: serde_json::Error| Problem::document("Chart.yaml", error);
        let config = self.metadata.config().map_err(written)?;
        let config_digest = Algorithm::Sha256.digest(&config);
        intake.put(&config, "Chart.yaml", config_digest)?;
        let mut layers =
            vec![HelmDescriptor { media_type: MediaType::HELM_CHART, digest: self.digest, size: self.size }];
        let mut notes = Vec::new();
        if let Some(provenance) = provenance {
            if !contains(&provenance, self.digest.encoded().as_bytes()) {
                intake.warn(
                    &self.file,
                    "its provenance file is about another archive: it does not name this one's digest",
                );
            }
            let digest = Algorithm::Sha256.digest(&provenance);
            intake.put(&provenance, &format!("{}.prov", self.file), digest)?;
            layers.push(HelmDescriptor {
                media_type: MediaType::HELM_PROVENANCE,
                digest,
                size: provenance.len() as u64,
            });
            notes.push("with its provenance file".to_owned());
        }
        layers.sort_by_key(|layer| layer.digest);
        let size = layers.iter().map(|layer| layer.size).sum::<u64>() + config.len() as u64;
        let manifest = HelmManifest {
            schema_version: 2,
            config: HelmDescriptor {
                media_type: MediaType::HELM_CONFIG,
                digest: config_digest,
                size: config.len() as u64,
            },
            layers,
            annotations: self.metadata.oci_annotations(&self.created),
        };
        let bytes = Bytes::from(go_json(&manifest).map_err(written)?);
        let root = Algorithm::Sha256.digest(&bytes);
        let media_type = MediaType::IMAGE_MANIFEST.parse().ok();
        let size = size + bytes.len() as u64;
        let manifest =
            Manifest::parse(bytes, media_type).map_err(|source| Problem::Manifest { digest: root, source })?;
        let shown = format!("{} {}", self.metadata.name, self.metadata.version);
        intake.add(Found {
            file: self.file,
            places: vec![Place { repository, tag: Some(tag), shown }],
            manifests: vec![(root, manifest)],
            root,
            platforms: Vec::new(),
            size,
            notes,
            beside: None,
            lost_digest: false,
        })
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Keeps what is taken from a source, up to a bound.
struct Recorder<'s> {
    source: &'s mut dyn Source,
    taken: Vec<u8>,
}

impl Read for Recorder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Recorder<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken.len() >= LOOK_INTO {
            return Err(io::Error::other("no chart so far"));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What `fill_buf` gave out is still there: it is not consumed yet.
        if let Ok(buffered) = self.source.fill_buf() {
            self.taken.extend_from_slice(&buffered[..count.min(buffered.len())]);
        }
        self.source.consume(count);
    }
}

impl Source for Recorder<'_> {}
