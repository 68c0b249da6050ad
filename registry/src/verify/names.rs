//! Whether everything is there that each manifest names, and which tags cannot be pulled because something is not.

use std::collections::{BTreeMap, BTreeSet};

use super::Pass;
use super::findings::{Subject, stored};
use crate::blobs::Place;
use crate::catalog::{Linked, TagLink};
use crate::content::check_child;
use crate::disk::DiskError;
use crate::error::Error;
use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType, Reference, RepositoryName, Tag};

/// Largest config that is read for its layers, in bytes.
const MAX_CONFIG: usize = 4 * 1024 * 1024;

/// The manifests that cannot be pulled from a repository, with the findings that are the reason.
type Broken = BTreeMap<Digest, Vec<Subject>>;

impl Pass<'_> {
    pub(super) async fn repository(&mut self, repository: &RepositoryName) -> Result<(), Error> {
        let linked = self.core.catalog.files.linked(repository).await?;
        for (digest, size) in &linked.blobs {
            self.named(digest, *size, false).await?;
        }
        self.names(repository, linked, &|_| true).await
    }

    /// Checks the wanted manifests and tags of a repository, and what they name.
    pub(super) async fn names(
        &mut self,
        repository: &RepositoryName,
        linked: Linked,
        wanted: &dyn Fn(&Digest) -> bool,
    ) -> Result<(), Error> {
        linked.damaged.iter().for_each(|error| self.link(error));
        let mut broken = Broken::new();
        let mut indexes = Vec::new();
        let linked_here: BTreeSet<Digest> = linked.manifests.iter().map(|(digest, _)| *digest).collect();
        let mut manifests = linked_here.clone();
        for names in self.core.catalog.mounted().iter() {
            manifests.extend(names.repositories.get(repository).into_iter().flat_map(|names| names.manifests.keys()));
        }
        for digest in manifests.into_iter().filter(wanted) {
            self.report.manifests += 1;
            let Some(manifest) = self.manifest(repository, &digest).await? else {
                broken.insert(digest, vec![stored(&digest)]);
                continue;
            };
            let mut because = Vec::new();
            for reference in manifest.references() {
                if let Reference::Blob(blob) | Reference::ForeignBlob(blob) = reference {
                    let foreign = matches!(reference, Reference::ForeignBlob(_));
                    let mounted = self.core.catalog.shows_mounted(repository, &blob.digest);
                    let is_stored = self.named(&blob.digest, blob.size, foreign || mounted).await?;
                    because.extend(self.lost(repository, &blob.digest, is_stored));
                }
            }
            if let Some(problem) = self.misfit(repository, &manifest).await? {
                let subject = stored(&digest);
                self.findings.of(subject.clone(), problem);
                because.push(subject);
            }
            if manifest.children().next().is_some() {
                indexes.push(digest);
            }
            if !because.is_empty() {
                broken.insert(digest, because);
            }
        }
        // An index is broken by its manifests. Each nested level of indexes takes another round.
        let mut again = !broken.is_empty();
        while again {
            again = false;
            for index in &indexes {
                let Some(manifest) = self.manifest(repository, index).await? else { continue };
                let children = manifest.children().filter_map(|(child, _)| broken.get(&child.digest));
                let because: Vec<Subject> = children.flatten().cloned().collect();
                if !because.is_empty() && !broken.contains_key(index) {
                    broken.insert(*index, because);
                    again = true;
                }
            }
        }
        self.tags(repository, &linked.tags, broken, &|digest| wanted(digest) && !linked_here.contains(digest));
        Ok(())
    }

    /// Why clients refuse the manifest although everything it names has its digest.
    async fn misfit(&self, repository: &RepositoryName, manifest: &Manifest) -> Result<Option<String>, Error> {
        let core = self.core;
        let (mut listed, mut here) = (0_usize, 0_usize);
        for (child, _) in manifest.children() {
            listed += 1;
            // A damaged one is a finding of its own.
            let Ok(Some(found)) = core.catalog.parsed(repository, &child.digest).await else {
                here += usize::from(core.catalog.names_manifest(repository, &child.digest).await.unwrap_or(true));
                continue;
            };
            here += 1;
            if let Err(problem) = check_child(child, &found) {
                return Ok(Some(problem.to_string()));
            }
        }
        if listed > 0 && here == 0 {
            return Ok(Some("none of the manifests it lists is there".to_owned()));
        }
        let Some(config) = manifest.config().filter(|config| ImageConfig::is(&config.media_type)) else {
            return Ok(None);
        };
        // One that is damaged or gone is a finding of its own.
        let Ok(Some(bytes)) = core.blobs.read(&config.digest, MAX_CONFIG).await else { return Ok(None) };
        let layers: Vec<_> = manifest.blobs().skip(1).collect();
        Ok(layers_misfit(&bytes, &layers))
    }

    /// Adds the tags of broken manifests to the findings. A broken manifest without a tag is named by its digest.
    fn tags(
        &mut self,
        repository: &RepositoryName,
        tags: &[(Tag, TagLink)],
        broken: Broken,
        dangles: &dyn Fn(&Digest) -> bool,
    ) {
        let mut tagged: BTreeMap<Digest, BTreeSet<Tag>> = BTreeMap::new();
        for (tag, link) in tags {
            if broken.contains_key(&link.digest) {
                tagged.entry(link.digest).or_default().insert(tag.clone());
            } else if dangles(&link.digest) {
                let subject = stored(&format!("tag {repository}:{tag}"));
                self.findings.of(subject, format!("it points at `{}`, which is not there", link.digest));
            }
        }
        for names in self.core.catalog.mounted().iter() {
            let tags = names.repositories.get(repository).into_iter().flat_map(|mounted| &mounted.tags);
            for (tag, target) in tags.filter(|(_, target)| broken.contains_key(target)) {
                tagged.entry(*target).or_default().insert(tag.clone());
            }
        }
        for (digest, because) in broken {
            let tags = tagged.remove(&digest).unwrap_or_default();
            let mut names: Vec<String> = tags.iter().map(|tag| format!("{repository}:{tag}")).collect();
            if names.is_empty() {
                names.push(format!("{repository}@{digest}"));
            }
            for subject in because {
                names.iter().for_each(|name| self.findings.breaks(&subject, name));
            }
        }
    }

    /// A manifest of the repository, or `None` and a finding.
    pub(super) async fn manifest(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Manifest>, Error> {
        let catalog = &self.core.catalog;
        match catalog.parsed(repository, digest).await {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) => {
                if catalog.is_stored(repository, digest).await.unwrap_or(false) {
                    self.findings.of(stored(digest), "it is not there".to_owned());
                }
            }
            // Only damage of the link is reported here: damage of the content is found when the blob is read.
            Err(Error::Disk(error @ DiskError::Damaged { .. })) => {
                if catalog.is_stored(repository, digest).await.is_err() {
                    self.link(&error);
                }
            }
            Err(Error::ManifestInvalid(error)) => {
                self.findings.of(stored(digest), error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Checks a blob of which a link or a manifest states the size. Returns whether the data folder has it.
    async fn named(&mut self, digest: &Digest, size: u64, may_be_absent: bool) -> Result<bool, Error> {
        let found = self.core.blobs.depot.sizes(std::slice::from_ref(digest)).await?[0];
        match found {
            Some(found) if found != size && !self.findings.found.contains_key(&stored(digest)) => {
                self.findings.of(stored(digest), format!("it has {found} bytes where {size} belong"));
            }
            None if !may_be_absent => {
                self.findings.of(stored(digest), "it is not there".to_owned());
            }
            _ => {}
        }
        Ok(found.is_some())
    }

    fn link(&mut self, error: &DiskError) {
        let DiskError::Damaged { path, reason } = error else { return };
        let path = path.strip_prefix(self.core.folder.layout.root()).unwrap_or(path);
        let problem = format!("{reason}; push or ingest again what it names");
        self.findings.of(stored(&format!("link {}", path.display())), problem);
    }
}

/// Why a client could not unpack these layers for this config. Their number is compared, and the digest of a plain layer,
/// which is its DiffID; compressed ones are not unpacked here.
fn layers_misfit(config: &[u8], layers: &[&Descriptor]) -> Option<String> {
    let config = match ImageConfig::parse(config) {
        Ok(config) => config,
        Err(_) => return Some("its config is not that of an image".to_owned()),
    };
    if !config.states_layers() {
        return None;
    }
    let diff_ids = config.diff_ids();
    if layers.len() != diff_ids.len() {
        return Some(format!("its number of layers is {}, and {} by its config", layers.len(), diff_ids.len()));
    }
    let is_plain = |layer: &Descriptor| {
        matches!(layer.media_type.as_str(), MediaType::IMAGE_LAYER | "application/vnd.docker.image.rootfs.diff.tar")
    };
    let differs = |(layer, diff_id): &(&&Descriptor, &Digest)| {
        is_plain(layer) && layer.digest != **diff_id && layer.digest.algorithm() == diff_id.algorithm()
    };
    let (layer, diff_id) = layers.iter().zip(diff_ids).find(differs)?;
    Some(format!("its layer `{}` stands where its config has `{diff_id}`", layer.digest))
}
