//! Helm charts: a `.tgz` becomes the OCI artifact that `helm push` would make of it, including the provenance file.
//!
//! The archive is stored as it is. It is read whole, because a chart is small and only its checksum at the end shows damage.
//! What it unpacks to has Helm's limits.

use std::io::{self, Read, Write};
use std::sync::Arc;

use airdock_registry::oci::{Algorithm, MediaType};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::chart_yaml::Metadata;
use super::made::{Descriptor, Made};
use crate::archive::found::{Chart, Found};
use crate::archive::intake::Intake;
use crate::archive::names;
use crate::archive::role::Role;
use crate::input::compression::{Format, Unpacked};
use crate::input::source::{Source, read_all};
use crate::input::tar::{EntryKind, TarReader};
use crate::limits::Allowance;
use crate::problem::{Problem, Result};

/// Helm's limits for what a chart unpacks to, and for each file in it.
const ALLOWANCE: Allowance = Allowance { ratio: 0, from: 100 * 1024 * 1024 };
const MAX_FILE: u64 = 5 * 1024 * 1024;
const MAX_FILES: u64 = 10_000;
/// The endings of what is no part of a chart, except of those it depends on.
const ARCHIVES: [&str; 7] = [".tar", ".tgz", ".gz", ".zst", ".xz", ".bz2", ".oci"];
/// How far a stream is searched for a `Chart.yaml`; `helm package` writes it first.
const LOOK_INTO: usize = 4 * 1024 * 1024;
/// The name of a chart's description, and of that of its dependencies in the first version.
const CHART_YAML: &str = "Chart.yaml";
const REQUIREMENTS: &str = "requirements.yaml";

/// Reads a gzip stream as far as needed to tell whether it is a chart. Returns what was read, and whether it is one.
pub(crate) fn look_into(source: &mut dyn Source) -> (Vec<u8>, bool) {
    let mut recorder = Recorder { source, taken: Vec::new() };
    let found = Unpacked::new(Format::Gzip, &mut recorder, ALLOWANCE).is_ok_and(|mut unpacked| {
        let mut tar = TarReader::of_chart(&mut unpacked, MAX_FILES);
        loop {
            // Problems are reported by the reader that then takes the stream.
            let Ok(Some(entry)) = tar.next() else { break false };
            match Role::of(&entry.path) {
                Role::Chart if is_top(&entry.path) => break true,
                Role::Document | Role::Blob(_) | Role::Layer | Role::Config(_) | Role::Text => break false,
                _ if entry.size > MAX_FILE => break false,
                _ => {}
            }
        }
    });
    (recorder.taken, found)
}

/// Helm looks for files one folder down, whatever the folder's name.
fn is_top(path: &str) -> bool {
    path.split('/').count() == 2
}

/// Takes a chart: the bytes `taken` and the rest of `source`.
pub(crate) fn read(intake: &mut Intake<'_>, taken: Vec<u8>, source: &mut dyn Source, file: &str) -> Result<()> {
    let mut archive = taken;
    let limit = intake.limits.chart;
    source.take((limit + 1).saturating_sub(archive.len() as u64)).read_to_end(&mut archive)?;
    if archive.len() as u64 > limit {
        let cure = "raise `ingest.limits.chart` if you trust it";
        return Err(Problem::over("the chart", format_args!("{limit} bytes"), cure));
    }
    keep(intake, &archive, file, false)
}

/// Takes a chart that lost its compression on the way, as browsers unpack what they download: the tar `tar`.
pub(crate) fn read_unpacked(intake: &mut Intake<'_>, tar: &[u8], file: &str) -> Result<()> {
    // Not compressed: the same tar has to become the same bytes whatever library packs it.
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(tar)?;
    keep(intake, &packed.finish()?, file, true)
}

fn keep(intake: &mut Intake<'_>, archive: &[u8], file: &str, repacked: bool) -> Result<()> {
    let (metadata, modified) = open(archive, intake.limits.document)?;
    let digest = Algorithm::Sha256.digest(archive);
    intake.put(archive, file, digest)?;
    let created = jiff::Timestamp::from_second(i64::try_from(modified).unwrap_or(0)).unwrap_or_default().to_string();
    let config = metadata.config().map_err(|error| Problem::document(CHART_YAML, error))?;
    let annotations = metadata.oci_annotations(&created);
    let (name, version) = (metadata.name, metadata.version);
    let (file, size) = (file.to_owned(), archive.len() as u64);
    intake.keep_chart(Chart { file, name, version, config, annotations, digest, size, repacked })
}

/// Reads a tar from a stream as far as needed to tell whether it is a chart, up to `limit` bytes. Returns what was read, and
/// whether that is the whole of a chart.
pub(crate) fn look_unpacked(source: &mut dyn Source, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut recorder = Recorder { source, taken: Vec::new() };
    let begins = {
        let mut tar = TarReader::of_chart(&mut recorder, MAX_FILES);
        loop {
            match tar.next() {
                Ok(Some(entry)) if entry.kind != EntryKind::File || entry.left_out.is_some() => {}
                Ok(Some(entry)) => break is_top(&entry.path) && Role::of(&entry.path) == Role::Chart,
                _ => break false,
            }
        }
    };
    let Recorder { source, mut taken } = recorder;
    if !begins {
        return Ok((taken, false));
    }
    source.take((limit + 1).saturating_sub(taken.len() as u64)).read_to_end(&mut taken)?;
    let is_chart = taken.len() as u64 <= limit && is_unpacked(&mut taken.as_slice());
    Ok((taken, is_chart))
}

/// Whether a tar is one chart and nothing else: its description first, as Helm packs it, and everything in its folder. A
/// bundle may have an open chart beside its images.
pub(crate) fn is_unpacked(tar: &mut dyn Source) -> bool {
    let mut tar = TarReader::of_chart(tar, MAX_FILES);
    let (mut chart, mut size) = (None, 0_u64);
    loop {
        let entry = match tar.next() {
            Ok(Some(entry)) if entry.kind != EntryKind::File || entry.left_out.is_some() => continue,
            Ok(Some(entry)) => entry,
            Ok(None) => return chart.is_some(),
            Err(_) => return false,
        };
        let Some((folder, inner)) = entry.path.split_once('/') else { return false };
        let first = chart.get_or_insert_with(|| folder.to_owned());
        size = size.saturating_add(entry.size);
        let is_image = matches!(
            Role::of(&entry.path),
            Role::Document | Role::Blob(_) | Role::Layer | Role::Config(_) | Role::Link
        );
        let is_archive = !inner.starts_with("charts/") && ARCHIVES.iter().any(|ending| inner.ends_with(ending));
        let begins = size > entry.size || inner == CHART_YAML;
        if first != folder || is_image || is_archive || !begins || size > ALLOWANCE.from {
            return false;
        }
    }
}

/// Reads the whole archive. Returns what it says of itself, and the time that was written.
pub(crate) fn open(archive: &[u8], limit: u64) -> Result<(Metadata, u64)> {
    let mut source = archive;
    let mut unpacked = Unpacked::new(Format::Gzip, &mut source, ALLOWANCE)?;
    let mut tar = TarReader::of_chart(&mut unpacked, MAX_FILES);
    let mut found: Option<(String, Metadata, u64)> = None;
    let mut requirements = Vec::new();
    while let Some(entry) = tar.next()? {
        let Some((folder, name)) = entry.path.split_once('/') else { continue };
        if entry.kind != EntryKind::File || !matches!(name, CHART_YAML | REQUIREMENTS) {
            continue;
        }
        if entry.size > limit.min(MAX_FILE) {
            let cure = "no chart needs a description so large";
            return Err(Problem::document_over(&entry.path, entry.size, limit.min(MAX_FILE), cure));
        }
        let yaml = read_all(&mut tar.body())?;
        if name == REQUIREMENTS {
            requirements.push((entry.path, yaml));
            continue;
        }
        let (first, mut metadata, _) = found.take().unwrap_or_else(|| (folder.to_owned(), Metadata::default(), 0));
        if first != folder {
            let why = "it holds several charts side by side; package each by itself with `helm package`";
            return Err(Problem::Unusable(why.into()));
        }
        // Of several Helm reads each over the one before.
        metadata.read(&yaml).map_err(|fault| Problem::document(&entry.path, fault))?;
        found = Some((first, metadata, entry.modified));
    }
    let (folder, mut metadata, modified) = found.ok_or_else(|| Problem::missing(CHART_YAML))?;
    // Helm reads them after the `Chart.yaml`, wherever they are.
    for (path, yaml) in requirements {
        metadata.read_requirements(&yaml).map_err(|fault| Problem::document(&path, fault))?;
    }
    let metadata = metadata.finish().map_err(|fault| Problem::document(&format!("{folder}/{CHART_YAML}"), fault))?;
    Ok((metadata, modified))
}

/// Makes the artifact, with the provenance file if there is one, and adds it under `charts/<name>`.
pub(crate) fn settle(intake: &mut Intake<'_>, chart: Chart, provenance: Option<Bytes>) -> Result<()> {
    let name = names::chart(&chart.name, &chart.version).map_err(Problem::Unusable)?;
    let config_digest = Algorithm::Sha256.digest(&chart.config);
    intake.put(&chart.config, CHART_YAML, config_digest)?;
    let config = Descriptor::new(MediaType::HELM_CONFIG, config_digest, chart.config.len() as u64)?;
    let mut layers = vec![Descriptor::new(MediaType::HELM_CHART, chart.digest, chart.size)?];
    let mut notes = Vec::new();
    if chart.repacked {
        notes.push(
            "it came without its compression and was packed again, so its digest is not the one it was published with"
                .to_owned(),
        );
    }
    if let Some(provenance) = provenance {
        let wanted = chart.digest.encoded();
        if !provenance.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
            let message = "its provenance file is about another archive: it does not name this one's digest";
            intake.warn(&chart.file, message);
        }
        let digest = Algorithm::Sha256.digest(&provenance);
        intake.put(&provenance, &format!("{}.prov", chart.file), digest)?;
        layers.push(Descriptor::new(MediaType::HELM_PROVENANCE, digest, provenance.len() as u64)?);
        notes.push("with its provenance file".to_owned());
    }
    layers.sort_by_key(|layer| layer.digest);
    let size = layers.iter().map(|layer| layer.size).sum::<u64>() + config.size;
    let made = Made { schema_version: 2, media_type: None, config, layers, annotations: chart.annotations };
    let (root, manifest) = made.manifest()?;
    intake.add(Found {
        file: chart.file,
        names: vec![name],
        size: size + manifest.bytes().len() as u64,
        manifests: vec![(root, Arc::new(manifest))],
        root,
        platforms: Vec::new(),
        notes,
        beside: None,
        lost_digest: chart.repacked,
    })
}

/// Records what is read from a source, up to a limit.
struct Recorder<'s> {
    source: &'s mut dyn Source,
    taken: Vec<u8>,
}

impl Source for Recorder<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken.len() >= LOOK_INTO {
            return Err(io::Error::other("no chart so far"));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What `fill_buf` returned is not consumed yet, so this returns it again.
        if let Ok(buffered) = self.source.fill_buf() {
            self.taken.extend_from_slice(&buffered[..count.min(buffered.len())]);
        }
        self.source.consume(count);
    }
}
