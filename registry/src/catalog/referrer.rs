//! A manifest about another one, as the list of referrers shows it (end-12).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::oci::{Descriptor, Digest, Manifest};

/// A manifest about another one.
#[derive(Clone, Debug)]
pub(crate) struct Referrer {
    pub(crate) digest: Digest,
    /// Its entry in the list; none where it is too long to be kept, and has to be made from the manifest.
    pub(crate) entry: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

impl Referrer {
    /// The largest list, in bytes: clients read at most 4 MiB.
    pub(crate) const PAGE: usize = 3 * 1024 * 1024;

    /// The longest entry that is kept in the index, in bytes: usual ones have some hundred, and a manifest's annotations may
    /// have megabytes.
    const KEPT: usize = 4096;

    /// What the list says of a manifest.
    pub(crate) fn of(digest: Digest, manifest: &Manifest) -> Self {
        let (media_type, size) = (manifest.media_type().clone(), manifest.bytes().len() as u64);
        let entry = Entry {
            descriptor: Descriptor { media_type, digest, size },
            artifact_type: manifest.artifact_type(),
            annotations: manifest.annotations(),
        };
        Self { digest, entry: serde_json::value::to_raw_value(&entry).ok() }
    }

    /// What the index keeps of it.
    pub(crate) fn to_store(&self) -> Vec<u8> {
        let entry = self.entry.as_ref().map(|entry| entry.get()).filter(|entry| entry.len() <= Self::KEPT);
        entry.unwrap_or_default().into()
    }

    /// What the index has kept.
    pub(crate) fn stored(digest: Digest, kept: &[u8]) -> Self {
        Self { digest, entry: serde_json::from_slice(kept).ok() }
    }

    /// Whether it is of one of these types; of any when there are none.
    pub(crate) fn is_of(entry: &RawValue, artifact_types: &[String]) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            #[serde(default)]
            artifact_type: Option<String>,
        }
        artifact_types.is_empty()
            || serde_json::from_str::<Typed>(entry.get())
                .is_ok_and(|typed| typed.artifact_type.is_some_and(|found| artifact_types.contains(&found)))
    }
}

impl PartialEq for Referrer {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Referrer {}

impl PartialOrd for Referrer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By digest, the order of the list.
impl Ord for Referrer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.digest.cmp(&other.digest)
    }
}
