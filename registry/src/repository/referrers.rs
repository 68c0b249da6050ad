//! The manifests about a manifest (end-12): signatures, attestations, bills of materials.
//!
//! What clients without the API listed under the fallback tag is part of the answer (distribution-spec, "Enabling the
//! Referrers API"), each once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::names::RequestedName;
use crate::oci::{Descriptor, Digest, Manifest, MediaType, RepositoryName, Tag, TagOrDigest};
use crate::registry::{Registry, Shared};

/// How large an answer grows before it is cut into pages, in bytes: clients read at most 4 MiB.
const PAGE: usize = 3 * 1024 * 1024;

/// Most manifests looked at for one page, so that a filter that matches nothing ends too.
const LOOKED_AT: usize = 2000;

/// Some of the manifests about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersPage {
    /// The image index that is the answer.
    pub json: Bytes,
    /// The digest to go on after, when there are more.
    pub next: Option<Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Box<serde_json::value::RawValue>>,
}

impl Registry {
    /// The manifests about `subject`, of one of `artifact_types` when there are any, in the order of their digests,
    /// after `after`. Nothing is not an error: the subject, even the repository, need not be there.
    ///
    /// # Errors
    /// When the disk or the metadata fails.
    pub async fn referrers(
        &self,
        name: &RequestedName,
        subject: &Digest,
        artifact_types: &[String],
        after: Option<&Digest>,
    ) -> Result<ReferrersPage, Error> {
        let candidates = name.candidates().cloned().collect::<Vec<_>>();
        let (subject, after, artifact_types) = (*subject, after.copied(), artifact_types.to_vec());
        let page = self.0.read(move |shared, metadata| {
            for repository in &candidates {
                let referrers = shared.referrers_of(repository, &subject, metadata)?;
                if !referrers.is_empty() {
                    return shared.page(repository, &referrers, &artifact_types, after);
                }
            }
            Ok(ReferrersPage { json: render(Vec::new()), next: None })
        });
        page.await
    }
}

impl Shared {
    fn referrers_of(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        metadata: &Metadata,
    ) -> Result<BTreeSet<Digest>, Error> {
        let mut found: BTreeSet<Digest> = metadata.referrers(repository, subject)?.into_iter().collect();
        let fallback = TagOrDigest::Tag(Tag::referrers_fallback(subject));
        found.extend(self.mounts.referrers(repository, subject));
        if let Some(index) = self.read_manifest((repository.clone(), fallback))?
            && let Ok(index) = Manifest::parse(index.bytes, Some(index.media_type))
        {
            found.extend(index.children().map(|(child, _)| child.digest));
        }
        Ok(found)
    }

    fn page(
        &self,
        repository: &RepositoryName,
        referrers: &BTreeSet<Digest>,
        artifact_types: &[String],
        after: Option<Digest>,
    ) -> Result<ReferrersPage, Error> {
        let mut entries = Vec::new();
        let (mut size, mut next, mut last) = (0, None, None);
        let rest = referrers.iter().filter(|digest| after.is_none_or(|after| **digest > after));
        for (looked_at, digest) in rest.enumerate() {
            if looked_at == LOOKED_AT {
                next = last;
                break;
            }
            if let Some(entry) = self.entry(repository, digest, artifact_types)? {
                if size > 0 && size + entry.get().len() > PAGE {
                    next = last;
                    break;
                }
                size += entry.get().len();
                entries.push(entry);
            }
            last = Some(*digest);
        }
        Ok(ReferrersPage { json: render(entries), next })
    }

    fn entry(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        artifact_types: &[String],
    ) -> Result<Option<Box<serde_json::value::RawValue>>, Error> {
        let Some(found) = self.find_manifest(repository, digest)? else { return Ok(None) };
        let size = found.bytes.len() as u64;
        let Ok(manifest) = Manifest::parse(found.bytes, Some(found.media_type.clone())) else { return Ok(None) };
        let artifact_type = manifest.artifact_type().map(str::to_owned);
        if !artifact_types.is_empty() && !artifact_type.as_ref().is_some_and(|found| artifact_types.contains(found)) {
            return Ok(None);
        }
        let descriptor = Descriptor { media_type: found.media_type, digest: *digest, size };
        let entry = Entry { descriptor, artifact_type, annotations: manifest.annotations().cloned() };
        Ok(serde_json::value::to_raw_value(&entry).ok())
    }
}

fn render(manifests: Vec<Box<serde_json::value::RawValue>>) -> Bytes {
    let index = Index { schema_version: 2, media_type: MediaType::IMAGE_INDEX, manifests };
    serde_json::to_vec(&index).unwrap_or_default().into()
}
