//! What the fuzz targets feed (`sync/fuzz`), and the ordinary test that replays their corpora: every parser of
//! strangers' bytes, by itself. Not for use; each answers with a number, so that nothing is optimised away.

use std::io::{Cursor, Read};
use std::path::Path;

use airdock_registry::Registry;

use super::compression::{Allowance, Format, Unpacked};
use super::role::{Role, digest_in_name};
use super::tar::TarReader;
use super::{chart, directory, docker, names, oci_index, storage};

/// Anything, taken in whole from a stream and then from `file`, into a registry of its own, within a runtime.
#[must_use]
pub fn ingest(registry: &Registry, file: &Path, bytes: &[u8]) -> usize {
    use crate::ingest::{Input, Limits, Settings, ingest};
    use crate::publish::PublishRules;
    let limits = Limits { document: 1 << 16, layer: 1 << 22, ratio_from: 1 << 22, depth: 4, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let stream = Input::Stream(Box::new(Cursor::new(bytes.to_vec())), "stream".into());
    let written = std::fs::write(file, bytes).is_ok().then(|| Input::Path(file.to_owned()));
    let taken = |input| ingest(registry, &PublishRules::default(), vec![input], &settings, &|_| {});
    let found = |input| taken(input).map_or(0, |report| report.images.len());
    found(stream) + written.map_or(0, found)
}

/// A tar, and the documents in it.
#[must_use]
pub fn tar(bytes: &[u8]) -> usize {
    let mut source = bytes;
    let mut tar = TarReader::new(&mut source, 10_000);
    let mut seen = 0;
    while let Ok(Some(entry)) = tar.next() {
        seen += 1 + usize::from(digest_in_name(&entry.path).is_some());
        let mut content = Vec::new();
        if Role::of(&entry.path) == Role::Document && tar.body().take(1 << 20).read_to_end(&mut content).is_ok() {
            seen += docker::probe_manifest(&content) + oci_index::probe_index(&content);
        }
    }
    seen
}

/// A compressed stream, told by its first bytes.
#[must_use]
pub fn compressed(bytes: &[u8]) -> u64 {
    const ALLOWANCE: Allowance = Allowance { ratio: 0, from: 1 << 24 };
    let mut source = bytes;
    match Unpacked::new(Format::of(bytes), &mut source, ALLOWANCE) {
        Ok(Some(mut unpacked)) => std::io::copy(&mut unpacked, &mut std::io::sink()).unwrap_or(0),
        _ => 0,
    }
}

/// A `manifest.json` of `docker save`, or a config.
#[must_use]
pub fn docker_manifest(bytes: &[u8]) -> usize {
    docker::probe_manifest(bytes)
}

/// An `index.json`.
#[must_use]
pub fn index(bytes: &[u8]) -> usize {
    oci_index::probe_index(bytes)
}

/// Lines as paths of an archive: what each may be, and what it says of names, tags and digests.
#[must_use]
pub fn paths(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let mut seen = 0;
    for line in text.lines() {
        seen += usize::from(Role::of(line) != Role::Other) + usize::from(digest_in_name(line).is_some());
        seen += directory::probe_path(line) + storage::probe_link(line);
    }
    seen
}

/// Lines as image references and as names given by hand; what is read must say itself again.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn references(bytes: &[u8]) -> usize {
    use crate::reference::ImageReference;
    let text = String::from_utf8_lossy(bytes);
    let mut seen = 0;
    for line in text.lines() {
        if let Ok(reference) = line.parse::<ImageReference>() {
            let again = reference.to_string().parse::<ImageReference>();
            assert!(again.is_ok_and(|again| again == reference), "`{line}` is read in two ways");
            seen += 1;
        }
        seen += usize::from(names::as_it_stands(line).is_some()) + usize::from(names::of_path(line).is_some());
        seen += usize::from(crate::ingest::Naming::new(Some(line), Some(line)).is_ok());
    }
    seen
}

/// A `Chart.yaml`, or a packed chart.
#[must_use]
pub fn chart(bytes: &[u8]) -> usize {
    chart::probe(bytes)
}

/// An inventory, which must say itself again if it is one; and the same bytes as a key file and a signature.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn inventory(bytes: &[u8]) -> usize {
    use crate::inventory::{Inventory, probe_key};
    let seen = usize::from(probe_key(bytes));
    let Ok(inventory) = Inventory::parse(bytes) else { return seen };
    let again = Inventory::parse(inventory.to_string().as_bytes());
    assert!(again.is_ok_and(|again| again == inventory), "an inventory is read in two ways");
    seen + inventory.entries.len()
}

/// A `manifest.txt`, and its lines as names: references, patterns and templates.
#[must_use]
pub fn text(bytes: &[u8]) -> usize {
    use crate::manifest_txt::{Held, cross_check};
    use crate::publish::{PublishRules, Publisher, Rule};
    use crate::reference::ImageReference;
    let text = String::from_utf8_lossy(bytes);
    let held = Held { name: "zenml".into(), version: "0.93.2".into() };
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
