//! Which manifests, blobs and tags a repository has, as link files.
//!
//! A link to a manifest is written only after the manifest and everything it names is there, a tag's link after that;
//! removing goes the other way round. The callers keep that order; this room only keeps each link whole.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::durable::Batch;
use super::error::{Context, StoreError, absent_is_none};
use super::layout::{self, Layout};
use super::link::{self, BlobLink, ManifestLink, TagLink};
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

/// Largest link file read, in bytes; ours have a few hundred.
const MAX_LINK: u64 = 64 * 1024;

/// Reads the links of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    layout: Layout,
}

impl Links {
    pub(crate) const fn new(layout: Layout) -> Self {
        Self { layout }
    }

    pub(crate) fn tag(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<TagLink>, StoreError> {
        read(&self.layout.tag_link(name, tag))
    }

    pub(crate) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<ManifestLink>, StoreError> {
        read(&self.layout.manifest_link(name, digest))
    }

    /// The size, in bytes, of a blob that was pushed to or mounted in a repository.
    pub(crate) fn blob_size(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let link: Option<BlobLink> = read(&self.layout.blob_link(name, digest))?;
        Ok(link.map(|link| link.size))
    }

    /// The tags of a repository, in no order.
    pub(crate) fn tags(&self, name: &RepositoryName) -> Result<Vec<Tag>, StoreError> {
        list(&self.layout.tag_links(name), |file| file.parse().ok())
    }

    /// The manifests of a repository, in no order.
    pub(crate) fn manifests(&self, name: &RepositoryName) -> Result<Vec<Digest>, StoreError> {
        digests(|algorithm| self.layout.manifest_links(name, algorithm))
    }

    /// The blobs pushed to or mounted in a repository, in no order.
    pub(crate) fn blobs(&self, name: &RepositoryName) -> Result<Vec<Digest>, StoreError> {
        digests(|algorithm| self.layout.blob_links(name, algorithm))
    }

    /// Every repository that has a folder of links, in no order. Walks the tree: for rebuilding only.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>, StoreError> {
        let root = self.layout.repositories();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let mut is_repository = false;
            for entry in fs::read_dir(&folder).on("list", &folder)? {
                let entry = entry.on("list", &folder)?;
                // Links into other places are none of ours.
                if !entry.file_type().on("look at", &entry.path())?.is_dir() {
                    continue;
                }
                let file_name = entry.file_name();
                match file_name.to_str() {
                    Some(layout::MANIFESTS | layout::BLOBS | layout::TAGS) => is_repository = true,
                    _ => folders.push(entry.path()),
                }
            }
            let name = folder.strip_prefix(&root).ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
            if let (true, Some(name)) = (is_repository, name) {
                found.push(name);
            }
        }
        Ok(found)
    }

    pub(crate) fn link_manifest(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        digest: &Digest,
        manifest: &ManifestLink,
    ) -> Result<(), StoreError> {
        batch.write(&self.layout.manifest_link(name, digest), &link::render(manifest))
    }

    pub(crate) fn link_blob(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        batch.write(&self.layout.blob_link(name, digest), &link::render(&BlobLink { size }))
    }

    pub(crate) fn link_tag(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        tag: &Tag,
        target: &TagLink,
    ) -> Result<(), StoreError> {
        batch.write(&self.layout.tag_link(name, tag), &link::render(target))
    }

    pub(crate) fn unlink_manifest(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        batch.remove(&self.layout.manifest_link(name, digest))
    }

    pub(crate) fn unlink_blob(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        batch.remove(&self.layout.blob_link(name, digest))
    }

    pub(crate) fn unlink_tag(
        &self,
        batch: &mut Batch<'_>,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<bool, StoreError> {
        batch.remove(&self.layout.tag_link(name, tag))
    }
}

/// Reads one link file; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(file) = absent_is_none(fs::File::open(path)).on("open", path)? else { return Ok(None) };
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_LINK), &mut text).on("read", path)?;
    link::parse(&text, path).map(Some)
}

fn digests(folder: impl Fn(Algorithm) -> std::path::PathBuf) -> Result<Vec<Digest>, StoreError> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        found.extend(list(&folder(algorithm), |file| Digest::from_str(&format!("{algorithm}:{file}")).ok())?);
    }
    Ok(found)
}

/// The entries of a folder that `parse` knows; others (an editor's backup, `lost+found`) are not ours and are passed
/// over.
fn list<T>(folder: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let Some(entries) = absent_is_none(fs::read_dir(folder)).on("list", folder)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.on("list", folder)?.file_name();
        found.extend(name.to_str().and_then(&parse));
    }
    Ok(found)
}
