//! A registry to ingest into, and archives in the exact layouts of the tools that write them.

mod image;
mod remote;
mod signer;
mod tarball;

use std::cell::RefCell;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Digest, Manifest, TagOrDigest};
use airdock_registry::{
    Provenance, PutReference, Registry, ReleaseSignature, ServedManifest, Settings as RegistrySettings,
};
use airdock_sync::ingest::{Event, IngestError, Input, Report, Settings, ingest, mount};
use airdock_sync::publish::PublishRules;

pub use image::{
    Image, bytes, chart, chart_files, index_of, layout, save_docker_20, save_docker_26, save_kaniko, save_podman,
};
pub use remote::{Files, INDEX, MANIFEST, Remote, image_index, referrer, save_directory, save_storage, tarred};
pub use signer::{Signer, pem};
pub use tarball::{Tarball, entry, pax};

/// A registry on a folder of its own.
pub struct World {
    runtime: tokio::runtime::Runtime,
    pub registry: Registry,
    pub folder: tempfile::TempDir,
    pub settings: Settings,
    pub events: RefCell<Vec<Event>>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let settings = RegistrySettings { data: folder.path().join("data"), ..RegistrySettings::default() };
        let registry = runtime.block_on(Registry::open(settings)).unwrap();
        Self { runtime, registry, folder, settings: Settings::default(), events: RefCell::default() }
    }

    /// Writes a file to ingest.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("media").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a closure inside the runtime.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _runtime = self.runtime.enter();
        run()
    }

    pub fn try_inputs(&self, inputs: Vec<Input>) -> Result<Report, IngestError> {
        let _runtime = self.runtime.enter();
        let progress = |event: Event| self.events.borrow_mut().push(event);
        ingest(&self.registry, &PublishRules::default(), inputs, &self.settings, &progress)
    }

    pub fn try_path(&self, path: &Path) -> Result<Report, IngestError> {
        self.try_inputs(vec![Input::Path(path.to_owned())])
    }

    pub fn path(&self, path: &Path) -> Report {
        self.try_path(path).unwrap()
    }

    /// Serves a folder or file in place.
    pub fn try_mount(&self, path: &Path) -> Result<Report, IngestError> {
        let _runtime = self.runtime.enter();
        let progress = |event: Event| self.events.borrow_mut().push(event);
        mount(&self.registry, &PublishRules::default(), path, &self.settings, &progress)
    }

    pub fn mount(&self, path: &Path) -> Report {
        self.try_mount(path).unwrap()
    }

    /// Ingests `content` as a file of this name.
    pub fn ingest(&self, name: &str, content: &[u8]) -> Report {
        self.path(&self.file(name, content))
    }

    pub fn try_ingest(&self, name: &str, content: &[u8]) -> Result<Report, IngestError> {
        self.try_path(&self.file(name, content))
    }

    pub fn try_pipe(&self, reader: impl Read + Send + 'static) -> Result<Report, IngestError> {
        self.try_inputs(vec![Input::Stream(Box::new(reader), "standard input".into())])
    }

    pub fn pipe(&self, content: &[u8]) -> Report {
        self.try_pipe(std::io::Cursor::new(content.to_vec())).unwrap()
    }

    /// Writes these below a folder of the medium and returns that.
    pub fn files(&self, folder: &str, files: &Files) -> PathBuf {
        for (path, content) in files {
            self.file(&format!("{folder}/{path}"), content);
        }
        self.folder.path().join("media").join(folder)
    }

    pub fn try_manifest(&self, name: &str, reference: &str) -> Option<ServedManifest> {
        let name = RequestedName::bare(name.parse().unwrap());
        self.runtime.block_on(self.registry.manifest(&name, &TagOrDigest::parse(reference).unwrap())).ok()
    }

    pub fn manifest(&self, name: &str, reference: &str) -> ServedManifest {
        self.try_manifest(name, reference).unwrap_or_else(|| panic!("{name}:{reference} is not served"))
    }

    pub fn blob(&self, name: &str, digest: &Digest) -> Option<Vec<u8>> {
        let name = RequestedName::bare(name.parse().unwrap());
        let blob = self.runtime.block_on(self.registry.blob(&name, digest)).ok()?;
        let mut content = vec![0; usize::try_from(blob.size()).unwrap()];
        blob.file().read_exact_at(&mut content, blob.offset()).unwrap();
        Some(content)
    }

    /// Pushes the manifest of a tag again under that tag, as a user.
    pub fn push_tag(&self, name: &str, tag: &str, by: &str) {
        let served = self.manifest(name, tag);
        let manifest = Manifest::parse(served.bytes, Some(served.media_type)).unwrap();
        let reference = PutReference::Tag(tag.parse().unwrap());
        let by = Provenance::Pushed { by: by.into() };
        self.runtime
            .block_on(self.registry.repository(name.parse().unwrap()).put_manifest(reference, manifest, by))
            .unwrap();
    }

    /// Every tag of every repository, as `repository:tag digest`.
    pub fn tags(&self) -> Vec<String> {
        let mut all = Vec::new();
        let page = self.runtime.block_on(self.registry.repositories(None, 10_000)).unwrap();
        for repository in page.names {
            let name = RequestedName::bare(repository.clone());
            let Ok(page) = self.runtime.block_on(self.registry.tags(&name, None, 10_000)) else { continue };
            for tag in page.tags {
                all.push(format!("{repository}:{tag} {}", self.manifest(repository.as_str(), tag.as_str()).digest));
            }
        }
        all
    }

    /// The signatures of each release in the log.
    pub fn releases(&self) -> Vec<Vec<ReleaseSignature>> {
        let releases = self.registry.releases();
        let list = self.runtime.block_on(releases.list()).unwrap();
        let show = |id| self.runtime.block_on(releases.show(id)).unwrap().signatures;
        list.entries.iter().map(|entry| show(entry.id)).collect()
    }

    /// Checks that everything a tag leads to is there, with its size and digest.
    pub fn check_whole(&self) {
        for line in self.tags() {
            let (name, digest) = line.split_once(' ').unwrap();
            let (repository, _) = name.rsplit_once(':').unwrap();
            let served = self.manifest(repository, digest);
            let manifest = Manifest::parse(served.bytes, Some(served.media_type)).unwrap();
            for blob in manifest.blobs() {
                let content =
                    self.blob(repository, &blob.digest).unwrap_or_else(|| panic!("{name} lacks {}", blob.digest));
                assert_eq!(content.len() as u64, blob.size, "{name}");
                assert_eq!(blob.digest.algorithm().digest(&content), blob.digest, "{name}");
            }
        }
    }

    /// Ingests content that must be refused as a whole, from a file and from a pipe; no tag may be left. Returns the errors.
    pub fn refused(&self, name: &str, content: &[u8]) -> String {
        let mut told = String::new();
        let file = self.try_ingest(name, content);
        let pipe = self.try_pipe(std::io::Cursor::new(content.to_vec()));
        for outcome in [file, pipe] {
            match outcome {
                Err(IngestError::Nothing { failures }) => {
                    assert!(!failures.is_empty(), "{name}: nothing is said of what is wrong");
                    failures.iter().for_each(|failure| told.push_str(&format!("{failure}\n")));
                }
                other => panic!("{name}: {other:?}"),
            }
            assert_eq!(self.tags(), Vec::<String>::new(), "{name}");
        }
        told
    }
}

/// The failures in a report, one a line.
pub fn failures(report: &Report) -> String {
    report.failures.iter().map(|failure| format!("{failure}\n")).collect()
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(content: &[u8]) -> Vec<u8> {
    liblzma::encode_all(content, 1).unwrap()
}

pub fn bzip2(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// Ingests these from a folder, a tar, and compressed from a pipe, each into a registry of its own.
pub fn each_way(files: &Files) -> Vec<(World, Report)> {
    let tar = tarred(files);
    let folder = World::new();
    let report = folder.path(&folder.files("medium", files));
    let mut all = vec![(folder, report)];
    let world = World::new();
    let report = world.ingest("medium.tar", &tar);
    all.push((world, report));
    let world = World::new();
    let report = world.pipe(&zstd(&tar));
    all.push((world, report));
    for (world, report) in &all {
        assert_eq!(failures(report), "");
        world.check_whole();
    }
    all
}
