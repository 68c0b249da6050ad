//! Reads the blobs of mounted media, at every position. Nothing on a medium is ever changed.

use std::sync::Arc;

use super::Pass;
use super::findings::{Subject, stored};
use super::report::{MediumPosition, MediumRead};
use crate::blobs::{Medium, MediumBlob, MediumError, Unfinished, re_hash};
use crate::core::Core;
use crate::oci::{Digest, RepositoryName};

/// One blob of a medium at one position.
#[derive(Clone, Debug)]
pub(super) struct Position {
    medium: Arc<Medium>,
    blob: Arc<MediumBlob>,
}

impl Position {
    fn new(medium: &Arc<Medium>, blob: Arc<MediumBlob>) -> Self {
        Self { medium: medium.clone(), blob }
    }

    /// Every position of a blob that media show in a repository.
    pub(super) fn shown(core: &Core, repository: &RepositoryName, digest: &Digest) -> Vec<Self> {
        let (names, media) = (core.catalog.mounted(), core.blobs.media());
        // Both lists hold the same media in the same order; one that is just being mounted may be in the first alone.
        let shows = |medium: &&Arc<Medium>| {
            names.iter().any(|names| names.medium == medium.name && names.shows(repository, digest))
        };
        let shown = media.iter().filter(shows);
        shown.flat_map(|medium| medium.positions(digest).into_iter().map(|blob| Self::new(medium, blob))).collect()
    }

    /// Every position of every blob of all media.
    pub(super) fn all(core: &Core) -> Vec<Self> {
        let media = core.blobs.media();
        media
            .iter()
            .flat_map(|medium| medium.every_position().into_iter().map(|blob| Self::new(medium, blob)))
            .collect()
    }

    /// As a finding names it.
    fn subject(&self) -> Subject {
        let (file, offset) = self.blob.position();
        let position = MediumPosition { medium: self.medium.name.clone(), file: file.to_owned(), offset };
        (self.blob.digest().to_string(), Some(position))
    }
}

/// Each position once, in the order in which they are read.
pub(super) fn in_order(mut positions: Vec<Position>) -> Vec<Position> {
    positions.sort_by_key(|position| Arc::as_ptr(&position.blob));
    positions.dedup_by_key(|position| Arc::as_ptr(&position.blob));
    positions.sort_by(|a, b| a.blob.position().cmp(&b.blob.position()));
    positions
}

/// How many bytes there are to read at these positions.
pub(super) fn bytes_of(positions: &[Position]) -> u64 {
    positions.iter().filter(|position| !position.blob.is_in_memory()).map(|position| position.blob.size()).sum()
}

impl Pass<'_> {
    /// Reads blobs of media, each at one position.
    pub(super) fn positions(&mut self, positions: &[Position]) {
        for position in positions {
            if self.report.stopped {
                return;
            }
            let before = self.report.bytes;
            let read = self.position(position);
            let bytes = self.report.bytes - before;
            let (media, name) = (&mut self.report.media, &position.medium.name);
            let index = media.iter().position(|medium| medium.name == *name).unwrap_or_else(|| {
                media.push(MediumRead { name: name.clone(), blobs: 0, bytes: 0 });
                media.len() - 1
            });
            media[index].bytes += bytes;
            media[index].blobs += u64::from(read);
        }
    }

    /// Reads one blob. Returns whether it was read: bytes in memory are not read from the medium again.
    fn position(&mut self, position: &Position) -> bool {
        let blob = &position.blob;
        if blob.is_in_memory() {
            return false;
        }
        self.report.blobs += 1;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = re_hash(blob, &mut buffer, &mut |bytes| self.advance(bytes));
        self.buffer = buffer;
        let problem = match read {
            Ok(()) => return true,
            Err(Unfinished::Stopped) => return false,
            Err(Unfinished::Failed(MediumError::Unreadable { reason, .. })) => {
                format!("it cannot be read: {reason}; is the medium still in?")
            }
            Err(Unfinished::Failed(MediumError::Changed { .. })) => {
                "its file was changed since; restart the server to mount it again".to_owned()
            }
            Err(Unfinished::Failed(MediumError::Damaged { .. })) => "its content does not have its digest".to_owned(),
        };
        self.findings.of(position.subject(), problem);
        true
    }

    /// The findings because of which a blob that is visible in this repository cannot be pulled from it.
    pub(super) fn lost(&self, repository: &RepositoryName, digest: &Digest, is_stored: bool) -> Vec<Subject> {
        if self.findings.found.is_empty() {
            return Vec::new();
        }
        let stored = stored(digest);
        if self.findings.found.contains_key(&stored) {
            return vec![stored];
        }
        if is_stored {
            return Vec::new();
        }
        let positions = Position::shown(self.core, repository, digest);
        let lost: Vec<_> =
            positions.iter().map(Position::subject).filter(|at| self.findings.found.contains_key(at)).collect();
        // One whole position is enough.
        if lost.len() == positions.len() { lost } else { Vec::new() }
    }
}
