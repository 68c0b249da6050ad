//! `index.json` of an image layout: its manifests and their names.

use std::collections::HashMap;

use airdock_registry::oci::{Digest, MediaType};
use serde::Deserialize;

use super::hauler;
use crate::archive::names::{Annotations, Names};
use crate::problem::{Problem, Result};

#[derive(Deserialize)]
struct Index {
    manifests: Option<Vec<IndexEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    media_type: Option<MediaType>,
    digest: Digest,
    size: u64,
    annotations: Option<Annotations>,
}

/// One manifest that `index.json` names.
pub(crate) struct Root {
    pub(crate) digest: Digest,
    /// If there is a descriptor that states it.
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<MediaType>,
    pub(crate) names: Names,
}

/// Reads `index.json`. It has one entry for each tag: entries with the same digest are one image.
/// In a package of zarf the name of an image is that of its base.
pub(crate) fn roots(bytes: &[u8], path: &str, is_zarf: bool) -> Result<Vec<Root>> {
    let index: Index = serde_json::from_slice(bytes).map_err(|error| Problem::document(path, error))?;
    let mut roots: Vec<Root> = Vec::new();
    let mut positions: HashMap<Digest, usize> = HashMap::new();
    let entries: Vec<IndexEntry> = index.manifests.unwrap_or_default();
    let annotated = entries.iter().filter_map(|entry| Some((entry.annotations.as_ref()?, entry.digest)));
    let subjects = hauler::subjects(annotated);
    for IndexEntry { media_type, digest, size, annotations } in entries {
        let position = *positions.entry(digest).or_insert_with(|| {
            roots.push(Root { digest, size: Some(size), media_type, names: Names::default() });
            roots.len() - 1
        });
        let annotations = annotations.unwrap_or_default();
        let names = &mut roots[position].names;
        if !hauler::read(names, &annotations, &subjects) {
            names.read(&annotations, is_zarf);
        }
    }
    Ok(roots)
}
