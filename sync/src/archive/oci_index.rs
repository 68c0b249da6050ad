//! `index.json` of an image layout: which manifests it is about, and what they are called.

use std::collections::HashMap;

use airdock_registry::oci::{Digest, MediaType};
use serde::Deserialize;

use super::hauler;
use super::names::{Annotations, Names};
use super::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<IndexEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    #[serde(default)]
    media_type: Option<MediaType>,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: Option<Annotations>,
}

/// One manifest `index.json` names.
pub(crate) struct Root {
    pub(crate) digest: Digest,
    /// Where a descriptor tells it.
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<MediaType>,
    pub(crate) names: Names,
}

/// Reads `index.json`. It has one entry per tag: entries of one digest are one image.
pub(crate) fn roots(bytes: &[u8], path: &str) -> Result<Vec<Root>, Problem> {
    let index: Index = serde_json::from_slice(bytes).map_err(|error| Problem::document(path, error))?;
    let mut roots: Vec<Root> = Vec::new();
    let mut places: HashMap<Digest, usize> = HashMap::new();
    let entries: Vec<IndexEntry> = index.manifests.unwrap_or_default();
    let subjects =
        hauler::subjects(entries.iter().filter_map(|entry| Some((entry.annotations.as_ref()?, entry.digest))));
    for IndexEntry { media_type, digest, size, annotations } in entries {
        let place = *places.entry(digest).or_insert_with(|| {
            roots.push(Root { digest, size: Some(size), media_type, names: Names::default() });
            roots.len() - 1
        });
        let annotations = annotations.unwrap_or_default();
        match hauler::Kind::of(&annotations) {
            None => roots[place].names.read(&annotations),
            Some(kind) => roots[place].names.read_hauler(&annotations, kind, &subjects),
        }
    }
    Ok(roots)
}

/// For fuzzing: reads an `index.json` and says how many manifests it names.
pub(crate) fn probe_index(bytes: &[u8]) -> usize {
    let roots = roots(bytes, "index.json").unwrap_or_default();
    roots.iter().map(|root| root.names.label(&root.digest).len().min(1)).sum()
}
