//! What a release brought, for its record: images, bytes, and a checksum that is equal if two brought the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::catalog::release::{ImageState, ManifestName, ReleaseImage};
use crate::catalog::{Outcome, TagOutcome};
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

type Manifests = BTreeMap<ManifestName, Arc<Manifest>>;

/// The bytes of the manifests and of all blobs they name, each counted once.
pub(super) fn bytes<'a>(manifests: impl IntoIterator<Item = (&'a Digest, &'a Arc<Manifest>)>) -> u64 {
    let mut sizes = HashMap::new();
    for (digest, manifest) in manifests {
        sizes.insert(*digest, manifest.bytes().len() as u64);
        sizes.extend(manifest.blobs().map(|blob| (blob.digest, blob.size)));
    }
    sizes.values().fold(0, |sum, size| sum.saturating_add(*size))
}

/// One line for each tag and each manifest, sorted, hashed.
pub(super) fn checksum(tags: &BTreeMap<(RepositoryName, Tag), Digest>, manifests: &Manifests) -> Digest {
    let tags = tags.iter().map(|((repository, tag), digest)| format!("{repository}:{tag} {digest}\n"));
    let manifests = manifests.keys().map(|ManifestName { repository, digest }| format!("{repository} {digest}\n"));
    let mut hasher = Algorithm::Sha256.hasher();
    for line in tags.chain(manifests).collect::<BTreeSet<_>>() {
        hasher.update(line.as_bytes());
    }
    hasher.finish()
}

/// The images as they were described, and what happened to their tags; each tag once.
pub(super) fn images(described: &[ReleaseImage], tags: &[TagOutcome], manifests: &Manifests) -> Vec<ReleaseImage> {
    let mut by_tag = HashMap::new();
    let mut by_digest = BTreeMap::new();
    for image in described {
        match &image.tag {
            Some(tag) => drop(by_tag.insert((&image.repository, tag, image.digest), image)),
            None => drop(by_digest.insert((&image.repository, image.digest), image)),
        }
    }
    let tagged = tags.iter().map(|TagOutcome { repository, tag, digest, outcome }| {
        let state = match outcome {
            Outcome::New => ImageState::New,
            Outcome::Moved { .. } => ImageState::Moved,
            Outcome::AlreadyThere => ImageState::AlreadyThere,
            Outcome::Kept { .. } => ImageState::Kept,
        };
        match by_tag.get(&(repository, tag, *digest)) {
            Some(image) => ReleaseImage { state, ..(*image).clone() },
            None => {
                let (repository, digest) = (repository.clone(), *digest);
                let name = ManifestName { repository: repository.clone(), digest };
                let size = manifests.get(&name).map_or(0, |manifest| bytes([(&digest, manifest)]));
                ReleaseImage { repository, tag: Some(tag.clone()), digest, size, platforms: Vec::new(), state }
            }
        }
    });
    let untagged = by_digest.into_values().map(|image| ReleaseImage { state: ImageState::ByDigest, ..image.clone() });
    tagged.chain(untagged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_of_names_and_digests_in_one_order() {
        let digest = Algorithm::Sha256.digest(b"x");
        let tag = |text: &str| (("a".parse().unwrap(), text.parse().unwrap()), digest);
        let tags = BTreeMap::from([tag("1"), tag("2")]);
        let text = format!("a:1 {digest}\na:2 {digest}\n");
        assert_eq!(checksum(&tags, &Manifests::new()), Algorithm::Sha256.digest(text.as_bytes()));
    }
}
