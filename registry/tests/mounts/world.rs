//! A registry with media beside it, and images made up for them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName, TagOrDigest};
use airdock_registry::{Error, MountDraft, Provenance, PutReference, Registry, Settings};
use bytes::Bytes;

/// Larger than what is verified when it is opened.
pub(crate) const LARGE: usize = 300_000;

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn asked(text: &str) -> RequestedName {
    RequestedName::bare(name(text))
}

pub(crate) fn by_tag(text: &str) -> TagOrDigest {
    TagOrDigest::Tag(text.parse().unwrap())
}

pub(crate) fn descriptor(kind: &str, content: &[u8]) -> String {
    let digest = Algorithm::Sha256.digest(content);
    format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#, content.len())
}

pub(crate) fn image(layer: &[u8], extra: &str) -> Manifest {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]{extra}}}"#,
        MediaType::IMAGE_MANIFEST,
        descriptor(MediaType::IMAGE_CONFIG, b"{}"),
        descriptor(MediaType::IMAGE_LAYER, layer)
    );
    Manifest::parse(text.into(), None).unwrap()
}

pub(crate) fn digest_of(manifest: &Manifest) -> Digest {
    Algorithm::Sha256.digest(manifest.bytes())
}

/// A data folder and a medium beside it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Self::open(folder.path()).await;
        Self { folder, registry }
    }

    pub(crate) async fn open(folder: &Path) -> Registry {
        Registry::open(Settings { data: folder.join("data"), ..Settings::default() }).await.unwrap()
    }

    /// The same folder, with nothing mounted.
    pub(crate) async fn restart(self) -> Self {
        self.registry.close().await.unwrap();
        let Self { folder, registry } = self;
        drop(registry);
        let registry = Self::open(folder.path()).await;
        Self { folder, registry }
    }

    pub(crate) fn medium(&self, of: &str) -> PathBuf {
        self.folder.path().join(format!("{of}.medium"))
    }

    /// Mounts one image of one layer, which lies some way into a file.
    pub(crate) async fn mount(&self, repository: &str, tag: &str, layer: &[u8]) -> Manifest {
        let manifest = image(layer, "");
        let path = self.medium(tag);
        fs::write(&path, [&[7; 512], layer].concat()).unwrap();
        let mut draft = MountDraft::new(&path);
        let digest = Algorithm::Sha256.digest(layer);
        let file = File::open(&path).unwrap();
        draft.locate(digest, (&file, &path), (512, layer.len() as u64), false).unwrap();
        draft.hold(Algorithm::Sha256.digest(b"{}"), Bytes::from_static(b"{}"));
        draft.add_manifest(&name(repository), digest_of(&manifest), manifest.clone());
        draft.add_tag(&name(repository), tag.parse().unwrap(), digest_of(&manifest));
        let mounted = self.registry.mount(draft).await.unwrap();
        assert_eq!(mounted.blobs, 2);
        manifest
    }

    pub(crate) async fn push(&self, repository: &str, tag: &str, layer: &[u8]) -> Result<Digest, Error> {
        for content in [layer, b"{}"] {
            let repository = self.registry.repository(name(repository));
            let mut upload = repository.start_upload(Algorithm::Sha256).await.unwrap();
            upload.append(Bytes::copy_from_slice(content)).await.unwrap();
            upload.finish(Algorithm::Sha256.digest(content)).await.unwrap();
        }
        self.put(repository, tag, image(layer, "")).await
    }

    pub(crate) async fn put(&self, repository: &str, tag: &str, manifest: Manifest) -> Result<Digest, Error> {
        let by = Provenance::Pushed { by: "a test".into() };
        let reference = PutReference::Tag(tag.parse().unwrap());
        let put = self.registry.repository(name(repository)).put_manifest(reference, manifest, by).await;
        put.map(|put| put.digest)
    }

    pub(crate) async fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.registry.manifest(&asked(repository), &by_tag(tag)).await.ok().map(|served| served.digest)
    }

    pub(crate) async fn blob(&self, repository: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
        use std::os::unix::fs::FileExt;
        let blob = self.registry.blob(&asked(repository), &Algorithm::Sha256.digest(content)).await?;
        let mut found = vec![0; usize::try_from(blob.size()).unwrap()];
        blob.file().read_exact_at(&mut found, blob.offset()).unwrap();
        Ok(found)
    }

    pub(crate) fn blobs_in_store(&self) -> usize {
        fs::read_dir(self.folder.path().join("data/blobs/sha256")).unwrap().count()
    }
}

pub(crate) fn layer(seed: u8) -> Vec<u8> {
    (0..LARGE).map(|at| (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8).collect()
}
