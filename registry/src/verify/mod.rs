//! Reads everything again: does each blob have its digest, is everything there that each manifest names, and would a client
//! take it? An index is followed to the manifests it lists, which have the size and type it gives and of which one is there
//! at least; an image's layers are as many as its config names, and plain ones have its DiffIDs. Compressed layers are not
//! unpacked.
//!
//! Covers the data folder and mounted media. It takes a lock only to move a damaged file aside, so a server keeps serving.
//! Memory is bounded by the number of findings, not of blobs, and the page cache is asked not to keep what is read.

mod findings;
mod media;
mod names;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::ops::ControlFlow;

use futures_util::StreamExt as _;
use tokio::runtime::Handle;

use crate::blobs::{Blob, Place};
use crate::core::Core;
use crate::disk::{ReadFailed, read_pieces, threads};
use crate::error::Error;
use crate::oci::{Digest, RepositoryName};
use findings::{Findings, stored};
use media::{Position, bytes_of, in_order};

pub use report::{Finding, MediumPosition, MediumRead, VerifyProgress, VerifyReport};

/// Bytes read at once.
const PIECE: usize = 1024 * 1024;

/// See [`Registry::verify`](crate::Registry::verify).
pub(crate) fn verify(
    core: &Core,
    scope: Option<&[(RepositoryName, Digest)]>,
    remove_damaged: bool,
    watch: &mut dyn FnMut(VerifyProgress) -> bool,
) -> Result<VerifyReport, Error> {
    let runtime = Handle::try_current().map_err(|_| Error::Unavailable("a verification needs a runtime".into()))?;
    let (findings, report, buffer) = (Findings::default(), VerifyReport::default(), vec![0; PIECE]);
    let mut pass = Pass { core, remove_damaged, findings, report, total: 0, buffer, watch };
    threads::block_on(&runtime, async {
        match scope {
            None => pass.everything().await,
            Some(scope) => pass.manifests(scope).await,
        }
    })?;
    let (findings, more) = pass.findings.end();
    Ok(VerifyReport { findings, more, ..pass.report })
}

/// The watcher asked to stop.
struct Stopped;

/// One verification.
struct Pass<'a> {
    core: &'a Core,
    remove_damaged: bool,
    findings: Findings,
    report: VerifyReport,
    total: u64,
    /// Always of [`PIECE`] bytes, except while a blob is read into it.
    buffer: Vec<u8>,
    watch: &'a mut (dyn FnMut(VerifyProgress) -> bool + 'a),
}

impl Pass<'_> {
    async fn everything(&mut self) -> Result<(), Error> {
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

    /// Reads only what these manifests need, including the manifests they list.
    async fn manifests(&mut self, scope: &[(RepositoryName, Digest)]) -> Result<(), Error> {
        let core = self.core;
        let (mut seen, mut needed, mut positions) = (HashSet::new(), BTreeSet::new(), Vec::new());
        for (repository, root) in scope {
            // A manifest whose link is damaged counts as stored.
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

    /// Reads a blob and compares its digest. An absent one is found by what names it.
    async fn blob(&mut self, digest: &Digest) -> Result<(), Error> {
        let Some(blob) = self.core.blobs.depot.find(digest, None).await? else { return Ok(()) };
        self.report.blobs += 1;
        let problem = match self.hash(&blob) {
            Ok(Err(Stopped)) => return Ok(()),
            Ok(Ok(found)) if found == *digest => return Ok(()),
            Ok(Ok(found)) => format!("its content has digest `{found}`"),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let removed = self.remove_damaged && self.move_aside(&blob).await?;
        if let Some(finding) = self.findings.of(stored(digest), problem) {
            finding.removed = removed;
        }
        Ok(())
    }

    fn hash(&mut self, blob: &Blob) -> io::Result<Result<Digest, Stopped>> {
        // What is read once must not push out of the page cache what clients read all the time.
        let _ = rustix::fs::fadvise(blob.file(), 0, None, rustix::fs::Advice::NoReuse);
        let mut hasher = blob.digest().algorithm().hasher();
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = read_pieces(blob.file(), 0, None, &mut buffer, |piece| {
            hasher.update(piece);
            if self.advance(piece.len() as u64) { ControlFlow::Continue(()) } else { ControlFlow::Break(Stopped) }
        });
        self.buffer = buffer;
        match read {
            Ok(ControlFlow::Continue(())) => Ok(Ok(hasher.finish())),
            Ok(ControlFlow::Break(stopped)) => Ok(Err(stopped)),
            Err(ReadFailed { error, .. }) => Err(error),
        }
    }

    /// Reports that so many bytes were read. Returns whether to go on.
    fn advance(&mut self, bytes: u64) -> bool {
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
