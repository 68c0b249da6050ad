//! Reading what mounted media hold, at every place it lies at. Nothing of a medium is ever changed.

use std::sync::Arc;

use super::findings::Subject;
use super::{MediumPlace, MediumRead, Pass, Stopped};
use crate::mounts::Mount;
use crate::oci::{Digest, RepositoryName};
use crate::store::{MediumBlob, MediumError};

impl MediumPlace {
    fn of(mount: &Mount, blob: &MediumBlob) -> Self {
        let (file, offset) = blob.position();
        Self { medium: mount.name.clone(), file: file.to_owned(), offset }
    }
}

impl Pass<'_> {
    /// Reads blobs of media, each at one place.
    pub(super) fn places(&mut self, places: &[(Arc<Mount>, Arc<MediumBlob>)]) {
        for (mount, blob) in places {
            if self.report.stopped {
                return;
            }
            let before = self.report.bytes;
            let read = self.place(mount, blob);
            let bytes = self.report.bytes - before;
            let media = &mut self.report.media;
            let known = media.iter().position(|medium| medium.name == mount.name);
            let index = known.unwrap_or_else(|| {
                media.push(MediumRead { name: mount.name.clone(), blobs: 0, bytes: 0 });
                media.len() - 1
            });
            media[index].bytes += bytes;
            media[index].blobs += u64::from(read);
        }
    }

    /// Whether it was read: what is in memory is not the medium's any more.
    fn place(&mut self, mount: &Mount, blob: &Arc<MediumBlob>) -> bool {
        if blob.is_in_memory() {
            return false;
        }
        self.report.blobs += 1;
        let problem = match self.read(blob) {
            Ok(Ok(found)) if found == blob.digest() => return true,
            Ok(Ok(found)) => format!("its content has digest `{found}`"),
            Ok(Err(Stopped)) => return false,
            Err(MediumError::Unreadable { reason, .. }) => {
                format!("it cannot be read: {reason}; is the medium still in?")
            }
            Err(MediumError::Changed { .. }) => {
                "its file was changed since; restart airdock to mount it anew".to_owned()
            }
            // Somebody has read it before.
            Err(MediumError::Damaged { .. }) => "its content does not have its digest".to_owned(),
        };
        self.findings.of(Subject::mounted(&blob.digest(), MediumPlace::of(mount, blob)), problem);
        true
    }

    fn read(&mut self, blob: &Arc<MediumBlob>) -> Result<Result<Digest, Stopped>, MediumError> {
        let opened = blob.open()?;
        let hashed = self.hash(opened.file(), opened.offset(), Some(blob.size()), blob.digest().algorithm());
        let found = hashed.map_err(|error| blob.unreadable(&error))?;
        if let Ok(found) = &found {
            // What it is from here on is for those who serve it, too; that it is something else is said here.
            let _ = blob.found(found);
        }
        Ok(found)
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
        let places = self.shared.mounts.blob_places(repository, digest);
        let subject =
            |(mount, blob): &(Arc<Mount>, Arc<MediumBlob>)| Subject::mounted(digest, MediumPlace::of(mount, blob));
        let lost: Vec<_> = places.iter().map(subject).filter(|place| self.findings.has(place)).collect();
        // One place that gives it is enough.
        if lost.len() == places.len() { lost } else { Vec::new() }
    }
}
