//! An ingest or a mount in the test's own process, into a registry on a folder of its own.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};

use airdock_registry::names::{self, RequestedName};
use airdock_registry::oci::{Digest, Manifest, TagOrDigest};
use airdock_registry::{Provenance, PutReference, Registry, ReleaseSignature, ServedManifest};
use airdock_sync::ingest::{Event, IngestError, Input, Report, Settings, ingest, mount};
use airdock_sync::publish::PublishRules;

use crate::archive::{Files, tarred};
use crate::content::zstd;
use crate::registry::{open, read, tags_of};
use crate::signer::Signer;

/// A registry on a folder of its own.
pub struct World {
    runtime: tokio::runtime::Runtime,
    /// The registry.
    pub registry: Registry,
    /// The folder that holds the data folder and the media.
    pub folder: tempfile::TempDir,
    /// How it ingests and mounts.
    pub settings: Settings,
    /// What was told of the progress so far.
    pub events: RefCell<Vec<Event>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty one with the default settings.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let registry = runtime.block_on(open(&folder.path().join("data")));
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

    /// Ingests these, or says why not.
    pub fn try_inputs(&self, inputs: Vec<Input>) -> Result<Report, IngestError> {
        let _runtime = self.runtime.enter();
        let progress = |event: Event| self.events.borrow_mut().push(event);
        ingest(&self.registry, &PublishRules::default(), inputs, &self.settings, &progress)
    }

    /// Ingests a file, folder or device, or says why not.
    pub fn try_path(&self, path: &Path) -> Result<Report, IngestError> {
        self.try_inputs(vec![Input::Path(path.to_owned())])
    }

    /// Ingests a file, folder or device.
    pub fn path(&self, path: &Path) -> Report {
        self.try_path(path).unwrap()
    }

    /// Serves a folder or file from where it is.
    pub fn try_mount(&self, path: &Path) -> Result<Report, IngestError> {
        let _runtime = self.runtime.enter();
        let progress = |event: Event| self.events.borrow_mut().push(event);
        mount(&self.registry, &PublishRules::default(), path, &self.settings, &progress)
    }

    /// Serves a folder or file from where it is, which must work.
    pub fn mount(&self, path: &Path) -> Report {
        self.try_mount(path).unwrap()
    }

    /// Ingests `content` as a file of this name.
    pub fn ingest(&self, name: &str, content: &[u8]) -> Report {
        self.path(&self.file(name, content))
    }

    /// Ingests `content` as a file of this name, or says why not.
    pub fn try_ingest(&self, name: &str, content: &[u8]) -> Result<Report, IngestError> {
        self.try_path(&self.file(name, content))
    }

    /// Ingests a stream, or says why not.
    pub fn try_pipe(&self, reader: impl Read + Send + 'static) -> Result<Report, IngestError> {
        self.try_inputs(vec![Input::Stream(Box::new(reader), "standard input".into())])
    }

    /// Ingests `content` as a stream.
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

    /// What is served for a tag or digest, if anything is.
    pub fn try_manifest(&self, name: &str, reference: &str) -> Option<ServedManifest> {
        self.runtime.block_on(self.registry.manifest(&self.asked(name), &TagOrDigest::parse(reference).unwrap())).ok()
    }

    /// What is served for a tag or digest.
    pub fn manifest(&self, name: &str, reference: &str) -> ServedManifest {
        self.try_manifest(name, reference).unwrap_or_else(|| panic!("{name}:{reference} is not served"))
    }

    /// A name as a client asks by it: Docker Hub's may be meant.
    fn asked(&self, name: &str) -> RequestedName {
        names::resolve(self.registry.names(), name.parse().unwrap(), None)
    }

    /// A blob as it is served, if it is.
    pub fn blob(&self, name: &str, digest: &Digest) -> Option<Vec<u8>> {
        self.runtime.block_on(self.registry.blob(&self.asked(name), digest)).ok().map(|blob| read(&blob))
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

    /// Copies an image to another repository, as a client does: its blobs are mounted and its manifest is pushed.
    pub fn copy_as_a_client(&self, from: &str, tag: &str, to: &str) {
        let served = self.manifest(from, tag);
        let manifest = Manifest::parse(served.bytes, Some(served.media_type)).unwrap();
        let (reference, by) = (PutReference::Tag(tag.parse().unwrap()), Provenance::Pushed { by: "a client".into() });
        let repository = self.registry.repository(to.parse().unwrap());
        self.runtime.block_on(async {
            for blob in manifest.blobs() {
                assert!(repository.mount_blob(&blob.digest, Some(&self.asked(from))).await.unwrap());
            }
            repository.put_manifest(reference, manifest, by).await.unwrap();
        });
    }

    /// The manifests about a manifest, in the order of their digests.
    pub fn referrers(&self, name: &str, subject: &Digest) -> Vec<Digest> {
        let asked = self.asked(name);
        let page = self.runtime.block_on(self.registry.referrers(&asked, subject, &[], None)).unwrap();
        let index = Manifest::parse(page.json, None).unwrap();
        index.children().map(|(child, _)| child.digest).collect()
    }

    /// Every repository.
    pub fn repositories(&self) -> Vec<String> {
        let page = self.runtime.block_on(self.registry.repositories(None, 10_000)).unwrap();
        page.names.iter().map(ToString::to_string).collect()
    }

    /// Every tag of every repository, as `repository:tag digest`.
    pub fn tags(&self) -> Vec<String> {
        let mut all = Vec::new();
        for repository in self.repositories() {
            for tag in self.runtime.block_on(tags_of(&self.registry, &repository)) {
                all.push(format!("{repository}:{tag} {}", self.manifest(&repository, &tag).digest));
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

    /// Writes a public key to a file.
    pub fn key(&self, name: &str, signer: &Signer) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, signer.public()).unwrap();
        path
    }

    /// Takes in only what one of these has signed, from now on.
    pub fn trust(&mut self, signers: &[&Signer]) {
        let keys = signers.iter().enumerate().map(|(n, signer)| self.key(&format!("build-{n}.pub"), signer));
        self.settings.trust.keys = keys.collect();
    }
}

/// The failures in a report, one a line.
pub fn failures(report: &Report) -> String {
    report.failures.iter().map(|failure| format!("{failure}\n")).collect()
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
