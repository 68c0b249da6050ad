//! What is here, described: every tag with what it points at, every manifest with what it needs and whether that is
//! there. For people and their scripts; no pull goes through here.
//!
//! Bounded: a page of tags is a page of summaries, and an index is followed through at most [`FOLLOWED`] references.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use serde::Deserialize;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::names::RequestedName;
use crate::oci::{Descriptor, Digest, Manifest, MediaType, Platform, Reference, RepositoryName, Tag, TagOrDigest};
use crate::registry::{Registry, Shared, blocking};
use crate::store::{Provenance, TagLink};

use super::lists::merged;

/// Blobs and manifests below one up to which further manifests are looked at for its size and platforms.
const FOLLOWED: usize = 10_000;

/// Platforms named of one manifest.
const PLATFORMS: usize = 100;

/// Largest config read to tell the platform, in bytes.
const MAX_CONFIG: usize = 4 * 1024 * 1024;

/// What a manifest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentKind {
    /// A container image of one platform.
    Image,
    /// Several manifests, mostly one for each platform.
    Index,
    /// A Helm chart.
    Chart,
    /// Anything else: signatures, bills of materials, files.
    Artifact,
}

/// What fits into one line about a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its media type.
    pub media_type: MediaType,
    /// What it is of.
    pub kind: ContentKind,
    /// The platforms that can be pulled, as `os/architecture`.
    pub platforms: Vec<String>,
    /// Bytes of everything it needs that is here, each blob once.
    pub size: u64,
}

/// Why a tag points where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOrigin {
    /// Its link: since which change and from whom.
    Linked(TagLink),
    /// A medium that is served in place, by its name.
    Mounted(String),
}

/// One tag, where it points, and what is there.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// The manifest it points at.
    pub digest: Digest,
    /// Who says so.
    pub origin: TagOrigin,
    /// What it points at, or a sentence on why that cannot be read.
    pub content: Result<Summary, String>,
}

/// Some of a repository's tags, in bytewise order.
#[derive(Clone, Debug)]
pub struct TaggedPage {
    /// The tags.
    pub tags: Vec<Tagged>,
    /// The tag to go on after, when there are more.
    pub next: Option<Tag>,
}

/// A config or layer of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// The size of its file in bytes; none where there is no file.
    pub found: Option<u64>,
    /// Whether a registry need not have it: a non-distributable layer.
    pub foreign: bool,
}

/// A manifest an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the index says of it.
    pub descriptor: Descriptor,
    /// Its platform, if the index says so and it has one.
    pub platform: Option<String>,
    /// Whether it is in the repository.
    pub present: bool,
}

/// All there is to say of one manifest of one repository.
#[derive(Clone, Debug)]
pub struct Description {
    /// Where it is.
    pub repository: RepositoryName,
    /// Its digest.
    pub digest: Digest,
    /// Its own size in bytes.
    pub manifest_size: u64,
    /// In one line.
    pub summary: Summary,
    /// The type a referrers list gives it.
    pub artifact_type: Option<String>,
    /// The config, when it has one.
    pub config: Option<Part>,
    /// Its layers, in order.
    pub layers: Vec<Part>,
    /// The manifests it lists, in order.
    pub manifests: Vec<Listed>,
    /// Its own annotations.
    pub annotations: BTreeMap<String, String>,
    /// The manifest it is about.
    pub subject: Option<Digest>,
}

/// A repository that has a manifest, and the tags that point at it there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Place {
    /// The repository.
    pub repository: RepositoryName,
    /// The tags.
    pub tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl Registry {
    /// Up to `limit` tags after `after` of exactly this repository, with what they point at. A tag that is removed
    /// meanwhile, or whose link is damaged, is passed over; `airdock verify` names the latter.
    ///
    /// # Errors
    /// When the disk or the metadata fails.
    pub async fn tagged(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<TaggedPage, Error> {
        let (repository, after) = (repository.clone(), after.map(str::to_owned));
        let page = self.0.read(move |shared, metadata| {
            let page = metadata.tags(&repository, after.as_deref(), limit)?;
            let (names, more) = merged(page, shared.mounts.tags(&repository, after.as_deref()), limit);
            let next = names.last().filter(|_| more).cloned();
            let mut described: BTreeMap<Digest, Result<Summary, String>> = BTreeMap::new();
            let mut tags = Vec::with_capacity(names.len());
            for tag in names {
                let Ok(Some((digest, origin))) = shared.target(&repository, &tag) else { continue };
                // Most registries have several tags on one manifest: `1`, `1.2`, `latest`.
                let content = described.entry(digest).or_insert_with(|| shared.summary(&repository, &digest));
                tags.push(Tagged { tag, digest, content: content.clone(), origin });
            }
            Ok(TaggedPage { tags, next })
        });
        page.await
    }

    /// Which manifest of which repository a name and a reference mean: what a pull would give.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn locate(
        &self,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<(RepositoryName, Digest), Error> {
        for repository in name.candidates(&self.0.settings.names) {
            if let Some(found) = self.0.manifest(&repository, reference).await? {
                return Ok((repository, found.digest));
            }
        }
        Err(Error::ManifestUnknown { repository: name.path.clone(), reference: reference.to_string() })
    }

    /// As [`Registry::locate`], by the links alone: the manifest itself may be damaged.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn locate_unread(
        &self,
        name: &RequestedName,
        reference: &TagOrDigest,
    ) -> Result<(RepositoryName, Digest), Error> {
        let candidates = name.candidates(&self.0.settings.names).collect::<Vec<_>>();
        let (shared, wanted) = (self.0.clone(), reference.clone());
        let found = blocking(move || {
            for repository in candidates {
                let digest = match &wanted {
                    TagOrDigest::Tag(tag) => shared.target(&repository, tag)?.map(|(digest, _)| digest),
                    TagOrDigest::Digest(digest) => Some(*digest),
                };
                if let Some(digest) = digest
                    && shared.has(&repository, &digest)?
                {
                    return Ok(Some((repository, digest)));
                }
            }
            Ok(None)
        });
        let unknown = || Error::ManifestUnknown { repository: name.path.clone(), reference: reference.to_string() };
        found.await?.ok_or_else(unknown)
    }

    /// Everything about a manifest of exactly this repository.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; when the disk fails.
    pub async fn describe(&self, repository: &RepositoryName, digest: &Digest) -> Result<Description, Error> {
        let (repository, digest) = (repository.clone(), *digest);
        let described = self.0.read(move |shared, _| {
            shared
                .describe(&repository, &digest)?
                .ok_or_else(|| Error::ManifestUnknown { repository: repository.clone(), reference: digest.to_string() })
        });
        described.await
    }

    /// Why a tag of exactly this repository points where it does.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn tag_origin(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagOrigin>, Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.0.read(move |shared, _| Ok(shared.target(&repository, &tag)?.map(|(_, origin)| origin))).await
    }

    /// The repositories that have a manifest, up to `limit` of them, with their tags that point at it; and whether there
    /// are more.
    ///
    /// # Errors
    /// When the metadata fails.
    pub async fn places(&self, digest: &Digest, limit: usize) -> Result<(Vec<Place>, bool), Error> {
        let digest = *digest;
        self.0.read(move |shared, metadata| places(metadata, shared.mounts.places(&digest), &digest, limit)).await
    }
}

fn places(
    metadata: &Metadata,
    mut mounted: BTreeMap<RepositoryName, BTreeSet<Tag>>,
    digest: &Digest,
    limit: usize,
) -> Result<(Vec<Place>, bool), Error> {
    const PAGE: usize = 1000;
    let mut found = Vec::new();
    let mut after: Option<RepositoryName> = None;
    loop {
        let (names, more) = metadata.repositories(after.as_ref().map(RepositoryName::as_str), PAGE)?;
        for repository in &names {
            if !metadata.has_manifest(repository, digest)? {
                continue;
            }
            if found.len() == limit {
                return Ok((found, true));
            }
            let mut tags = mounted.remove(repository).unwrap_or_default();
            tags.extend(metadata.tags_of(repository, digest)?);
            found.push(Place { repository: repository.clone(), tags: tags.into_iter().collect() });
        }
        after = names.last().cloned();
        if !more {
            break;
        }
    }
    found.extend(mounted.into_iter().map(|(repository, tags)| Place { repository, tags: tags.into_iter().collect() }));
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

impl Shared {
    /// Where a tag points for a pull, and why.
    pub(super) fn target(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<(Digest, TagOrigin)>, Error> {
        let link = self.tag_link(repository, tag)?;
        let linked = |link: TagLink| (link.digest, TagOrigin::Linked(link));
        match link {
            Some(link) if matches!(link.provenance, Provenance::Pushed { .. }) => Ok(Some(linked(link))),
            link => {
                let mounted = self.mounts.tag_and_medium(repository, tag);
                Ok(mounted.map(|(digest, name)| (digest, TagOrigin::Mounted(name))).or(link.map(linked)))
            }
        }
    }

    /// The whole of a small blob of this repository, from the store or from a medium, checked against its digest.
    pub(super) fn small_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.store.blobs.read(digest, limit)? {
            return Ok(Some(bytes));
        }
        for place in self.mounts.blobs(repository, digest) {
            let blob = place.open()?;
            if blob.size() > limit as u64 {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(blob.size()).unwrap_or(limit)];
            let read = std::os::unix::fs::FileExt::read_exact_at(blob.file(), &mut bytes, blob.offset());
            read.map_err(|error| place.unreadable(&error))?;
            if digest.algorithm().digest(&bytes) == *digest {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    /// The size of a blob's file, or of its place on a medium.
    fn size_found(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, Error> {
        let mounted = || self.mounts.blobs(repository, digest).first().map(|place| place.size());
        Ok(self.store.blobs.size(digest)?.or_else(mounted))
    }

    fn summary(&self, repository: &RepositoryName, digest: &Digest) -> Result<Summary, String> {
        match self.describe(repository, digest) {
            Ok(Some(description)) => Ok(description.summary),
            Ok(None) => Err(format!("manifest `{digest}` is not there; ingest its bundle or push its image again")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A manifest of this repository, read and checked.
    pub(super) fn parsed(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Manifest>, Error> {
        match self.find_manifest(repository, digest)? {
            Some(found) => Ok(Some(Manifest::parse(found.bytes, Some(found.media_type))?)),
            None => Ok(None),
        }
    }

    fn has(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let linked = self.store.links.manifest(repository, digest)?.is_some();
        Ok(linked || self.mounts.manifest(repository, digest).is_some())
    }

    fn describe(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Description>, Error> {
        let Some(manifest) = self.parsed(repository, digest)? else { return Ok(None) };
        let mut description = Description {
            repository: repository.clone(),
            digest: *digest,
            manifest_size: manifest.bytes().len() as u64,
            summary: Summary {
                media_type: manifest.media_type().clone(),
                kind: kind(&manifest),
                platforms: Vec::new(),
                size: 0,
            },
            artifact_type: manifest.artifact_type().map(str::to_owned),
            config: None,
            layers: Vec::new(),
            manifests: Vec::new(),
            annotations: manifest.annotations().cloned().unwrap_or_default(),
            subject: manifest.subject().map(|subject| subject.digest),
        };
        for (position, reference) in manifest.references().iter().enumerate() {
            let (descriptor, foreign) = match reference {
                Reference::Blob(blob) => (blob, false),
                Reference::ForeignBlob(blob) => (blob, true),
                Reference::Manifest(child, platform) => {
                    let platform = platform.as_ref().filter(|platform| platform.os != "unknown");
                    description.manifests.push(Listed {
                        descriptor: child.clone(),
                        platform: platform.map(ToString::to_string),
                        present: self.has(repository, &child.digest)?,
                    });
                    continue;
                }
            };
            let found = self.size_found(repository, &descriptor.digest)?;
            let part = Part { descriptor: descriptor.clone(), found, foreign };
            // The config, when there is one, is the first.
            if position == 0 && manifest.config().is_some() {
                description.config = Some(part);
            } else {
                description.layers.push(part);
            }
        }
        self.measure(repository, *digest, manifest, &mut description.summary)?;
        Ok(Some(description))
    }

    /// Adds up what a manifest needs that is here, through the manifests it lists, and collects its platforms.
    fn measure(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        manifest: Manifest,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        let mut seen = HashSet::from([digest]);
        let mut platforms = BTreeSet::new();
        // Digests, not manifests: those are read one at a time.
        let mut open: Vec<(Digest, Option<String>)> = Vec::new();
        let mut next = Some((manifest, None));
        while let Some((manifest, platform)) = next {
            summary.size += manifest.bytes().len() as u64;
            for blob in manifest.blobs() {
                if seen.insert(blob.digest) {
                    summary.size += self.size_found(repository, &blob.digest)?.unwrap_or(0);
                }
            }
            let platform = match platform {
                None if kind(&manifest) == ContentKind::Image => self.platform(repository, &manifest),
                platform => platform,
            };
            if platforms.len() < PLATFORMS {
                platforms.extend(platform.filter(|platform| !platform.is_empty()));
            }
            for (child, platform) in manifest.children() {
                if seen.len() < FOLLOWED && seen.insert(child.digest) {
                    // Attestations are of no platform, which is written so.
                    let shown = |platform: &Platform| {
                        if platform.os == "unknown" { String::new() } else { platform.to_string() }
                    };
                    open.push((child.digest, platform.map(shown)));
                }
            }
            next = None;
            while next.is_none()
                && let Some((digest, platform)) = open.pop()
            {
                // One that is absent or damaged does not hide the others.
                next = self.parsed(repository, &digest).ok().flatten().map(|manifest| (manifest, platform));
            }
        }
        summary.platforms = platforms.into_iter().collect();
        Ok(())
    }

    /// What an image's config says it runs on. A config that cannot be read says nothing.
    fn platform(&self, repository: &RepositoryName, manifest: &Manifest) -> Option<String> {
        let config = manifest.config()?;
        let bytes = self.small_blob(repository, &config.digest, MAX_CONFIG).ok()??;
        let ImageConfig { os, architecture, variant } = serde_json::from_slice(&bytes).ok()?;
        let parts: Vec<_> = [os, architecture, variant].into_iter().filter(|part| !part.is_empty()).collect();
        (parts.len() >= 2).then(|| parts.join("/"))
    }
}

fn kind(manifest: &Manifest) -> ContentKind {
    match manifest.config().map(|config| config.media_type.as_str()) {
        Some(MediaType::HELM_CONFIG) => ContentKind::Chart,
        Some(MediaType::IMAGE_CONFIG | DOCKER_CONFIG) => ContentKind::Image,
        None if manifest.children().next().is_some() || is_index(manifest) => ContentKind::Index,
        _ => ContentKind::Artifact,
    }
}

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

fn is_index(manifest: &Manifest) -> bool {
    manifest.media_type().manifest_kind() == crate::oci::ManifestKind::Index
}
