//! Bundles in the documented layout, each with its own version of the same images, and the check that what is served is
//! exactly one release and never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::pusher::connect;
use super::random::Random;
use super::verify::{get, tags};
use testkit::bundle::save;
use testkit::client::Connection;
use testkit::content::digest;
use testkit::image::layer;

/// The images of a bundle by the name in it, and every repository they are served from.
const IMAGES: [(&str, &str, [&str; 2]); 3] = [
    (
        "zenml-pro-api.tar",
        "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api",
        ["715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api", "zenml/zenml-pro-api"],
    ),
    (
        "zenml-pro-server.tar",
        "715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server",
        ["715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server", "zenml/zenml-pro-server"],
    ),
    ("zenml-client.tar", "zenmldocker/zenml", ["docker.io/zenmldocker/zenml", "zenml/zenml"]),
];

/// A tag that every version of the bundle moves.
const MOVING: &str = "current";

/// The bundles made for one data folder, and which were acknowledged.
#[derive(Default)]
pub(super) struct Bundles {
    /// The configurations of each version's images, in the order of [`IMAGES`].
    versions: Vec<[String; 3]>,
    /// The last acknowledged version.
    now: Option<usize>,
    /// A version whose ingest was begun and not acknowledged.
    perhaps: Option<usize>,
}

impl Bundles {
    /// Writes the next version of the bundle: three images of two layers, one of them shared. Returns its folder.
    pub(super) fn make(&mut self, random: &mut Random, at: &Path, size: usize) -> PathBuf {
        let version = self.versions.len();
        let folder = at.join(format!("bundle-{version}"));
        fs::create_dir_all(folder.join("images")).unwrap();
        fs::write(folder.join("manifest.txt"), "ZenML Pro air-gapped bundle\n").unwrap();
        let shared = layer("content", &random.bytes(size));
        let configs = IMAGES.map(|(file, name, _)| {
            let tags = [format!("{name}:v{version}"), format!("{name}:{MOVING}")];
            save(&folder.join("images").join(file), &tags, &[&shared, &layer("content", &random.bytes(size))])
        });
        self.versions.push(configs);
        self.perhaps = Some(version);
        folder
    }

    /// Records that the ingest of the last version was acknowledged.
    pub(super) fn acknowledge(&mut self) {
        self.now = self.perhaps.take();
        assert!(self.now.is_some(), "made before");
    }

    /// Whether a version was begun and neither acknowledged nor settled.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.perhaps.is_some()
    }

    /// After a crash: checks that all tags of the last version are there, or none, as acknowledged, and records which.
    /// Returns whether a version in doubt turned out to be there.
    pub(super) fn settle(&mut self, address: SocketAddr) -> bool {
        let mut connection = connect(address).unwrap();
        let current = self.current(&mut connection);
        let there = current == self.perhaps && current.is_some();
        assert!(there || current == self.now, "{current:?} is served, {:?} was, {:?} came", self.now, self.perhaps);
        // A version that was ingested keeps its own tag when the next one moves the shared tag; any other has no tag.
        let last = self.versions.len().checked_sub(1);
        for version in [last, current].into_iter().flatten() {
            let in_part = self.perhaps == Some(version) && !there;
            for (image, (_, _, repositories)) in IMAGES.iter().enumerate() {
                for repository in repositories {
                    let found = config_of(&mut connection, repository, &format!("v{version}"));
                    let expected = (!in_part).then(|| &self.versions[version][image]);
                    assert_eq!(found.as_ref(), expected, "`{repository}:v{version}`");
                }
            }
        }
        self.now = current;
        if self.perhaps.take().is_some() && !there {
            self.versions.pop();
        }
        let mut expected: BTreeSet<_> = (0..self.versions.len()).map(|version| format!("v{version}")).collect();
        expected.extend(current.map(|_| MOVING.to_owned()));
        for repository in IMAGES.iter().flat_map(|(_, _, repositories)| repositories) {
            let listed: BTreeSet<_> = tags(&mut connection, repository).unwrap().into_iter().collect();
            assert_eq!(listed, expected, "the list of `{repository}`");
        }
        there
    }

    /// The version that the moving tag of every repository points at. Fetches and hashes every blob of its images.
    fn current(&self, connection: &mut Connection) -> Option<usize> {
        let mut found = BTreeMap::new();
        for (image, (_, _, repositories)) in IMAGES.iter().enumerate() {
            for repository in repositories {
                let config = config_of(connection, repository, MOVING);
                let version = config.map(|config| {
                    self.versions.iter().position(|configs| configs[image] == config).expect("a version made here")
                });
                found.insert(*repository, version);
            }
        }
        let mut versions: Vec<_> = found.values().collect();
        versions.dedup();
        assert_eq!(versions.len(), 1, "the tags of two releases are seen at once: {found:?}");
        *versions[0]
    }
}

/// The digest of the config of a tagged image. Fetches and hashes its manifest and all its blobs.
fn config_of(connection: &mut Connection, repository: &str, tag: &str) -> Option<String> {
    let bytes = get(connection, &format!("{repository}/manifests/{tag}")).unwrap()?;
    let by_digest = get(connection, &format!("{repository}/manifests/{}", digest(&bytes))).unwrap();
    assert_eq!(by_digest.as_ref(), Some(&bytes), "`{repository}:{tag}` by its digest");
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap());
    for blob in layers.chain([config.as_str()]) {
        let content = get(connection, &format!("{repository}/blobs/{blob}")).unwrap();
        let content = content.unwrap_or_else(|| panic!("`{repository}:{tag}` is there and its blob {blob} is not"));
        assert_eq!(digest(&content), blob, "of `{repository}:{tag}`");
    }
    Some(config)
}
