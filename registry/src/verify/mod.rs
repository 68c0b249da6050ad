//! Reading everything again: does each blob have its digest, and does each manifest have what it names?
//!
//! Works on the data folder and on mounted media, and takes no lock but to move a damaged file aside, so a server goes
//! on meanwhile. Memory is bounded by the number of findings, not of blobs; reading is in pieces, and the page cache is
//! asked not to keep them.

mod findings;
mod media;
mod names;
mod pass;
mod position;
mod report;

use tokio::runtime::Handle;

use crate::core::Core;
use crate::disk::threads;
use crate::error::Error;
use crate::oci::{Digest, RepositoryName};
use pass::Pass;

pub use report::{Finding, MediumPlace, MediumRead, VerifyProgress, VerifyReport};

/// See [`Registry::verify`](crate::Registry::verify).
pub(crate) fn verify(
    core: &Core,
    scope: Option<&[(RepositoryName, Digest)]>,
    remove_damaged: bool,
    watch: &mut dyn FnMut(VerifyProgress) -> bool,
) -> Result<VerifyReport, Error> {
    let runtime = Handle::try_current().map_err(|_| Error::Unavailable("a verification needs a runtime".into()))?;
    let mut pass = Pass::new(core, remove_damaged, watch);
    threads::block_on(&runtime, async {
        match scope {
            None => pass.everything().await,
            Some(scope) => pass.manifests(scope).await,
        }
    })?;
    Ok(pass.end())
}
