//! Link files: which manifests, blobs and tags a repository has. They are the truth; the index is derived from them.
//!
//! The order in which links are written is `commit`'s; here each link is written whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::catalog::binding::TagLink;
use crate::disk::{BLOBS, Context, DiskError, Layout, MANIFESTS, TAGS, absent_is_none, read};
use crate::oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};

/// A manifest is in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestLink {
    /// The type it was pushed with and is served with.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Whether an ingest linked it and no client pushed it since: only then may the end of its release unlink it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ingested: bool,
}

/// A blob was pushed to or mounted in a repository.
#[derive(Serialize, Deserialize)]
pub(super) struct BlobLink {
    /// Its size in bytes.
    pub(super) size: u64,
}

/// Which link of a repository.
#[derive(Clone, Copy)]
pub(crate) enum Link<'a> {
    Blob(&'a Digest),
    Manifest(&'a Digest),
    Tag(&'a Tag),
}

/// The links of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(super) layout: Layout,
}

impl Links {
    pub(crate) fn tag(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<TagLink>, DiskError> {
        read(&self.path(name, Link::Tag(tag)))
    }

    pub(crate) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<ManifestLink>, DiskError> {
        read(&self.path(name, Link::Manifest(digest)))
    }

    /// The size, in bytes, of a blob that was pushed to or mounted in a repository.
    pub(crate) fn blob_size(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>, DiskError> {
        let link: Option<BlobLink> = read(&self.path(name, Link::Blob(digest)))?;
        Ok(link.map(|link| link.size))
    }

    /// The tags of a repository, in no order, read as they are asked for.
    pub(crate) fn tags(&self, name: &RepositoryName) -> Result<impl Listed<Tag> + use<>, DiskError> {
        list(self.layout.tag_links(name), |file| file.parse().ok())
    }

    /// The manifests of a repository, in no order, read as they are asked for.
    pub(crate) fn manifests(&self, name: &RepositoryName) -> Result<impl Listed<Digest> + use<>, DiskError> {
        self.digests(name, MANIFESTS)
    }

    /// The blobs pushed to or mounted in a repository, in no order, read as they are asked for.
    pub(crate) fn blobs(&self, name: &RepositoryName) -> Result<impl Listed<Digest> + use<>, DiskError> {
        self.digests(name, BLOBS)
    }

    /// Every repository that has a folder of links, in no order. Walks the tree: for rebuilding only.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>, DiskError> {
        let root = self.layout.repositories();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let mut is_repository = false;
            for entry in fs::read_dir(&folder).on("list", &folder)? {
                let entry = entry.on("list", &folder)?;
                // Symbolic links are not ours.
                if !entry.file_type().on("look at", &entry.path())?.is_dir() {
                    continue;
                }
                let file_name = entry.file_name();
                match file_name.to_str() {
                    Some(MANIFESTS | BLOBS | TAGS) => is_repository = true,
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

    /// The file of a link.
    pub(super) fn path(&self, name: &RepositoryName, link: Link<'_>) -> PathBuf {
        match link {
            Link::Blob(digest) => self.layout.digest_link(name, BLOBS, digest),
            Link::Manifest(digest) => self.layout.digest_link(name, MANIFESTS, digest),
            Link::Tag(tag) => self.layout.tag_link(name, tag),
        }
    }

    fn digests(&self, name: &RepositoryName, links: &str) -> Result<impl Listed<Digest> + use<>, DiskError> {
        let of = |algorithm: Algorithm| {
            let parse = move |file: &str| format!("{algorithm}:{file}").parse::<Digest>().ok();
            list(self.layout.digest_links(name, links, algorithm), parse)
        };
        let all = Algorithm::ALL.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().flatten())
    }
}

/// What a folder lists. A repository may have any number of links: only those that are being worked on are in memory.
pub(crate) trait Listed<T>: Iterator<Item = Result<T, DiskError>> {}

impl<T, I: Iterator<Item = Result<T, DiskError>>> Listed<T> for I {}

/// The entries of a folder that `parse` knows. Others (an editor's backup, `lost+found`) are not ours and are skipped.
fn list<T>(folder: PathBuf, parse: impl Fn(&str) -> Option<T>) -> Result<impl Listed<T>, DiskError> {
    // A symbolic link is not followed: what it leads to is not ours.
    let found = absent_is_none(fs::symlink_metadata(&folder)).on("look at", &folder)?;
    let is_ours = found.is_some_and(|found| found.is_dir());
    let entries = if is_ours { absent_is_none(fs::read_dir(&folder)).on("list", &folder)? } else { None };
    let known = move |entry: io::Result<fs::DirEntry>| match entry.on("list", &folder) {
        Ok(entry) => entry.file_name().to_str().and_then(&parse).map(Ok),
        Err(error) => Some(Err(error)),
    };
    Ok(entries.into_iter().flatten().filter_map(known))
}
