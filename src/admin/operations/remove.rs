//! Removing tags and manifests, one after the other.

use airdock_registry::Error;
use airdock_registry::oci::TagOrDigest;

use crate::admin::operation::{Call, Parts};
use crate::admin::reference;
use crate::admin::wire::{Removal, Removals, Remove};
use crate::exit::Failure;

/// Removes what each reference names. Nothing is removed unless all of them are references.
pub(super) async fn remove(asked: Remove, call: Call, parts: Parts) -> Result<Removals, Failure> {
    let parsed: Vec<_> = asked
        .references
        .iter()
        .map(|text| reference::parse(text, call.registry().names()))
        .collect::<Result<_, _>>()?;
    let mut failed = 0;
    for (text, wanted) in asked.references.iter().zip(parsed) {
        // As for a client's DELETE: exactly the repository that is named, none of the others a pull would try.
        let repository = call.registry().repository(wanted.name.write_target().clone());
        let mut removal = Removal { reference: text.clone(), manifest: None, tags: Vec::new(), problem: None };
        match repository.delete_manifest(&wanted.what).await {
            Ok(tags) => {
                tracing::info!(by = call.by, repository = %repository.name(), reference = %wanted.what, tags = tags.len(), "deleted");
                removal.tags = tags.iter().map(|tag| format!("{}:{tag}", repository.name())).collect();
                if let TagOrDigest::Digest(digest) = &wanted.what {
                    removal.manifest = Some(format!("{}@{digest}", repository.name()));
                }
            }
            Err(error) => {
                failed += 1;
                let mut problem = Failure::of(&format!("cannot remove `{text}`"), &error).message;
                if let Error::ManifestUnknown { .. } = error
                    && let Ok((other, _)) = call.registry().locate(&wanted.name, &wanted.what).await
                {
                    problem += &format!("; `{other}` has it");
                }
                removal.problem = Some(problem);
            }
        }
        parts.send(&removal).await?;
    }
    Ok(Removals { failed })
}
