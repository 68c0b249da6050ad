//! Reading everything again: does each blob have its digest, and does each manifest have what it names?
//!
//! Works on the store and on what is mounted, and takes no lock but to move a damaged file of the store aside, so a server
//! goes on meanwhile. Memory is bounded by the number of findings, not of blobs; reading is in pieces, and the page cache
//! is asked not to keep them.

mod findings;
mod links;
mod media;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use crate::error::Error;
use crate::mounts::Mount;
use crate::oci::{Algorithm, Digest, RepositoryName};
use crate::registry::{Registry, Shared};
use crate::store::MediumBlob;
use findings::{Findings, Subject};

/// Read at once.
const PIECE: usize = 1024 * 1024;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are to read.
    pub total: u64,
}

/// Where on a mounted medium something lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct MediumPlace {
    /// What was mounted.
    pub medium: String,
    /// The file, from the mounted folder's own name on.
    pub file: String,
    /// The byte of the file it begins at.
    pub offset: u64,
}

/// What was read of one medium.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MediumRead {
    /// What was mounted.
    pub name: String,
    /// Blobs, once for each place.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// A blob's digest, or what link it is.
    pub subject: String,
    /// Where it lies, when it is not in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<MediumPlace>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyReport {
    /// Blobs read, manifests' own included; those of media once for each place.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests looked at, once for each repository.
    pub manifests: u64,
    /// What of that was read from mounted media.
    pub media: Vec<MediumRead>,
    /// Everything that is wrong.
    #[serde(rename = "damaged")]
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
    /// Whether it was told to stop before it was done.
    #[serde(skip)]
    pub stopped: bool,
}

/// It was told to stop.
struct Stopped;

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
    /// Reads every blob of the store and of mounted media, or what the manifests of `scope` need, and looks whether each
    /// manifest has what it names. Media are read for a `scope` as far as they alone have its manifests. With
    /// `remove_damaged`, files of the store that do not hold their digest are moved to `damaged/` in the data folder, so
    /// that the next ingest or push brings them anew: a blob that is there is not written again. Nothing of a medium is
    /// ever moved. `watch` is told every piece and ends the work by saying no.
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
            findings: Findings::default(),
            report: VerifyReport::default(),
            total: 0,
            watch,
        };
        match scope {
            None => pass.everything()?,
            Some(scope) => pass.manifests(scope)?,
        }
        let (findings, more) = pass.findings.end();
        Ok(VerifyReport { findings, more, ..pass.report })
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
        let places = self.shared.mounts.every_place();
        self.total = total + bytes_of(&places);
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
        self.places(&places);
        let mut repositories: BTreeSet<_> = self.shared.store.links.repositories()?.into_iter().collect();
        repositories.extend(self.shared.mounts.repositories(None));
        for repository in repositories {
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
        let mut places = Vec::new();
        for (repository, root) in scope {
            let stored = self.shared.store.links.manifest(repository, root).map_or(true, |link| link.is_some());
            let mut open = vec![*root];
            while let Some(digest) = open.pop() {
                if !seen.insert((repository.clone(), digest)) {
                    continue;
                }
                needed.push(digest);
                let Some(manifest) = self.manifest(repository, &digest)? else { continue };
                for blob in manifest.blobs() {
                    needed.push(blob.digest);
                    if !stored {
                        places.extend(self.shared.mounts.blob_places(repository, &blob.digest));
                    }
                }
                open.extend(manifest.children().map(|(child, _)| child.digest));
            }
        }
        needed.sort_unstable();
        needed.dedup();
        for digest in &needed {
            total += self.shared.store.blobs.size(digest)?.unwrap_or(0);
        }
        // Repositories share what they show.
        places.sort_by_key(|(_, blob)| Arc::as_ptr(blob));
        places.dedup_by_key(|(_, blob)| Arc::as_ptr(blob));
        places.sort_by(|(_, a), (_, b)| a.position().cmp(&b.position()));
        self.total = total + bytes_of(&places);
        for digest in &needed {
            if !self.report.stopped {
                self.blob(digest)?;
            }
        }
        self.places(&places);
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
        let problem = match self.hash(&file, 0, None, digest.algorithm()) {
            Ok(Err(Stopped)) => return Ok(()),
            Ok(Ok(found)) if found == *digest => return Ok(()),
            Ok(Ok(found)) => format!("its content has digest `{found}`"),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let removed = self.remove && self.move_aside(&file, digest)?;
        let finding = self.findings.of(Subject::stored(digest), problem);
        if let Some(finding) = finding {
            finding.removed = removed;
        }
        Ok(())
    }

    /// The digest of what a file holds from `offset` on: `size` bytes, or all there are.
    fn hash(
        &mut self,
        file: &File,
        offset: u64,
        size: Option<u64>,
        algorithm: Algorithm,
    ) -> io::Result<Result<Digest, Stopped>> {
        // What a verification reads once must not push out what clients read all the time.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::NoReuse);
        let mut hasher = algorithm.hasher();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        loop {
            let left = size.map_or(u64::MAX, |size| size - at);
            let wanted = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let read = match file.read_at(&mut piece[..wanted], offset + at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return if left == 0 || size.is_none() {
                    Ok(Ok(hasher.finish()))
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            hasher.update(&piece[..read]);
            at += read as u64;
            self.report.bytes += read as u64;
            if !(self.watch)(VerifyProgress { bytes: self.report.bytes, total: self.total }) {
                self.report.stopped = true;
                return Ok(Err(Stopped));
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
}

/// What there is to read of these.
fn bytes_of(places: &[(Arc<Mount>, Arc<MediumBlob>)]) -> u64 {
    places.iter().filter(|(_, blob)| !blob.is_in_memory()).map(|(_, blob)| blob.size()).sum()
}
