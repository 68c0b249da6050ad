//! The uploads that are open: what clients have begun and not finished.

use airdock_registry::Error;
use airdock_registry::oci::UploadId;

use crate::admin::operation::{Call, Parts};
use crate::admin::wire::{UploadRow, Uploads, UploadsRemoved};
use crate::exit::{Code, Failure};

/// The most uploads that one request names.
const NAMED: usize = 1000;

/// Lists every upload, the oldest first.
pub(super) async fn list(call: Call, parts: Parts) -> Result<Uploads, Failure> {
    let failed = |error: Error| Failure::of("cannot list the uploads", &error);
    let mut listed = Uploads::default();
    for upload in call.registry().uploads().await.map_err(failed)? {
        listed.uploads += 1;
        listed.bytes = listed.bytes.saturating_add(upload.size);
        parts.send(&UploadRow::from(upload)).await?;
    }
    Ok(listed)
}

/// Removes the uploads with these names, whoever holds them; without names, all that no request holds.
pub(super) async fn remove(ids: Vec<String>, call: Call) -> Result<UploadsRemoved, Failure> {
    if ids.len() > NAMED {
        return Err(Failure::new(Code::InvalidRequest, format!("more than {NAMED} uploads; name fewer at once")));
    }
    let failed = |error: Error| Failure::of("cannot remove an upload", &error);
    let registry = call.registry();
    let mut wanted = Vec::new();
    for id in &ids {
        let parsed = id.parse::<UploadId>();
        wanted.push(parsed.map_err(|error| Failure::new(Code::InvalidRequest, format!("`{id}`: {error}")))?);
    }
    if ids.is_empty() {
        let all = registry.uploads().await.map_err(failed)?;
        wanted.extend(all.into_iter().filter(|upload| !upload.is_held).map(|upload| upload.id));
    }
    let mut outcome = UploadsRemoved::default();
    for id in wanted {
        if registry.remove_upload(id).await.map_err(failed)? {
            outcome.removed += 1;
        } else if !ids.is_empty() {
            outcome.unknown.push(id.to_string());
        }
    }
    tracing::info!(by = call.by, removed = outcome.removed, "uploads were removed");
    Ok(outcome)
}
