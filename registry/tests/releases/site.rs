//! A registry in a folder, and short ways to change it and to look at it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName, Tag, TagOrDigest};
use airdock_registry::{
    Error, OnConflict, OpenError, Precedence, Provenance, PutReference, Registry, ReleaseDraft, ReleaseReport,
    Settings, TagOutcome,
};
use bytes::Bytes;
use tempfile::TempDir;

/// Tags of a bundle: repository, tag, content.
pub(crate) type Tags<'a> = &'a [(&'a str, &'a str, &'a str)];

/// A registry, and the folder it is in.
pub(crate) struct Site {
    pub(crate) registry: Registry,
    folder: TempDir,
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// An image that holds `content`.
pub(crate) fn image(content: &str) -> Manifest {
    let descriptor = |kind: &str, content: &str| {
        let digest = Algorithm::Sha256.digest(content.as_bytes());
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#, content.len())
    };
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        MediaType::IMAGE_MANIFEST,
        descriptor(MediaType::IMAGE_CONFIG, "{}"),
        descriptor(MediaType::IMAGE_LAYER, content)
    );
    Manifest::parse(text.into(), None).unwrap()
}

/// An index of images.
pub(crate) fn index(contents: &[&str]) -> Manifest {
    let entry = |content: &&str| {
        let size = image(content).bytes().len();
        format!(r#"{{"mediaType":"{}","digest":"{}","size":{size}}}"#, MediaType::IMAGE_MANIFEST, digest(content))
    };
    let entries: Vec<_> = contents.iter().map(entry).collect();
    let kind = MediaType::IMAGE_INDEX;
    Manifest::parse(
        format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{}]}}"#, entries.join(",")).into(),
        None,
    )
    .unwrap()
}

pub(crate) fn digest(content: &str) -> Digest {
    Algorithm::Sha256.digest(image(content).bytes())
}

impl Site {
    pub(crate) async fn new() -> Self {
        // A folder in memory where there is one: nothing here is about the disk's speed.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let registry = open(folder.path()).await;
        Self { registry, folder }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Stops, lets `harm` be done to the folder, and starts again.
    pub(crate) async fn restart(self, harm: impl FnOnce(&Path)) -> Self {
        let Self { registry, folder } = self;
        registry.close().await.unwrap();
        drop(registry);
        harm(folder.path());
        Self { registry: open(folder.path()).await, folder }
    }

    /// Takes in a bundle of images; what it became.
    pub(crate) async fn ingest(&self, tags: Tags<'_>) -> ReleaseReport {
        self.try_ingest(tags, Precedence::default()).await.unwrap()
    }

    /// Its number in the log.
    pub(crate) async fn release(&self, tags: Tags<'_>) -> u64 {
        self.ingest(tags).await.id.expect("it changes something")
    }

    pub(crate) async fn replace(&self, tags: Tags<'_>) -> ReleaseReport {
        let precedence = Precedence { on_conflict: OnConflict::Replace, ..Precedence::default() };
        self.try_ingest(tags, precedence).await.unwrap()
    }

    pub(crate) async fn try_ingest(&self, tags: Tags<'_>, precedence: Precedence) -> Result<ReleaseReport, Error> {
        let mut draft = self.registry.release(Provenance::Ingested { bundle: "a bundle".into(), release: None });
        draft.set_precedence(precedence);
        draft.set_source("a test".into(), Vec::new());
        for (repository, tags, content) in tags {
            add_image(&mut draft, repository, content);
            draft.add_tag(&name(repository), tag(tags), digest(content));
        }
        draft.commit().await
    }

    /// Takes in images that have no tag: repository, content.
    pub(crate) async fn ingest_by_digest(&self, images: &[(&str, &str)]) -> ReleaseReport {
        let mut draft = self.registry.release(Provenance::Ingested { bundle: "a bundle".into(), release: None });
        for (repository, content) in images {
            add_image(&mut draft, repository, content);
        }
        draft.commit().await.unwrap()
    }

    pub(crate) async fn push(&self, repository: &str, tags: &str, content: &str) {
        self.push_blobs(repository, content).await;
        self.put(repository, PutReference::Tag(tag(tags)), image(content)).await;
    }

    pub(crate) async fn push_by_digest(&self, repository: &str, content: &str) {
        self.push_blobs(repository, content).await;
        self.put(repository, PutReference::Digest(digest(content), Vec::new()), image(content)).await;
    }

    pub(crate) async fn put(&self, repository: &str, reference: PutReference, manifest: Manifest) {
        let by = Provenance::Pushed { by: "a job".into() };
        self.registry.repository(name(repository)).put_manifest(reference, manifest, by).await.unwrap();
    }

    async fn push_blobs(&self, repository: &str, content: &str) {
        for blob in ["{}", content] {
            let mut upload = self.registry.repository(name(repository)).start_upload(Algorithm::Sha256).await.unwrap();
            upload.append(Bytes::copy_from_slice(blob.as_bytes())).await.unwrap();
            upload.finish(Algorithm::Sha256.digest(blob.as_bytes())).await.unwrap();
        }
    }

    /// Removes a tag; it need not be there.
    pub(crate) async fn delete(&self, repository: &str, tags: &str) {
        let _ = self.registry.repository(name(repository)).delete_manifest(&TagOrDigest::Tag(tag(tags))).await;
    }

    /// Removes a manifest; it need not be there.
    pub(crate) async fn delete_digest(&self, repository: &str, content: &str) {
        let reference = TagOrDigest::Digest(digest(content));
        let _ = self.registry.repository(name(repository)).delete_manifest(&reference).await;
    }

    pub(crate) async fn roll_back(&self, to: Option<u64>) -> airdock_registry::Rollback {
        self.registry.releases().rollback(to, "a test").await.unwrap()
    }

    pub(crate) async fn in_effect(&self) -> Option<u64> {
        self.registry.releases().list().await.unwrap().in_effect
    }

    /// The digest a tag is served with.
    pub(crate) async fn served(&self, repository: &str, tags: &str) -> Option<Digest> {
        self.get(repository, &TagOrDigest::Tag(tag(tags))).await.map(|(digest, _)| digest)
    }

    /// Where a tag came from.
    pub(crate) async fn provenance(&self, repository: &str, tags: &str) -> Option<String> {
        self.get(repository, &TagOrDigest::Tag(tag(tags))).await.map(|(_, provenance)| provenance.unwrap())
    }

    /// Whether the image of `content` is there by its digest, and whether the lists agree.
    pub(crate) async fn has(&self, repository: &str, content: &str) -> bool {
        let there = self.get(repository, &TagOrDigest::Digest(digest(content))).await.is_some();
        let layer = Algorithm::Sha256.digest(content.as_bytes());
        let layer = self.registry.blob(&RequestedName::bare(name(repository)), &layer).await;
        assert!(layer.is_ok() || !there, "a manifest without its layer");
        there
    }

    async fn get(&self, repository: &str, reference: &TagOrDigest) -> Option<(Digest, Option<String>)> {
        match self.registry.manifest(&RequestedName::bare(name(repository)), reference).await {
            Ok(served) => {
                let provenance = served.provenance.map(|text| String::from_utf8(text.to_vec()).unwrap());
                Some((served.digest, provenance))
            }
            Err(Error::ManifestUnknown { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The tags a repository lists.
    pub(crate) async fn tags(&self, repository: &str) -> Vec<String> {
        match self.registry.tags(&RequestedName::bare(name(repository)), None, 1000).await {
            Ok(page) => page.tags.iter().map(ToString::to_string).collect(),
            Err(Error::NameUnknown(_)) => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn add_image(draft: &mut ReleaseDraft, repository: &str, content: &str) {
    for blob in ["{}", content] {
        let mut writer = draft.writer().unwrap();
        writer.write(blob.as_bytes()).unwrap();
        writer.commit(None).unwrap();
    }
    draft.add_manifest(&name(repository), digest(content), image(content));
}

async fn open(data: &Path) -> Registry {
    // A thread of the one before may be on its way out.
    for _ in 0..1000 {
        match Registry::open(Settings { data: data.to_owned(), ..Settings::default() }).await {
            Err(OpenError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the folder is never let go of");
}

/// The tags that were kept, by name.
pub(crate) fn kept(tags: &[TagOutcome]) -> Vec<String> {
    tags.iter().filter_map(TagOutcome::kept).map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
}
