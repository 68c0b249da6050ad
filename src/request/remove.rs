//! Removing tags and manifests, one after the other.

use airdock_registry::{Error, Registry};
use serde::{Deserialize, Serialize};

use super::{Failure, Parts, Reply, reference};

/// What became of one reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Removal {
    pub(crate) reference: String,
    /// The manifest, when it was removed and not only a tag of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<String>,
    /// The tags that are gone, as `repository:tag`.
    pub(crate) tags: Vec<String>,
    /// Why nothing was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// Removes what each names; says how many could not be. Nothing is removed unless all are references.
pub(super) async fn remove(registry: &Registry, references: &[String], parts: &Parts) -> Result<u64, Failure> {
    let parsed: Vec<_> =
        references.iter().map(|text| reference::parse(text, registry.names())).collect::<Result<_, _>>()?;
    let mut failed = 0;
    for (text, wanted) in references.iter().zip(parsed) {
        // As a client's DELETE: exactly the repository it names, never one the name might also mean.
        let repository = registry.repository(wanted.name.write_target().clone());
        let mut removal = Removal { reference: text.clone(), manifest: None, tags: Vec::new(), problem: None };
        match repository.delete_manifest(&wanted.what).await {
            Ok(tags) => {
                removal.tags = tags.iter().map(|tag| format!("{}:{tag}", repository.name())).collect();
                if let airdock_registry::oci::TagOrDigest::Digest(digest) = &wanted.what {
                    removal.manifest = Some(format!("{}@{digest}", repository.name()));
                }
            }
            Err(error) => {
                failed += 1;
                let mut problem = Failure::because(&format!("cannot remove `{text}`"), &error).message;
                if let Error::ManifestUnknown { .. } = error
                    && let Ok((other, _)) = registry.locate(&wanted.name, &wanted.what).await
                {
                    problem += &format!("; `{other}` has it");
                }
                removal.problem = Some(problem);
            }
        }
        parts.send(Reply::Removal(removal)).await?;
    }
    Ok(failed)
}
