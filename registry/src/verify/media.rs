//! Reading what mounted media hold, at every position. Nothing of a medium is ever changed.

use super::findings::Subject;
use super::pass::Pass;
use super::position::Position;
use super::report::MediumRead;
use crate::blobs::{MediumError, Unfinished, re_hash};
use crate::oci::{Digest, RepositoryName};

/// Read at once, in bytes.
const PIECE: usize = 1024 * 1024;

impl Pass<'_> {
    /// Reads blobs of media, each at one position.
    pub(super) fn positions(&mut self, positions: &[Position]) {
        let mut buffer = if positions.is_empty() { Vec::new() } else { vec![0; PIECE] };
        for position in positions {
            if self.report.stopped {
                return;
            }
            let before = self.report.bytes;
            let read = self.position(position, &mut buffer);
            let bytes = self.report.bytes - before;
            let (media, name) = (&mut self.report.media, &position.medium().name);
            let index = media.iter().position(|medium| medium.name == *name).unwrap_or_else(|| {
                media.push(MediumRead { name: name.clone(), blobs: 0, bytes: 0 });
                media.len() - 1
            });
            media[index].bytes += bytes;
            media[index].blobs += u64::from(read);
        }
    }

    /// Whether it was read: what is in memory is not the medium's any more.
    fn position(&mut self, position: &Position, buffer: &mut [u8]) -> bool {
        let blob = position.blob();
        if blob.is_in_memory() {
            return false;
        }
        self.report.blobs += 1;
        let problem = match re_hash(blob, buffer, &mut |bytes| self.advance(bytes)) {
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
        self.findings.of(Subject::mounted(&blob.digest(), position.place()), problem);
        true
    }

    /// Because of which findings a blob that this repository shows cannot be pulled from there.
    pub(super) fn lost(&self, repository: &RepositoryName, digest: &Digest, is_stored: bool) -> Vec<Subject> {
        if self.findings.is_empty() {
            return Vec::new();
        }
        let stored = Subject::stored(digest);
        if self.findings.has(&stored) {
            return vec![stored];
        }
        if is_stored {
            return Vec::new();
        }
        let positions = Position::shown(self.core, repository, digest);
        let subject = |position: &Position| Subject::mounted(digest, position.place());
        let lost: Vec<_> = positions.iter().map(subject).filter(|subject| self.findings.has(subject)).collect();
        // One position that gives it is enough.
        if lost.len() == positions.len() { lost } else { Vec::new() }
    }
}
