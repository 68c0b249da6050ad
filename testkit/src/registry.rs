//! A registry in the test's own process, without HTTP, and short ways to change it and to look at it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName, Tag, TagOrDigest};
use airdock_registry::{
    Blob, Error, MountDraft, OnConflict, OpenError, Precedence, Provenance, PutReference, Registry, ReleaseDraft,
    ReleaseReport, Rollback, Settings,
};
use bytes::Bytes;
use tempfile::TempDir;

use crate::manifest::{descriptor, list, manifest};

/// A repository's name.
pub fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// A repository's name as a client asks for it.
pub fn asked(text: &str) -> RequestedName {
    RequestedName::bare(name(text))
}

/// A tag.
pub fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// A reference that is a tag.
pub fn by_tag(text: &str) -> TagOrDigest {
    TagOrDigest::Tag(tag(text))
}

/// A reference under which a manifest is pushed by its digest.
pub fn as_digest(manifest: &Manifest) -> PutReference {
    PutReference::Digest(digest_of(manifest), Vec::new())
}

/// The sha256 digest of `content`.
pub fn sha256(content: impl AsRef<[u8]>) -> Digest {
    Algorithm::Sha256.digest(content.as_ref())
}

/// The digest of a manifest.
pub fn digest_of(manifest: &Manifest) -> Digest {
    sha256(manifest.bytes())
}

/// An image of a config and layers, with further fields such as `,"subject":…`.
pub fn image(config: &[u8], layers: &[&[u8]], more: &str) -> Manifest {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(MediaType::IMAGE_LAYER, layer, "")).collect();
    let text = manifest(&descriptor(MediaType::IMAGE_CONFIG, config, ""), &layers, more);
    Manifest::parse(text.into(), None).unwrap()
}

/// An image of the config `{}` and one layer.
pub fn image_of(layer: impl AsRef<[u8]>) -> Manifest {
    image(b"{}", &[layer.as_ref()], "")
}

/// An index of images.
pub fn index(images: &[Manifest]) -> Manifest {
    let entries: Vec<_> =
        images.iter().map(|image| descriptor(image.media_type().as_str(), image.bytes(), "")).collect();
    Manifest::parse(list(&entries).into(), None).unwrap()
}

/// Where a push comes from.
pub fn pushed() -> Provenance {
    Provenance::Pushed { by: "a job".into() }
}

/// Where a release comes from.
pub fn bundle() -> Provenance {
    Provenance::Ingested { bundle: "a bundle".into(), release: None }
}

/// The default settings for this data folder.
pub fn settings(data: &Path) -> Settings {
    Settings { data: data.to_owned(), ..Settings::default() }
}

/// Opens a data folder. A thread of the process that had it before may hold its lock for a moment longer.
pub async fn open(data: &Path) -> Registry {
    for _ in 0..1000 {
        match Registry::open(settings(data)).await {
            Err(OpenError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the folder stays locked");
}

/// Pushes a blob; gives its digest.
pub async fn push_blob(registry: &Registry, repository: &str, content: &[u8]) -> Digest {
    let mut upload = registry.repository(name(repository)).start_upload(Algorithm::Sha256).await.unwrap();
    upload.append(Bytes::copy_from_slice(content)).await.unwrap();
    let digest = sha256(content);
    assert_eq!(upload.finish(digest).await.unwrap(), content.len() as u64);
    digest
}

/// Pushes a manifest whose blobs are there; gives its digest.
pub async fn put(
    registry: &Registry,
    repository: &str,
    reference: PutReference,
    manifest: Manifest,
) -> Result<Digest, Error> {
    let put = registry.repository(name(repository)).put_manifest(reference, manifest, pushed()).await;
    put.map(|put| put.digest)
}

/// Pushes the image of one layer under a tag; gives its digest.
pub async fn push_image(registry: &Registry, repository: &str, tags: &str, layer: &[u8]) -> Digest {
    push_blob(registry, repository, b"{}").await;
    push_blob(registry, repository, layer).await;
    put(registry, repository, PutReference::Tag(tag(tags)), image_of(layer)).await.unwrap()
}

/// The digest and the provenance of what is served for a reference, if anything is.
pub async fn served(
    registry: &Registry,
    repository: &str,
    reference: &TagOrDigest,
) -> Option<(Digest, Option<String>)> {
    match registry.manifest(&asked(repository), reference).await {
        Ok(served) => {
            let provenance = served.provenance.map(|text| String::from_utf8(text.to_vec()).unwrap());
            Some((served.digest, provenance))
        }
        Err(Error::ManifestUnknown { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The digest a tag is served with.
pub async fn tagged(registry: &Registry, repository: &str, tags: &str) -> Option<Digest> {
    served(registry, repository, &by_tag(tags)).await.map(|(digest, _)| digest)
}

/// The tags a repository lists.
pub async fn tags_of(registry: &Registry, repository: &str) -> Vec<String> {
    match registry.tags(&asked(repository), None, 1000).await {
        Ok(page) => page.tags.iter().map(ToString::to_string).collect(),
        Err(Error::NameUnknown(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// What a blob holds.
pub fn read(blob: &Blob) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(blob.size()).unwrap()];
    blob.file().read_exact_at(&mut content, blob.offset()).unwrap();
    content
}

/// Writes blobs that a release brings.
pub fn add_blobs(draft: &mut ReleaseDraft, blobs: &[&[u8]]) {
    for blob in blobs {
        let mut writer = draft.writer().unwrap();
        writer.write(blob).unwrap();
        writer.commit(Some(sha256(blob))).unwrap();
    }
}

/// Adds a manifest to a release; gives its digest.
pub fn add_manifest(draft: &mut ReleaseDraft, repository: &str, manifest: &Manifest) -> Digest {
    let digest = digest_of(manifest);
    draft.add_manifest(&name(repository), digest, manifest.clone());
    digest
}

/// Begins a mount of what is at `root`, with the config `{}` in it.
pub fn mounting(registry: &Registry, root: &Path) -> MountDraft {
    let mut draft = registry.medium(root);
    draft.hold(sha256("{}"), Bytes::from_static(b"{}"));
    draft
}

/// Adds a manifest to a mount, under a tag if one is given.
pub fn mount_manifest(draft: &mut MountDraft, repository: &str, tags: Option<&str>, manifest: &Manifest) {
    let digest = digest_of(manifest);
    draft.add_manifest(&name(repository), digest, manifest.clone());
    if let Some(tags) = tags {
        draft.add_tag(&name(repository), tag(tags), digest);
    }
}

/// Tags of a bundle: repository, tag, layer.
pub type Tags<'a> = &'a [(&'a str, &'a str, &'a str)];

/// A registry with its data folder, and room for media beside it.
pub struct Site {
    /// The registry.
    pub registry: Registry,
    /// The folder that holds the data folder.
    pub folder: TempDir,
}

impl Site {
    /// On the disk.
    pub async fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap()).await
    }

    /// In memory, where nothing is about the disk's speed.
    pub async fn in_memory() -> Self {
        Self::within(crate::folder::in_memory()).await
    }

    async fn within(folder: TempDir) -> Self {
        let registry = open(&folder.path().join("data")).await;
        Self { registry, folder }
    }

    /// A path in the data folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("data").join(below)
    }

    /// Stops, lets `harm` be done to the data folder, and starts again, with nothing mounted.
    pub async fn restart(self, harm: impl FnOnce(&Path)) -> Self {
        self.registry.close().await.unwrap();
        let Self { registry, folder } = self;
        drop(registry);
        harm(&folder.path().join("data"));
        Self::within(folder).await
    }

    /// Takes in a bundle of images; what it became.
    pub async fn ingest(&self, tags: Tags<'_>) -> ReleaseReport {
        self.try_ingest(tags, Precedence::default()).await.unwrap()
    }

    /// Takes in a bundle that changes something; its number in the log.
    pub async fn release(&self, tags: Tags<'_>) -> u64 {
        self.ingest(tags).await.id.expect("it changes something")
    }

    /// Takes in a bundle whose tags replace pushed ones.
    pub async fn replace(&self, tags: Tags<'_>) -> ReleaseReport {
        let precedence = Precedence { on_conflict: OnConflict::Replace, ..Precedence::default() };
        self.try_ingest(tags, precedence).await.unwrap()
    }

    /// Takes in a bundle of images, or says why not.
    pub async fn try_ingest(&self, tags: Tags<'_>, precedence: Precedence) -> Result<ReleaseReport, Error> {
        let mut draft = self.registry.release(bundle());
        draft.set_precedence(precedence);
        draft.set_source("a test".into(), Vec::new());
        for (repository, tags, layer) in tags {
            add_blobs(&mut draft, &[b"{}", layer.as_bytes()]);
            let digest = add_manifest(&mut draft, repository, &image_of(layer));
            draft.add_tag(&name(repository), tag(tags), digest);
        }
        draft.commit().await
    }

    /// Takes in images that have no tag: repository, layer.
    pub async fn ingest_by_digest(&self, images: &[(&str, &str)]) -> ReleaseReport {
        let mut draft = self.registry.release(bundle());
        for (repository, layer) in images {
            add_blobs(&mut draft, &[b"{}", layer.as_bytes()]);
            add_manifest(&mut draft, repository, &image_of(layer));
        }
        draft.commit().await.unwrap()
    }

    /// Pushes an image of one layer under a tag; gives its digest.
    pub async fn push(&self, repository: &str, tags: &str, layer: impl AsRef<[u8]>) -> Digest {
        push_image(&self.registry, repository, tags, layer.as_ref()).await
    }

    /// Pushes an image of one layer without a tag.
    pub async fn push_by_digest(&self, repository: &str, layer: &str) {
        for blob in ["{}", layer] {
            push_blob(&self.registry, repository, blob.as_bytes()).await;
        }
        let image = image_of(layer);
        put(&self.registry, repository, as_digest(&image), image).await.unwrap();
    }

    /// Pushes a manifest whose blobs are there under a tag; gives its digest.
    pub async fn put(&self, repository: &str, tags: &str, manifest: Manifest) -> Result<Digest, Error> {
        put(&self.registry, repository, PutReference::Tag(tag(tags)), manifest).await
    }

    /// Removes a tag, or a manifest by its digest; it need not be there.
    pub async fn delete(&self, repository: &str, reference: &TagOrDigest) {
        let _ = self.registry.repository(name(repository)).delete_manifest(reference).await;
    }

    /// Goes to a release, or to the one before.
    pub async fn roll_back(&self, to: Option<u64>) -> Rollback {
        self.registry.releases().rollback(to, "a test").await.unwrap()
    }

    /// The release in effect.
    pub async fn in_effect(&self) -> Option<u64> {
        self.registry.releases().list().await.unwrap().in_effect
    }

    /// The digest a tag is served with.
    pub async fn tag(&self, repository: &str, tags: &str) -> Option<Digest> {
        tagged(&self.registry, repository, tags).await
    }

    /// Where a tag came from.
    pub async fn provenance(&self, repository: &str, tags: &str) -> Option<String> {
        served(&self.registry, repository, &by_tag(tags)).await.map(|(_, provenance)| provenance.unwrap())
    }

    /// The tags a repository lists.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        tags_of(&self.registry, repository).await
    }

    /// Whether the image of a layer is there by its digest; a manifest without its layer is not.
    pub async fn has(&self, repository: &str, layer: &str) -> bool {
        let reference = TagOrDigest::Digest(digest_of(&image_of(layer)));
        let there = served(&self.registry, repository, &reference).await.is_some();
        let layer = self.registry.blob(&asked(repository), &sha256(layer)).await;
        assert!(layer.is_ok() || !there, "a manifest without its layer");
        there
    }

    /// A blob's content as it is served.
    pub async fn blob(&self, repository: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
        self.registry.blob(&asked(repository), &sha256(content)).await.map(|blob| read(&blob))
    }

    /// How many blobs the data folder holds.
    pub fn blobs_in_store(&self) -> usize {
        fs::read_dir(self.path("blobs/sha256")).unwrap().count()
    }

    /// Where a medium of this name is.
    pub fn medium(&self, of: &str) -> PathBuf {
        self.folder.path().join(format!("{of}.medium"))
    }

    /// Mounts one image of one layer, which is some way into a file; gives its manifest.
    pub async fn mount(&self, repository: &str, tags: &str, layer: &[u8]) -> Manifest {
        let (manifest, path) = (image_of(layer), self.medium(tags));
        fs::write(&path, [&[7; 512], layer].concat()).unwrap();
        let mut draft = mounting(&self.registry, &path);
        let file = File::open(&path).unwrap();
        draft.locate(sha256(layer), (&file, &path), (512, layer.len() as u64), false).unwrap();
        mount_manifest(&mut draft, repository, Some(tags), &manifest);
        assert_eq!(self.registry.mount(draft).await.unwrap().blobs, 2);
        manifest
    }
}
