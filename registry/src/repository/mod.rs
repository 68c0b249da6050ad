//! The use cases of clients, without HTTP.
//!
//! Reads try the repositories that the requested name may mean; writes go to exactly one. Invariants: a manifest is
//! committed only after everything it names is there; a blob is visible only where it is linked; reads never write.

mod carry;
mod delete;
pub(crate) mod describe;
mod precondition;
pub(crate) mod pull;
mod push;
pub(crate) mod referrers;
pub(crate) mod tags;
mod upload;

use std::net::IpAddr;
use std::sync::Arc;

use crate::core::Core;
use crate::oci::RepositoryName;

pub use describe::{ContentKind, Description, Holder, Listed, Part, Summary, Tagged, TaggedPage};
pub use precondition::{Digests, Precondition};
pub use push::{PutManifest, PutReference};
pub use referrers::ReferrersPage;
pub use tags::{RepositoryPage, TagPage};
pub use upload::Upload;

/// One repository, to be changed.
#[derive(Clone, Debug)]
pub struct Repository {
    core: Arc<Core>,
    name: RepositoryName,
    client: Option<IpAddr>,
    precondition: Precondition,
}

impl Repository {
    pub(crate) const fn new(core: Arc<Core>, name: RepositoryName) -> Self {
        Self { core, name, client: None, precondition: Precondition { matches: None, none_matches: None } }
    }

    /// The same repository, changed for a client with this address: each may have so many uploads.
    #[must_use]
    pub fn for_client(mut self, client: Option<IpAddr>) -> Self {
        self.client = client;
        self
    }

    /// The same repository, whose manifests, tags and blobs are put and deleted only if what is there fits.
    #[must_use]
    pub fn only_if(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &RepositoryName {
        &self.name
    }
}

#[cfg(test)]
mod tests;
