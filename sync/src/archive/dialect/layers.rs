//! The layers that a manifest names, held against those that the image's config names.
//!
//! A client unpacks each layer, hashes it, and refuses the image if that is not the config's DiffID (image-spec `config.md`).
//! The number of layers and the digests of plain ones are compared for nothing. A compressed layer has to be unpacked, so
//! only small ones are: a wrong order moves several layers, and nearly every image has a small one.

use std::collections::BTreeMap;

use airdock_registry::oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType};
use bytes::Bytes;
use serde::Deserialize;

use crate::archive::intake::Intake;
use crate::archive::parts::Parts;
use crate::limits::MAX_CONFIG;
use crate::problem::{Problem, Result};
use crate::text::printable;

/// URLs of one layer that are read.
const MAX_URLS: usize = 16;

/// The types of layers that are stored as they are.
const PLAIN: [&str; 3] = [
    MediaType::IMAGE_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
];

/// The types of layers that are compressed.
const COMPRESSED: [&str; 6] = [
    MediaType::IMAGE_LAYER_GZIP,
    MediaType::IMAGE_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

/// The config `path` of a container image; `None` if it is in the sink only and cannot be read back from there.
pub(super) fn config(parts: &dyn Parts, intake: &Intake<'_>, path: &str, config: &Descriptor) -> Result<Option<Bytes>> {
    match parts.document(path, MAX_CONFIG) {
        Ok(Some(bytes)) => {
            let found = config.digest.algorithm().digest(&bytes);
            if found == config.digest { Ok(Some(bytes)) } else { Err(Problem::digest(path, config.digest, found)) }
        }
        read => match intake.read_back(&config.digest, MAX_CONFIG)? {
            Some(bytes) => Ok(Some(bytes)),
            None => read,
        },
    }
}

/// Whether these are the layers of a container image: artifacts, too, may have the config of one.
pub(super) fn are_of_an_image(layers: &[&Descriptor]) -> bool {
    let is_known = |layer: &&Descriptor| {
        let kind = layer.media_type.as_str();
        PLAIN.contains(&kind) || COMPRESSED.contains(&kind)
    };
    layers.iter().all(is_known)
}

/// Checks the layers of the manifest `digest`, which are in the sink except for those only its vendor has, against their
/// config. `path` is where a layer is among the parts.
pub(super) fn check(
    parts: &mut dyn Parts,
    digest: Digest,
    layers: &[&Descriptor],
    config: &ImageConfig,
    path: impl Fn(&Digest) -> String,
) -> Result<()> {
    let diff_ids = config.diff_ids();
    if layers.len() != diff_ids.len() {
        let what = format!("the manifest names {} layers and the config {}", layers.len(), diff_ids.len());
        return Err(Problem::Layers { manifest: digest, what });
    }
    for (at, (layer, diff_id)) in layers.iter().zip(diff_ids).enumerate() {
        let is_plain = PLAIN.contains(&layer.media_type.as_str());
        if is_plain && layer.digest == *diff_id || layer.digest.algorithm() != diff_id.algorithm() {
            continue;
        }
        let path = path(&layer.digest);
        let found = match parts.unpacked(&path, layer.digest)? {
            // It is not compressed as it should be, or its first bytes are damaged, which is found elsewhere.
            Some(found) if found == layer.digest && !is_plain => continue,
            Some(found) => found,
            // It is in the sink already, or only its vendor has it.
            None if is_plain && parts.size(&path)?.is_none() => layer.digest,
            None => continue,
        };
        if found != *diff_id {
            let what = match diff_ids.contains(&found) {
                true => "the manifest names the layers in another order than the config".to_owned(),
                false => format!("layer {} unpacks to {found}, and the config says {diff_id}", at + 1),
            };
            return Err(Problem::Layers { manifest: digest, what });
        }
    }
    Ok(())
}

/// The layers of an image manifest: everything but its config.
pub(super) fn of(manifest: &Manifest) -> Vec<&Descriptor> {
    manifest.blobs().skip(usize::from(manifest.config().is_some())).collect()
}

/// Where the layer `digest` of a manifest, which only its vendor may give out, is to be had: the hosts of its `urls`.
pub(super) fn vendor(manifest: &Manifest, digest: &Digest) -> String {
    #[derive(Deserialize)]
    struct Layers {
        #[serde(alias = "manifests")]
        layers: Option<Vec<Layer>>,
    }
    #[derive(Deserialize)]
    struct Layer {
        digest: Digest,
        urls: Option<Vec<String>>,
    }
    // The parsed manifest only says that there are URLs.
    let layers = serde_json::from_slice(manifest.bytes()).map_or(None, |Layers { layers }| layers);
    let urls = layers
        .into_iter()
        .flatten()
        .filter(|layer| layer.digest == *digest)
        .flat_map(|layer| layer.urls.unwrap_or_default());
    hosts(urls)
}

/// The hosts of these URLs, for a sentence.
pub(super) fn hosts(urls: impl IntoIterator<Item = String>) -> String {
    let host = |url: String| {
        let (_, rest) = url.split_once("://")?;
        Some(printable(rest.split('/').next()?)).filter(|host| !host.is_empty())
    };
    let mut hosts: Vec<String> = urls.into_iter().take(MAX_URLS).filter_map(host).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() { "its vendor".to_owned() } else { hosts.join(" or ") }
}

/// The note about layers that are not here, because only their vendor may give them out. By digest, with where to get them.
pub(super) fn elsewhere(layers: &BTreeMap<Digest, String>) -> Option<String> {
    const NAMED: usize = 3;
    let named: Vec<String> = layers
        .iter()
        .take(NAMED)
        .map(|(digest, vendor)| format!("layer `{digest}`, only to be had from {vendor}"))
        .collect();
    let more = match layers.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more such layers"),
    };
    (!named.is_empty()).then(|| format!("without {}{more}", named.join(", without ")))
}
