//! One verification: which blobs it reads, and what it does about a damaged one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::ops::ControlFlow;

use futures_util::StreamExt as _;

use super::findings::{Findings, Subject};
use super::position::{Position, bytes_of, in_order};
use super::report::{VerifyProgress, VerifyReport};
use crate::blobs::{Blob, Place};
use crate::core::Core;
use crate::disk::{ReadFailed, read_pieces};
use crate::error::Error;
use crate::oci::{Digest, RepositoryName};

/// Read at once, in bytes.
const PIECE: usize = 1024 * 1024;

/// It was told to stop.
pub(super) struct Stopped;

/// One verification.
pub(super) struct Pass<'a> {
    pub(super) core: &'a Core,
    remove: bool,
    pub(super) findings: Findings,
    pub(super) report: VerifyReport,
    total: u64,
    watch: &'a mut (dyn FnMut(VerifyProgress) -> bool + 'a),
}

impl<'a> Pass<'a> {
    pub(super) fn new(core: &'a Core, remove: bool, watch: &'a mut (dyn FnMut(VerifyProgress) -> bool + 'a)) -> Self {
        Self { core, remove, findings: Findings::default(), report: VerifyReport::default(), total: 0, watch }
    }

    /// What was found.
    pub(super) fn end(self) -> VerifyReport {
        let (findings, more) = self.findings.end();
        VerifyReport { findings, more, ..self.report }
    }

    pub(super) async fn everything(&mut self) -> Result<(), Error> {
        let core = self.core;
        let positions = Position::all(core);
        self.total = bytes_of(&positions);
        let mut listed = core.blobs.depot.list();
        while let Some(digests) = listed.next().await {
            self.total += core.blobs.depot.sizes(&digests?).await?.into_iter().flatten().sum::<u64>();
        }
        let mut listed = core.blobs.depot.list();
        while let Some(digests) = listed.next().await {
            for digest in digests? {
                if !self.report.stopped {
                    self.blob(&digest).await?;
                }
            }
        }
        self.positions(&positions);
        let mut repositories: BTreeSet<_> = core.catalog.files.linked_repositories().await?.into_iter().collect();
        repositories.extend(core.catalog.mounted().iter().flat_map(|names| names.repositories.keys().cloned()));
        for repository in repositories {
            if self.report.stopped {
                break;
            }
            self.repository(&repository).await?;
        }
        Ok(())
    }

    /// Only what these manifests need, the manifests they list included.
    pub(super) async fn manifests(&mut self, scope: &[(RepositoryName, Digest)]) -> Result<(), Error> {
        let core = self.core;
        let (mut seen, mut needed, mut positions) = (HashSet::new(), BTreeSet::new(), Vec::new());
        for (repository, root) in scope {
            // One whose link is damaged is looked for here, too.
            let stored = core.catalog.is_stored(repository, root).await.unwrap_or(true);
            let mut open = vec![*root];
            while let Some(digest) = open.pop() {
                if !seen.insert((repository.clone(), digest)) {
                    continue;
                }
                needed.insert(digest);
                let Some(manifest) = self.manifest(repository, &digest).await? else { continue };
                for blob in manifest.blobs() {
                    needed.insert(blob.digest);
                    if !stored {
                        positions.extend(Position::shown(core, repository, &blob.digest));
                    }
                }
                open.extend(manifest.children().map(|(child, _)| child.digest));
            }
        }
        let needed: Vec<_> = needed.into_iter().collect();
        let positions = in_order(positions);
        self.total = bytes_of(&positions);
        self.total += core.blobs.depot.sizes(&needed).await?.into_iter().flatten().sum::<u64>();
        for digest in &needed {
            if !self.report.stopped {
                self.blob(digest).await?;
            }
        }
        self.positions(&positions);
        let mut named: BTreeMap<RepositoryName, HashSet<Digest>> = BTreeMap::new();
        for (repository, digest) in seen {
            named.entry(repository).or_default().insert(digest);
        }
        for (repository, named) in named {
            let linked = core.catalog.files.linked(&repository).await?;
            self.names(&repository, linked, &|digest| named.contains(digest)).await?;
        }
        Ok(())
    }

    /// Reads a blob and compares its digest. One that is not there is found by what names it.
    async fn blob(&mut self, digest: &Digest) -> Result<(), Error> {
        let Some(blob) = self.core.blobs.depot.find(digest, None).await? else { return Ok(()) };
        self.report.blobs += 1;
        let problem = match self.hash(&blob) {
            Ok(Err(Stopped)) => return Ok(()),
            Ok(Ok(found)) if found == *digest => return Ok(()),
            Ok(Ok(found)) => format!("its content has digest `{found}`"),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let removed = self.remove && self.move_aside(&blob).await?;
        if let Some(finding) = self.findings.of(Subject::stored(digest), problem) {
            finding.removed = removed;
        }
        Ok(())
    }

    fn hash(&mut self, blob: &Blob) -> io::Result<Result<Digest, Stopped>> {
        // What a verification reads once must not push out what clients read all the time.
        let _ = rustix::fs::fadvise(blob.file(), 0, None, rustix::fs::Advice::NoReuse);
        let mut hasher = blob.digest().algorithm().hasher();
        let read = read_pieces(blob.file(), 0, None, &mut vec![0; PIECE], |piece| {
            hasher.update(piece);
            if self.advance(piece.len() as u64) { ControlFlow::Continue(()) } else { ControlFlow::Break(Stopped) }
        });
        match read {
            Ok(ControlFlow::Continue(())) => Ok(Ok(hasher.finish())),
            Ok(ControlFlow::Break(stopped)) => Ok(Err(stopped)),
            Err(ReadFailed { error, .. }) => Err(error),
        }
    }

    /// Says that so many bytes were read; whether to go on.
    pub(super) fn advance(&mut self, bytes: u64) -> bool {
        self.report.bytes += bytes;
        if bytes > 0 && !(self.watch)(VerifyProgress { bytes: self.report.bytes, total: self.total }) {
            self.report.stopped = true;
        }
        !self.report.stopped
    }

    async fn move_aside(&self, damaged: &Blob) -> Result<bool, Error> {
        let _alone = self.core.catalog.files.exclusive().await?;
        let moved = self.core.blobs.quarantine(damaged).await?;
        self.core.catalog.forget_manifests();
        Ok(moved)
    }
}
