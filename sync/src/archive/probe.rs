//! What the fuzz targets feed (`sync/fuzz`), and the ordinary test that replays their corpora: every parser of
//! strangers' bytes, by itself. Not for use; each answers with a number, so that nothing is optimised away.

use std::io::Read;

use super::compression::{Format, Unpacked};
use super::role::{Role, digest_in_name};
use super::tar::TarReader;
use super::{chart, docker, oci_index};

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
    let mut source = bytes;
    let copy = |mut unpacked: Unpacked<'_>| std::io::copy(&mut unpacked, &mut std::io::sink()).unwrap_or(0);
    match Format::of(bytes) {
        Format::Gzip => copy(Unpacked::gzip(&mut source).at_most(1 << 24)),
        Format::Zstd => Unpacked::zstd(&mut source).map_or(0, |unpacked| copy(unpacked.at_most(1 << 24))),
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

/// A `Chart.yaml`, or a packed chart.
#[must_use]
pub fn chart(bytes: &[u8]) -> usize {
    chart::probe(bytes)
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
