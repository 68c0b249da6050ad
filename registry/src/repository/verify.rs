//! Reading everything again: does each blob have its digest, and does each manifest have what it names?
//!
//! Works on the store alone and takes no lock but to move a damaged file aside, so a server goes on meanwhile. Memory is
//! bounded by the number of findings, not of blobs; reading is in pieces, and the page cache is asked not to keep them.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use crate::error::Error;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::{Registry, Shared};
use crate::store::StoreError;

/// Findings kept; what is beyond is counted.
const FINDINGS: usize = 10_000;

/// Names of what a finding breaks that are kept.
const BREAKS: usize = 50;

/// Read at once.
const PIECE: usize = 1024 * 1024;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are to read.
    pub total: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A blob's digest, or what link it is.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
    /// Tags, and manifests without one, that cannot be pulled whole because of it.
    pub breaks: Vec<String>,
    /// More of them than are named.
    pub more: u64,
    /// Whether its file was moved aside.
    pub removed: bool,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blobs read, manifests' own included.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests looked at, once for each repository.
    pub manifests: u64,
    /// What of the scope lies on a mounted medium only, `repository@digest`, and was not read: media are verified where
    /// they are served from.
    pub mounted: Vec<String>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
    /// Whether it was told to stop before it was done.
    pub stopped: bool,
}

/// What is wrong so far, by what it is wrong with.
struct Findings {
    found: BTreeMap<String, Finding>,
    more: u64,
}

/// One verification.
struct Pass<'a> {
    shared: &'a Shared,
    remove: bool,
    findings: Findings,
    report: VerifyReport,
    total: u64,
    watch: &'a mut dyn FnMut(VerifyProgress) -> bool,
}

impl Registry {
    /// Reads every blob of the store, or what the manifests of `scope` need, and looks whether each manifest has what it
    /// names. With `remove_damaged`, files that do not hold their digest are moved to `damaged/` in the data folder, so
    /// that the next ingest or push brings them anew: a blob that is there is not written again. `watch` is told every
    /// piece and ends the work by saying no.
    ///
    /// Blocks for as long as reading takes.
    ///
    /// # Errors
    /// When the disk cannot be read at all. What is damaged is in the report.
    pub fn verify(
        &self,
        scope: Option<&[(RepositoryName, Digest)]>,
        remove_damaged: bool,
        watch: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> Result<VerifyReport, Error> {
        let mut pass = Pass {
            shared: &self.0,
            remove: remove_damaged,
            findings: Findings { found: BTreeMap::new(), more: 0 },
            report: VerifyReport::default(),
            total: 0,
            watch,
        };
        match scope {
            None => pass.everything()?,
            Some(scope) => pass.manifests(scope)?,
        }
        let Findings { found, more } = pass.findings;
        Ok(VerifyReport { findings: found.into_values().collect(), more, ..pass.report })
    }
}

impl Pass<'_> {
    fn everything(&mut self) -> Result<(), Error> {
        let blobs = &self.shared.store.blobs;
        let mut total = 0;
        blobs.each(&mut |digest| {
            total += blobs.size(&digest)?.unwrap_or(0);
            Ok(true)
        })?;
        self.total = total;
        let mut failed = None;
        blobs.each(&mut |digest| match self.blob(&digest) {
            Ok(()) => Ok(!self.report.stopped),
            Err(error) => {
                failed = Some(error);
                Ok(false)
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        for repository in self.shared.store.links.repositories()? {
            if self.report.stopped {
                break;
            }
            self.repository(&repository)?;
        }
        Ok(())
    }

    /// Only what these manifests need, the manifests they list included.
    fn manifests(&mut self, scope: &[(RepositoryName, Digest)]) -> Result<(), Error> {
        let (mut seen, mut needed, mut total) = (HashSet::new(), Vec::new(), 0);
        for (repository, root) in scope {
            let stored = self.shared.store.links.manifest(repository, root).map_or(true, |link| link.is_some());
            if !stored && self.shared.mounts.manifest(repository, root).is_some() {
                self.report.mounted.push(format!("{repository}@{root}"));
                continue;
            }
            let mut open = vec![*root];
            while let Some(digest) = open.pop() {
                if !seen.insert((repository.clone(), digest)) {
                    continue;
                }
                needed.push(digest);
                let Some(manifest) = self.manifest(repository, &digest)? else { continue };
                needed.extend(manifest.blobs().map(|blob| blob.digest));
                open.extend(manifest.children().map(|(child, _)| child.digest));
            }
        }
        needed.sort_unstable();
        needed.dedup();
        for digest in &needed {
            total += self.shared.store.blobs.size(digest)?.unwrap_or(0);
        }
        self.total = total;
        for digest in &needed {
            if !self.report.stopped {
                self.blob(digest)?;
            }
        }
        let mut repositories: Vec<_> = scope.iter().map(|(repository, _)| repository).collect();
        repositories.sort_unstable();
        repositories.dedup();
        for repository in repositories {
            let named: HashSet<Digest> =
                seen.iter().filter(|(seen, _)| seen == repository).map(|(_, digest)| *digest).collect();
            self.links(repository, &|digest| named.contains(digest))?;
        }
        Ok(())
    }

    /// Reads a blob and compares its digest. One that is not there is found by what names it.
    fn blob(&mut self, digest: &Digest) -> Result<(), Error> {
        let Some(file) = self.shared.store.blobs.file(digest)? else { return Ok(()) };
        self.report.blobs += 1;
        let problem = match self.hash(&file, digest) {
            Ok(None) => return Ok(()),
            Ok(Some(found)) if found == *digest => return Ok(()),
            Ok(Some(found)) => format!("its content has digest `{found}`"),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let removed = self.remove && self.move_aside(&file, digest)?;
        let finding = self.findings.of(&digest.to_string(), problem);
        if let Some(finding) = finding {
            finding.removed = removed;
        }
        Ok(())
    }

    /// The digest of a file's content; nothing when it was told to stop.
    fn hash(&mut self, mut file: &File, digest: &Digest) -> std::io::Result<Option<Digest>> {
        // What a verification reads once must not push out what clients read all the time.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::NoReuse);
        let mut hasher = digest.algorithm().hasher();
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(Some(hasher.finish()));
            }
            hasher.update(&piece[..read]);
            self.report.bytes += read as u64;
            if !(self.watch)(VerifyProgress { bytes: self.report.bytes, total: self.total }) {
                self.report.stopped = true;
                return Ok(None);
            }
        }
    }

    /// Moves the file aside, if it is still the one that was read: somebody may have brought the blob anew meanwhile.
    fn move_aside(&self, file: &File, digest: &Digest) -> Result<bool, Error> {
        let _alone = self.shared.releases.blocking_write();
        let there = self.shared.store.blobs.file(digest)?;
        let same = |there: &File| match (there.metadata(), file.metadata()) {
            (Ok(there), Ok(read)) => there.ino() == read.ino() && there.dev() == read.dev(),
            _ => false,
        };
        if !there.as_ref().is_some_and(same) {
            return Ok(false);
        }
        self.shared.store.blobs.move_aside(digest)?;
        self.shared.manifests.clear();
        self.shared.blobs.clear();
        Ok(true)
    }

    fn repository(&mut self, repository: &RepositoryName) -> Result<(), Error> {
        let links = &self.shared.store.links;
        for digest in links.blobs(repository)? {
            match links.blob_size(repository, &digest) {
                Ok(Some(size)) => self.names(&digest, size, false)?,
                Ok(None) => {}
                Err(error) => self.link(&error),
            }
        }
        self.links(repository, &|_| true)
    }

    /// Looks at the manifests and tags of a repository that are wanted, and at what they name.
    fn links(&mut self, repository: &RepositoryName, wanted: &dyn Fn(&Digest) -> bool) -> Result<(), Error> {
        let links = &self.shared.store.links;
        // What cannot be pulled here, and because of which findings.
        let mut broken: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let mut indexes = Vec::new();
        for digest in links.manifests(repository)? {
            if !wanted(&digest) {
                continue;
            }
            self.report.manifests += 1;
            let Some(manifest) = self.manifest(repository, &digest)? else {
                broken.insert(digest, vec![digest.to_string()]);
                continue;
            };
            let mut because = Vec::new();
            for reference in manifest.references() {
                if let Reference::Blob(blob) | Reference::ForeignBlob(blob) = reference {
                    let foreign = matches!(reference, Reference::ForeignBlob(_));
                    let mounted = !self.shared.mounts.blobs(repository, &blob.digest).is_empty();
                    self.names(&blob.digest, blob.size, foreign || mounted)?;
                    if self.findings.has(&blob.digest) {
                        because.push(blob.digest.to_string());
                    }
                }
            }
            if manifest.children().next().is_some() {
                indexes.push(digest);
            }
            if !because.is_empty() {
                broken.insert(digest, because);
            }
        }
        // An index is broken by its manifests; several levels are as many rounds.
        let mut again = !broken.is_empty();
        while again {
            again = false;
            for index in &indexes {
                let Some(manifest) = self.manifest(repository, index)? else { continue };
                let children = manifest.children().filter_map(|(child, _)| broken.get(&child.digest));
                let because: Vec<String> = children.flatten().cloned().collect();
                if !because.is_empty() && !broken.contains_key(index) {
                    broken.insert(*index, because);
                    again = true;
                }
            }
        }
        self.tags(repository, broken, wanted)
    }

    /// Which tags point at what is broken; a broken manifest without a tag is named by its digest.
    fn tags(
        &mut self,
        repository: &RepositoryName,
        mut broken: BTreeMap<Digest, Vec<String>>,
        wanted: &dyn Fn(&Digest) -> bool,
    ) -> Result<(), Error> {
        let links = &self.shared.store.links;
        let mut tagged: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for tag in links.tags(repository)? {
            match links.tag(repository, &tag) {
                Ok(Some(link)) if broken.contains_key(&link.digest) => {
                    tagged.entry(link.digest).or_default().push(tag);
                }
                Ok(Some(link)) if wanted(&link.digest) && links.manifest(repository, &link.digest)?.is_none() => {
                    let subject = format!("tag {repository}:{tag}");
                    self.findings.of(&subject, format!("it points at `{}`, which is not there", link.digest));
                }
                Ok(_) => {}
                Err(error) => self.link(&error),
            }
        }
        for (digest, because) in std::mem::take(&mut broken) {
            let tags = tagged.remove(&digest).unwrap_or_default();
            let mut names: Vec<String> = tags.iter().map(|tag| format!("{repository}:{tag}")).collect();
            if names.is_empty() {
                names.push(format!("{repository}@{digest}"));
            }
            for subject in because {
                names.iter().for_each(|name| self.findings.breaks(&subject, name));
            }
        }
        Ok(())
    }

    /// A manifest of the repository, or nothing and a finding.
    fn manifest(&mut self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Manifest>, Error> {
        match self.shared.parsed(repository, digest) {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) => {
                if self.shared.store.links.manifest(repository, digest).is_ok_and(|link| link.is_some()) {
                    self.findings.of(&digest.to_string(), "it is not there".to_owned());
                }
            }
            // A link's damage is the link's; the content's is found when it is read, and said once.
            Err(Error::Store(error @ StoreError::Damaged { .. })) => {
                if self.shared.store.links.manifest(repository, digest).is_err() {
                    self.link(&error);
                }
            }
            Err(Error::ManifestInvalid(error)) => {
                self.findings.of(&digest.to_string(), error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Somebody names a blob of this size.
    fn names(&mut self, digest: &Digest, size: u64, may_be_absent: bool) -> Result<(), Error> {
        match self.shared.store.blobs.size(digest)? {
            Some(found) if found != size && !self.findings.has(digest) => {
                self.findings.of(&digest.to_string(), format!("it has {found} bytes where {size} belong"));
            }
            None if !may_be_absent => {
                self.findings.of(&digest.to_string(), "it is not there".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn link(&mut self, error: &StoreError) {
        let StoreError::Damaged { path, reason } = error else { return };
        let path = path.strip_prefix(self.shared.store.data()).unwrap_or(path);
        let problem = format!("{reason}; push or ingest again what it names");
        self.findings.of(&format!("link {}", path.display()), problem);
    }
}

impl Findings {
    fn has(&self, digest: &Digest) -> bool {
        !self.found.is_empty() && self.found.contains_key(&digest.to_string())
    }

    /// The finding about something; the first problem that was found with it stays.
    fn of(&mut self, subject: &str, problem: String) -> Option<&mut Finding> {
        if !self.found.contains_key(subject) && self.found.len() == FINDINGS {
            self.more += 1;
            return None;
        }
        let new = || Finding { subject: subject.to_owned(), problem, breaks: Vec::new(), more: 0, removed: false };
        Some(self.found.entry(subject.to_owned()).or_insert_with(new))
    }

    fn breaks(&mut self, subject: &str, name: &str) {
        let Some(finding) = self.found.get_mut(subject) else { return };
        if finding.breaks.iter().any(|there| there == name) {
        } else if finding.breaks.len() == BREAKS {
            finding.more += 1;
        } else {
            finding.breaks.push(name.to_owned());
        }
    }
}
