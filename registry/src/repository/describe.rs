//! Descriptions for people and scripts: tags with what they point at, manifests with what they need and whether that is
//! there. Pulls do not use this.
//!
//! Bounded: a page of tags is a page of summaries, and an index is followed through at most [`FOLLOWED`] references.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Binding, Catalog, Origin};
use crate::core::Core;
use crate::disk::threads::composed;
use crate::error::Error;
use crate::names::RequestedName;
use crate::oci::{
    Descriptor, Digest, ImageConfig, Manifest, ManifestKind, MediaType, Platform, Reference, RepositoryName, Tag,
    TagOrDigest,
};

/// How many blobs and manifests below an index are visited at most for its size and platforms.
const FOLLOWED: usize = 10_000;

/// How many platforms of a manifest are listed at most.
const PLATFORMS: usize = 100;

/// Largest config that is read for the platform, in bytes.
const MAX_CONFIG: usize = 4 * 1024 * 1024;

/// What a manifest describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A manifest in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its media type.
    pub media_type: MediaType,
    /// What it describes.
    pub kind: ContentKind,
    /// The platforms that can be pulled, as `os/architecture`.
    pub platforms: Vec<String>,
    /// Bytes of everything it needs that is stored, each blob once.
    pub size: u64,
}

/// One tag, and what it points at.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// The manifest it points at.
    pub digest: Digest,
    /// Which layer decides that.
    pub origin: Origin,
    /// What it points at, or why that cannot be read.
    pub content: Result<Summary, String>,
}

/// A page of a repository's tags, in bytewise order.
#[derive(Clone, Debug)]
pub struct TaggedPage {
    /// The tags.
    pub tags: Vec<Tagged>,
    /// The tag to continue after, when there are more.
    pub next: Option<Tag>,
}

/// A config or layer of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// The size of its file in bytes; none where there is no file.
    pub found: Option<u64>,
    /// Whether it is a non-distributable layer, which a registry need not have.
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

/// Everything about one manifest of one repository.
#[derive(Clone, Debug)]
pub struct Description {
    /// Where it is.
    pub repository: RepositoryName,
    /// Its digest.
    pub digest: Digest,
    /// Its own size in bytes.
    pub manifest_size: u64,
    /// A summary.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The repository.
    pub repository: RepositoryName,
    /// The tags.
    pub tags: Vec<Tag>,
}

/// See [`Registry::tagged`](crate::Registry::tagged).
pub(crate) async fn tagged(
    core: &Arc<Core>,
    repository: &RepositoryName,
    after: Option<&str>,
    limit: usize,
) -> Result<TaggedPage, Error> {
    let (repository, after) = (repository.clone(), after.map(str::to_owned));
    let page = core.run(async move |core| {
        let page = core.catalog.tags(&repository, after.as_deref(), limit).await?;
        let next = page.entries.last().filter(|_| page.more).cloned();
        Ok(TaggedPage { tags: looked_at(&core, &repository, page.entries).await?, next })
    });
    page.await
}

/// See [`Registry::look_at`](crate::Registry::look_at).
pub(crate) async fn look_at(
    core: &Arc<Core>,
    repository: &RepositoryName,
    tags: Vec<Tag>,
) -> Result<Vec<Tagged>, Error> {
    let repository = repository.clone();
    core.run(async move |core| looked_at(&core, &repository, tags).await).await
}

async fn looked_at(core: &Core, repository: &RepositoryName, wanted: Vec<Tag>) -> Result<Vec<Tagged>, Error> {
    let mut described: BTreeMap<Digest, Result<Summary, String>> = BTreeMap::new();
    let mut tags = Vec::with_capacity(wanted.len());
    for tag in wanted {
        let Ok(Some(Binding { digest, origin })) = core.catalog.resolve(repository, &tag).await else {
            continue;
        };
        // Most registries have several tags on one manifest: `1`, `1.2`, `latest`.
        let content = match described.get(&digest) {
            Some(known) => known.clone(),
            None => {
                let new = summary(core, repository, &digest).await;
                described.insert(digest, new.clone());
                new
            }
        };
        tags.push(Tagged { tag, digest, content, origin });
    }
    Ok(tags)
}

/// See [`Registry::locate`](crate::Registry::locate), and, for `read: false`, `locate_unread` there.
pub(crate) async fn locate(
    core: &Arc<Core>,
    name: &RequestedName,
    reference: &TagOrDigest,
    read: bool,
) -> Result<(RepositoryName, Digest), Error> {
    let (asked, wanted, core) = (name.clone(), reference.clone(), core.clone());
    let found = composed(async move || {
        for repository in asked.candidates() {
            let digest = match &wanted {
                wanted if read => core.catalog.manifest(repository, wanted).await?.map(|found| found.digest),
                TagOrDigest::Tag(tag) => core.catalog.resolve(repository, tag).await?.map(|tag| tag.digest),
                TagOrDigest::Digest(digest) => Some(*digest),
            };
            if let Some(digest) = digest
                && (read || core.catalog.names_manifest(repository, &digest).await?)
            {
                return Ok(Some((repository.clone(), digest)));
            }
        }
        Ok(None)
    });
    found.await?.ok_or_else(|| unknown(&name.path, reference))
}

/// See [`Registry::describe`](crate::Registry::describe).
pub(crate) async fn description(
    core: &Arc<Core>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Description, Error> {
    let (name, digest) = (repository.clone(), *digest);
    let described = core.run(async move |core| describe(&core, &name, &digest).await);
    described.await?.ok_or_else(|| unknown(repository, &digest))
}

fn unknown(repository: &RepositoryName, reference: &impl ToString) -> Error {
    Error::ManifestUnknown { repository: repository.clone(), reference: reference.to_string() }
}

/// See [`Registry::holders`](crate::Registry::holders).
pub(crate) async fn holders(catalog: &Catalog, digest: &Digest, limit: usize) -> Result<(Vec<Holder>, bool), Error> {
    const PAGE: usize = 1000;
    let mut found = Vec::new();
    let mut after: Option<RepositoryName> = None;
    loop {
        let page = catalog.repositories(after.as_ref().map(RepositoryName::as_str), PAGE).await?;
        for repository in &page.entries {
            if !catalog.names_manifest(repository, digest).await? {
                continue;
            }
            if found.len() == limit {
                return Ok((found, true));
            }
            let tags = catalog.tags_of(repository, digest).await?.into_iter().collect();
            found.push(Holder { repository: repository.clone(), tags });
        }
        after = page.entries.last().cloned();
        if !page.more {
            return Ok((found, false));
        }
    }
}

async fn summary(core: &Core, repository: &RepositoryName, digest: &Digest) -> Result<Summary, String> {
    match describe(core, repository, digest).await {
        Ok(Some(description)) => Ok(description.summary),
        Ok(None) => Err(format!("manifest `{digest}` is not there; ingest its bundle or push its image again")),
        Err(error) => Err(error.to_string()),
    }
}

async fn describe(core: &Core, repository: &RepositoryName, digest: &Digest) -> Result<Option<Description>, Error> {
    let Some(manifest) = core.catalog.parsed(repository, digest).await? else { return Ok(None) };
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
                    present: core.catalog.names_manifest(repository, &child.digest).await?,
                });
                continue;
            }
        };
        let found = core.blobs.sizes(&[descriptor.digest]).await?[0];
        let part = Part { descriptor: descriptor.clone(), found, foreign };
        // The config, when there is one, is the first.
        if position == 0 && manifest.config().is_some() {
            description.config = Some(part);
        } else {
            description.layers.push(part);
        }
    }
    measure(core, repository, *digest, manifest, &mut description.summary).await?;
    Ok(Some(description))
}

/// Adds up what a manifest needs that is here, through the manifests it lists, and collects its platforms.
async fn measure(
    core: &Core,
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
        let blobs: Vec<_> = manifest.blobs().map(|blob| blob.digest).filter(|blob| seen.insert(*blob)).collect();
        summary.size += core.blobs.sizes(&blobs).await?.into_iter().flatten().sum::<u64>();
        let platform = match platform {
            None if kind(&manifest) == ContentKind::Image => self::platform(core, &manifest).await,
            platform => platform,
        };
        if platforms.len() < PLATFORMS {
            platforms.extend(platform.filter(|platform| !platform.is_empty()));
        }
        for (child, platform) in manifest.children() {
            if seen.len() < FOLLOWED && seen.insert(child.digest) {
                // Attestations have no platform, which is written as `unknown`.
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
            // An absent or damaged one does not hide the others.
            let child = core.catalog.parsed(repository, &digest).await.ok().flatten();
            next = child.map(|manifest| (manifest, platform));
        }
    }
    summary.platforms = platforms.into_iter().collect();
    Ok(())
}

/// The platform in an image's config, if that can be read.
async fn platform(core: &Core, manifest: &Manifest) -> Option<String> {
    let bytes = core.blobs.read(&manifest.config()?.digest, MAX_CONFIG).await.ok()??;
    Some(ImageConfig::parse(&bytes).ok()?.platform()?.to_string())
}

fn kind(manifest: &Manifest) -> ContentKind {
    match manifest.config() {
        Some(config) if config.media_type.as_str() == MediaType::HELM_CONFIG => ContentKind::Chart,
        Some(config) if ImageConfig::is(&config.media_type) => ContentKind::Image,
        None if manifest.media_type().manifest_kind() == ManifestKind::Index => ContentKind::Index,
        None if manifest.children().next().is_some() => ContentKind::Index,
        _ => ContentKind::Artifact,
    }
}
