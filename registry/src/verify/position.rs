//! Where the blobs of media are.

use std::sync::Arc;

use super::report::MediumPlace;
use crate::blobs::{Medium, MediumBlob};
use crate::core::Core;
use crate::oci::{Digest, RepositoryName};

/// One blob of a medium at one position.
#[derive(Clone, Debug)]
pub(super) struct Position {
    medium: Arc<Medium>,
    blob: Arc<MediumBlob>,
}

impl Position {
    /// Every position of a blob that media show in a repository.
    pub(super) fn shown(core: &Core, repository: &RepositoryName, digest: &Digest) -> Vec<Self> {
        let names = core.catalog.mounted();
        let media = core.blobs.media();
        // Both lists are of the same media in the same order; one that is just being mounted may be in the first alone.
        let shows = |medium: &&Arc<Medium>| {
            names.iter().any(|names| names.medium == medium.name && names.shows(repository, digest))
        };
        let all = media.iter().filter(shows).flat_map(|medium| {
            let position = |blob| Self { medium: medium.clone(), blob };
            medium.positions(digest).into_iter().map(position).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// Every position of every blob of all media.
    pub(super) fn all(core: &Core) -> Vec<Self> {
        let of = |medium: &Arc<Medium>| {
            let position = |blob| Self { medium: medium.clone(), blob };
            medium.every_position().into_iter().map(position).collect::<Vec<_>>()
        };
        core.blobs.media().iter().flat_map(of).collect()
    }

    pub(super) fn medium(&self) -> &Medium {
        &self.medium
    }

    pub(super) fn blob(&self) -> &MediumBlob {
        &self.blob
    }

    /// As a report says it.
    pub(super) fn place(&self) -> MediumPlace {
        let (file, offset) = self.blob.position();
        MediumPlace { medium: self.medium.name.clone(), file: file.to_owned(), offset }
    }
}

/// Each once, in the order in which they are read.
pub(super) fn in_order(mut positions: Vec<Position>) -> Vec<Position> {
    positions.sort_by_key(|position| Arc::as_ptr(&position.blob));
    positions.dedup_by_key(|position| Arc::as_ptr(&position.blob));
    positions.sort_by(|a, b| a.blob.position().cmp(&b.blob.position()));
    positions
}

/// What there is to read of these.
pub(super) fn bytes_of(positions: &[Position]) -> u64 {
    positions.iter().filter(|position| !position.blob.is_in_memory()).map(|position| position.blob.size()).sum()
}
