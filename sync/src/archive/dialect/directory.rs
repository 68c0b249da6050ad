//! skopeo's `dir:` folders, alone or in the tree that `skopeo sync` writes: `manifest.json` is the registry's own manifest
//! with the blobs beside it, so digests are kept.
//!
//! The path of a folder is its name: `registry.example/team/app:1` as `sync --scoped` writes it, or without a host as it
//! stands. A path without a tag is no name, because `skopeo copy` accepts any.

use airdock_registry::oci::{Algorithm, Digest, Manifest};
use bytes::Bytes;

use super::arrangement::Arrangement;
use super::layout::{self, Image};
use super::layout_index::Root;
use crate::archive::found::FoundName;
use crate::archive::names::{self, Names};
use crate::archive::parts::{Folder, Parts, join};
use crate::problem::{Problem, Result};

/// Signatures of one manifest that are counted.
const MAX_SIGNATURES: usize = 64;

/// Reads the image in `folder`, whose `manifest.json` has these bytes; `None` when that is not skopeo's. `path` is its name.
pub(crate) fn read(folder: &mut Folder<'_, '_>, bytes: &Bytes, path: &str) -> Result<Option<Image>> {
    let digest = Algorithm::Sha256.digest(bytes);
    let at = Arrangement::Directory { folder: folder.path, root: digest };
    let marked = folder.parts.size(&join(folder.path, "version"))?.is_some();
    let manifest = match Manifest::parse(bytes.clone(), None) {
        Ok(manifest) => manifest,
        Err(source) if marked => return Err(Problem::Manifest { digest, source }),
        Err(_) => return Ok(None),
    };
    if !marked && !has_any(folder.parts, at, &manifest)? {
        return Ok(None);
    }
    let root = Root { digest, size: None, media_type: None, names: Names::given(name(path)) };
    let mut image = layout::image(folder, at, root)?;
    let signatures = signatures(folder.parts, folder.path, &image)?;
    if signatures > 0 {
        image.found.notes.push(format!(
            "its {signatures} signature files of the kind `signature-1` are left out: a registry keeps signatures as artifacts"
        ));
    }
    Ok(Some(image))
}

/// A path as a name, if it has a version.
pub(crate) fn name(path: &str) -> Option<FoundName> {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.contains([':', '@']).then(|| names::of_path(path)).flatten()
}

/// Whether anything that the manifest names is beside it.
fn has_any(parts: &dyn Parts, at: Arrangement<'_>, manifest: &Manifest) -> Result<bool> {
    let blobs = manifest.blobs().map(|blob| at.blob(&blob.digest));
    let children = manifest.children().map(|(child, _)| at.manifest(&child.digest));
    for path in blobs.chain(children) {
        if parts.size(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The number of signatures beside the image and its platforms.
fn signatures(parts: &dyn Parts, folder: &str, image: &Image) -> Result<usize> {
    let root = image.found.root;
    let prefix = |digest: &Digest| if *digest == root { String::new() } else { format!("{}.", digest.encoded()) };
    let mut count = 0;
    for (digest, _) in &image.found.manifests {
        for number in 1..=MAX_SIGNATURES {
            if parts.size(&join(folder, &format!("{}signature-{number}", prefix(digest))))?.is_none() {
                break;
            }
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str) -> Option<String> {
        let name = name(path)?;
        Some(format!("{} {}", name.repository, name.tag.map_or_else(|| "-".into(), |tag| tag.to_string())))
    }

    #[test]
    fn the_path_of_a_folder_is_its_name() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (path, expected) in [
            ("busybox:1", Some("busybox 1")),
            ("team/app:1", Some("team/app 1")),
            ("registry.example/team/app:1", Some("registry.example/team/app 1")),
            ("media/registry.example:5000/team/app:1", Some("registry.example_5000/team/app 1")),
            ("docker.io/busybox:1", Some("docker.io/library/busybox 1")),
            ("localhost/app:1", Some("localhost/app 1")),
            ("10.0.0.1/app:1", Some("10.0.0.1/app 1")),
            ("bundle-0.93.2/app:1", Some("bundle-0.93.2/app 1")),
            (&format!("team/app@{digest}"), Some("team/app -")),
            (&format!("team/app:1@{digest}"), Some("team/app 1")),
            ("app", None),
            ("images/app", None),
            ("app:", None),
            ("app@sha256:1", None),
            ("Team/App:1", None),
            ("a//b:1", None),
            (":1", None),
            ("", None),
        ] {
            assert_eq!(said(path).as_deref(), expected, "{path}");
        }
    }
}
