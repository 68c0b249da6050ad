//! Entry points for the fuzz targets (`sync/fuzz`) and the test that replays their corpora: every parser of untrusted bytes
//! by itself. Behind a feature, because nothing else needs them. Each returns a number, so that nothing is optimised away.

use std::io::Cursor;
use std::path::Path;

use airdock_registry::Registry;
use airdock_registry::oci::ImageConfig;

use crate::archive::dialect::chart_yaml::Metadata;
use crate::archive::dialect::storage::Link;
use crate::archive::dialect::{chart, directory, docker, layout_index};
use crate::archive::names;
use crate::archive::role::{Role, digest_in_name};
use crate::ingest::{Input, Naming, Settings, ingest as ingest_inputs};
use crate::input::compression::{Format, Unpacked};
use crate::input::source::{Source, read_all};
use crate::input::tar::TarReader;
use crate::inventory::{Inventory, Key};
use crate::limits::{Allowance, Limits};
use crate::manifest_txt::{Held, cross_check, decode};
use crate::publish::{PublishRules, Publisher, Rule};
use crate::reference::ImageReference;

/// Ingests anything from a stream and then from `file`, into a registry of its own, inside a runtime.
pub fn ingest(registry: &Registry, file: &Path, bytes: &[u8]) -> usize {
    let limits = Limits { document: 1 << 16, layer: 1 << 22, ratio_from: 1 << 22, depth: 4, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let stream = Input::Stream(Box::new(Cursor::new(bytes.to_vec())), "stream".into());
    let written = std::fs::write(file, bytes).is_ok().then(|| Input::Path(file.to_owned()));
    let taken = |input| ingest_inputs(registry, &PublishRules::default(), vec![input], &settings, &|_| {});
    let found = |input| taken(input).map_or(0, |report| report.images.len());
    found(stream) + written.map_or(0, found)
}

/// A tar, and the documents in it.
pub fn tar(bytes: &[u8]) -> usize {
    let mut source = bytes;
    let mut tar = TarReader::new(&mut source, 10_000);
    let mut seen = 0;
    while let Ok(Some(entry)) = tar.next() {
        seen += 1 + usize::from(digest_in_name(&entry.path).is_some());
        if Role::of(&entry.path) == Role::Document
            && entry.size <= 1 << 20
            && let Ok(content) = read_all(&mut tar.body())
        {
            seen += docker_manifest(&content) + index(&content);
        }
    }
    seen
}

/// A compressed stream.
pub fn compressed(bytes: &[u8]) -> u64 {
    const ALLOWANCE: Allowance = Allowance { ratio: 0, from: 1 << 24 };
    let mut source = bytes;
    let Ok(mut unpacked) = Unpacked::new(Format::of(bytes), &mut source, ALLOWANCE) else { return 0 };
    std::io::copy::<dyn Source, _>(&mut unpacked, &mut std::io::sink()).unwrap_or(0)
}

/// A `manifest.json` of `docker save`, or a config.
pub fn docker_manifest(bytes: &[u8]) -> usize {
    let platform = ImageConfig::parse(bytes).ok().and_then(|config| config.platform());
    let items = docker::items(bytes, "manifest.json").ok().flatten().unwrap_or_default();
    let read = |item: &docker::Item| item.label().len() + item.paths("a").map(|path| path.len()).sum::<usize>();
    platform.map_or(0, |platform| platform.to_string().len()) + items.iter().map(read).sum::<usize>()
}

/// An `index.json`.
pub fn index(bytes: &[u8]) -> usize {
    let roots = layout_index::roots(bytes, "index.json", true).unwrap_or_default();
    roots.iter().map(|root| root.names.label(&root.digest).len().min(1)).sum()
}

/// Lines as paths of an archive: their roles, and the names, tags and digests in them.
pub fn paths(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let mut seen = 0;
    for line in text.lines() {
        seen += usize::from(Role::of(line) != Role::Other) + usize::from(digest_in_name(line).is_some());
        seen += usize::from(directory::name(line).is_some()) + usize::from(Link::of(line).is_some());
    }
    seen
}

/// Lines as image references and as names given by hand. Panics when a reference, printed and parsed again, is another one.
pub fn references(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let mut seen = 0;
    for line in text.lines() {
        if let Ok(reference) = line.parse::<ImageReference>() {
            let again = reference.to_string().parse::<ImageReference>();
            assert!(again.is_ok_and(|again| again == reference), "`{line}` is read in two ways");
            seen += 1;
        }
        seen += usize::from(names::as_it_stands(line).is_some()) + usize::from(names::of_path(line).is_some());
        seen += usize::from(Naming::new(Some(line), Some(line)).is_ok());
    }
    seen
}

/// A `Chart.yaml`, or a packed chart.
pub fn chart(bytes: &[u8]) -> usize {
    let mut source = bytes;
    let (taken, is_chart) = chart::look_into(&mut source);
    let found = chart::open(bytes, 1 << 20).is_ok();
    let mut metadata = Metadata::default();
    let read = metadata.read(bytes).and_then(|()| metadata.finish());
    let yaml = read.ok().and_then(|metadata| {
        let annotations = metadata.oci_annotations("2026-01-01T00:00:00Z").len();
        Some(annotations + metadata.config().ok()?.len())
    });
    taken.len() + usize::from(is_chart) + usize::from(found) + yaml.unwrap_or(0)
}

/// The config that a packed chart's manifest gets, or why the chart is refused.
///
/// # Errors
/// What an ingest would say of the chart.
pub fn chart_config(archive: &[u8]) -> Result<Vec<u8>, String> {
    let (metadata, _) = chart::open(archive, 4 << 20).map_err(|problem| problem.sentence())?;
    metadata.config().map_err(|error| error.to_string())
}

/// An inventory, and the same bytes as a key file and a signature. Panics when an inventory, printed and parsed again, is
/// another one.
pub fn inventory(bytes: &[u8]) -> usize {
    let key = Key::of_pem(String::new(), bytes);
    let seen = usize::from(key.is_ok_and(|key| !key.has_signed(bytes, bytes)));
    let Ok(inventory) = Inventory::parse(bytes) else { return seen };
    let again = Inventory::parse(inventory.to_string().as_bytes());
    assert!(again.is_ok_and(|again| again == inventory), "an inventory is read in two ways");
    seen + inventory.entries.len()
}

/// A `manifest.txt`, and its lines as names: references, patterns and templates.
pub fn text(bytes: &[u8]) -> usize {
    let text = decode(bytes);
    let held =
        Held { name: "zenml".into(), version: Some("0.93.2".into()), digests: std::collections::BTreeSet::new() };
    let mut seen = cross_check(&text, &[held]).len();
    let mut lines = text.lines();
    while let (Some(from), Some(to)) = (lines.next(), lines.next()) {
        let rule = Rule { from: vec![from.into()], to: to.into(), alias: true };
        let publisher = Publisher::new(&PublishRules(vec![rule]));
        let reference = from.parse::<ImageReference>().or_else(|_| to.parse::<ImageReference>());
        if let (Ok(publisher), Ok(reference)) = (publisher, reference) {
            seen += publisher.further_names(reference.repository()).len();
        }
    }
    seen
}
