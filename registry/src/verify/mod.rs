//! Reading everything again: does each blob have its digest, and does each manifest have what it names?
//!
//! Works on the data folder and on mounted media, and takes no lock but to move a damaged file aside, so a server goes
//! on meanwhile. Memory is bounded by the number of findings, not of blobs; reading is in pieces, and the page cache is
//! asked not to keep them.

mod findings;
mod media;
mod names;
mod pass;
mod report;

use tokio::runtime::Handle;

use crate::disk::threads;
use crate::error::Error;
use crate::oci::{Digest, RepositoryName};
use crate::registry::Registry;
use pass::Pass;

pub use report::{Finding, MediumPlace, MediumRead, VerifyProgress, VerifyReport};

impl Registry {
    /// Reads every blob of the data folder and of mounted media, or what the manifests of `scope` need, and looks whether
    /// each manifest has what it names. Media are read for a `scope` as far as they alone have its manifests. With
    /// `remove_damaged`, files of the data folder that do not have their digest are moved to `damaged/` in it, so that
    /// the next ingest or push brings them anew: a blob that is there is not written again. Nothing of a medium is ever
    /// moved. `watch` is told of every piece and ends the work by saying no.
    ///
    /// Blocks for as long as reading takes, and needs the runtime the registry was opened in.
    ///
    /// # Errors
    /// When the disk cannot be read at all. What is damaged is in the report.
    pub fn verify(
        &self,
        scope: Option<&[(RepositoryName, Digest)]>,
        remove_damaged: bool,
        watch: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> Result<VerifyReport, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::Unavailable("a verification needs a runtime".into()))?;
        let mut pass = Pass::new(&self.core, remove_damaged, watch);
        threads::block_on(&runtime, async {
            match scope {
                None => pass.everything().await,
                Some(scope) => pass.manifests(scope).await,
            }
        })?;
        Ok(pass.end())
    }
}
