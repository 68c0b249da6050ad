//! end-3, end-7, end-9: manifests. Their bytes are served exactly as received, whatever `Accept` says: any conversion
//! would change the digest.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::body::Body;
use super::conditions::not_modified;
use super::error::Error;
use super::headers::{
    self, AIRDOCK_PROVENANCE, DOCKER_CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, content, empty, identify, insert,
};
use super::receiving::Receipt;
use super::request_body::RequestBody;
use super::{Arrival, Shared, log};
use crate::names::RequestedName;
use crate::oci::{InvalidManifest, MAX_MANIFEST_SIZE, Manifest, Tag, TagOrDigest};
use crate::{Provenance, PutReference, Registry, Repository};

/// How much memory a manifest takes at first, in bytes. Most need no more; one that does takes the rest when it has sent these.
const FIRST: usize = 64 * 1024;

/// From this size in bytes on, a manifest is parsed on a blocking thread: parsing would hold a runtime thread too long.
const PARSE_ELSEWHERE: usize = 128 * 1024;

pub(super) async fn pull(
    registry: &Registry,
    fields: &HeaderMap,
    name: &RequestedName,
    reference: &TagOrDigest,
) -> Result<Response<Body>, Error> {
    let manifest = registry.manifest(name, reference).await?;
    let mut response = match not_modified(fields, &manifest.digest)? {
        Some(response) => response,
        None => {
            let mut response = content(headers::media_type(&manifest.media_type), manifest.bytes);
            identify(&mut response, &manifest.digest);
            response
        }
    };
    if let Some(provenance) = manifest.provenance {
        let value = HeaderValue::from_maybe_shared(provenance).expect("the registry writes it in visible ASCII");
        response.headers_mut().insert(AIRDOCK_PROVENANCE, value);
    }
    Ok(response)
}

pub(super) async fn push(
    shared: &Shared,
    headers: &HeaderMap,
    repository: &Repository,
    reference: PutReference,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    // An invalid one is refused rather than guessed.
    let media_type = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).parse());
    let media_type = media_type.transpose()?;
    if body.length.is_some_and(|length| length > MAX_MANIFEST_SIZE as u64) {
        return Err(InvalidManifest::TooLarge.into());
    }
    // Held until the push is done.
    let receipt = shared.receiving.begin();
    let bytes = tokio::select! {
        received = receive(body, &receipt) => received?,
        gave_way = receipt.has_to_give_way() => return Err(gave_way.into()),
    };
    let manifest = if bytes.len() < PARSE_ELSEWHERE {
        Manifest::parse(bytes, media_type)
    } else {
        tokio::task::spawn_blocking(|| Manifest::parse(bytes, media_type)).await.map_err(|_| Error::Panicked)?
    }?;
    let by_digest = matches!(reference, PutReference::Digest(..));
    let put = repository.put_manifest(reference, manifest, Provenance::Pushed { by: "anonymous".into() }).await?;
    let mut response = empty(StatusCode::CREATED);
    insert(&mut response, header::LOCATION, format!("/v2/{}/manifests/{}", repository.name(), put.digest));
    insert(&mut response, DOCKER_CONTENT_DIGEST, put.digest.to_string());
    if let Some(subject) = put.subject {
        // Without this header clients push the referrers fallback tag themselves.
        insert(&mut response, OCI_SUBJECT, subject.to_string());
    }
    if by_digest && !put.tags.is_empty() {
        insert(&mut response, OCI_TAG, put.tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "));
    }
    Ok(response)
}

pub(super) async fn delete(
    repository: &Repository,
    reference: &TagOrDigest,
    arrival: &Arrival,
) -> Result<Response<Body>, Error> {
    let tags = repository.delete_manifest(reference).await?;
    log::deleted(arrival, repository.name(), reference, &tags);
    Ok(empty(StatusCode::ACCEPTED))
}

/// The whole body, with its size checked and its memory taken as it arrives: a client may announce what it never sends, and
/// a chunked body announces nothing.
async fn receive(body: &mut RequestBody, receipt: &Receipt<'_>) -> Result<Bytes, Error> {
    let announced = body.length.and_then(|length| usize::try_from(length).ok()).unwrap_or(MAX_MANIFEST_SIZE);
    let (mut whole, mut taken) = (BytesMut::new(), 0);
    while let Some(bytes) = body.next().await? {
        let length = whole.len() + bytes.len();
        if length > MAX_MANIFEST_SIZE {
            return Err(InvalidManifest::TooLarge.into());
        }
        if length > taken {
            let needed = if length <= FIRST { announced.min(FIRST) } else { announced }.max(length);
            receipt.take(needed - taken).await?;
            whole.reserve(needed - whole.len());
            taken = needed;
        }
        whole.extend_from_slice(&bytes);
        receipt.received(bytes.len());
    }
    receipt.complete();
    Ok(whole.freeze())
}
