//! One name for several images that are the platforms of one: what `docker save` and others leave of an index when each
//! platform is saved by itself. Each client would get what was read last, so an index of them is made here, the same one in
//! whatever order they come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use airdock_registry::oci::{Algorithm, Digest, Manifest, ManifestKind, MediaType, RepositoryName, Tag};
use serde::Serialize;

use super::dialect::made::{Descriptor, go_json};
use super::found::{Found, FoundName};
use super::intake::Intake;
use crate::problem::{Problem, Result};

/// Platforms of one image that are joined. Docker's own images have about ten.
const MAX_PLATFORMS: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Child>,
}

#[derive(Serialize)]
struct Child {
    #[serde(flatten)]
    manifest: Descriptor,
    platform: Platform,
}

#[derive(Serialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

/// Makes one index of the images that share a name and are each for another platform.
pub(crate) fn join(intake: &mut Intake<'_>) -> Result<()> {
    let mut claims: BTreeMap<(RepositoryName, Tag), (BTreeSet<Digest>, FoundName)> = BTreeMap::new();
    let mut images: HashMap<Digest, &Found> = HashMap::new();
    for found in intake.found.iter().filter(|found| found.beside.is_none()) {
        images.entry(found.root).or_insert(found);
        for name in &found.names {
            let Some(tag) = name.tag.clone() else { continue };
            let claim = claims.entry((name.repository.clone(), tag)).or_insert_with(|| (BTreeSet::new(), name.clone()));
            claim.0.insert(found.root);
        }
    }
    // The names that a set of images shares.
    let mut sets: BTreeMap<BTreeSet<Digest>, Vec<FoundName>> = BTreeMap::new();
    for (digests, name) in claims.into_values().filter(|(digests, _)| digests.len() > 1) {
        sets.entry(digests).or_default().push(name);
    }
    let (mut joined, mut taken) = (Vec::new(), HashSet::new());
    for (digests, names) in sets {
        if let Some(platforms) = platforms(digests.iter().filter_map(|digest| images.get(digest).copied())) {
            taken.extend(names.iter().map(|name| (name.repository.clone(), name.tag.clone())));
            joined.push(index(&platforms, names)?);
        }
    }
    intake.found.retain_mut(|found| {
        let before = found.names.len();
        if found.beside.is_none() {
            found.names.retain(|name| !taken.contains(&(name.repository.clone(), name.tag.clone())));
        }
        before == 0 || !found.names.is_empty()
    });
    joined.into_iter().try_for_each(|found| intake.add(found))
}

/// The images by their platforms; `None` if they are not each for one that no other is for.
fn platforms<'f>(images: impl Iterator<Item = &'f Found>) -> Option<BTreeMap<&'f str, &'f Found>> {
    let mut platforms = BTreeMap::new();
    for found in images {
        let [platform] = found.platforms.as_slice() else { return None };
        let (_, manifest) = found.manifests.last()?;
        let is_image = manifest.media_type().manifest_kind() == ManifestKind::Image;
        if !is_image || !platform.contains('/') || platforms.insert(platform.as_str(), found).is_some() {
            return None;
        }
    }
    (platforms.len() <= MAX_PLATFORMS).then_some(platforms)
}

fn index(platforms: &BTreeMap<&str, &Found>, names: Vec<FoundName>) -> Result<Found> {
    let mut children = Vec::new();
    let mut manifests: Vec<(Digest, Arc<Manifest>)> = Vec::new();
    let mut files: BTreeSet<&str> = BTreeSet::new();
    let mut notes =
        vec!["its platforms were saved one by one under one name; the index of them was made here".to_owned()];
    for (platform, found) in platforms {
        let Some((digest, manifest)) = found.manifests.last() else { continue };
        let mut parts = platform.split('/').map(str::to_owned);
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let size = manifest.bytes().len() as u64;
        children.push(Child {
            manifest: Descriptor::new(manifest.media_type().as_str(), *digest, size)?,
            platform: Platform { architecture, os, variant: parts.next() },
        });
        manifests.extend(found.manifests.iter().cloned());
        files.insert(&found.file);
        for note in &found.notes {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
    }
    let index = Index { schema_version: 2, media_type: MediaType::IMAGE_INDEX, manifests: children };
    let bytes = go_json(&index).map_err(|error| Problem::document("index.json", error))?;
    let root = Algorithm::Sha256.digest(&bytes);
    let manifest = Manifest::parse(bytes.into(), None).map_err(|source| Problem::Manifest { digest: root, source })?;
    manifests.push((root, Arc::new(manifest)));
    let blobs: BTreeMap<Digest, u64> = manifests
        .iter()
        .flat_map(|(digest, manifest)| {
            let own = std::iter::once((*digest, manifest.bytes().len() as u64));
            own.chain(manifest.required_blobs().map(|blob| (blob.digest, blob.size)))
        })
        .collect();
    Ok(Found {
        file: files.into_iter().collect::<Vec<_>>().join(" and "),
        names,
        manifests,
        root,
        platforms: platforms.keys().map(|platform| (*platform).to_owned()).collect(),
        size: blobs.into_values().fold(0, u64::saturating_add),
        notes,
        beside: None,
        lost_digest: true,
    })
}
