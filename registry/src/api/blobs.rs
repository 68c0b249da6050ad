//! end-2, end-10: pulling blobs, whole or in ranges, and deleting them.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::body::Body;
use super::conditions::not_modified;
use super::error::Error;
use super::headers::{empty, identify, insert, ranges_apply};
use super::{Arrival, log};
use crate::names::RequestedName;
use crate::oci::{ByteRange, Digest, MediaType, RangeSet, RequestedRanges, TagOrDigest};
use crate::{Registry, Repository};

pub(super) async fn pull(
    registry: &Registry,
    headers: &HeaderMap,
    arrival: &Arrival,
    name: &RequestedName,
    digest: &Digest,
) -> Result<Response<Body>, Error> {
    let blob = registry.blob(name, digest).await?;
    if let Some(response) = not_modified(headers, digest)? {
        return Ok(response);
    }
    if blob.unverified().is_some() {
        // Only the whole blob can be checked against its digest. `Range` may be ignored (RFC 9110, 14.2), and this
        // response does not send `Accept-Ranges`.
        let mut response = send(StatusCode::OK, Body::checked(blob, arrival));
        identify(&mut response, digest);
        return Ok(response);
    }
    let size = blob.size();
    let mut response = match ranges(headers, digest, size) {
        RangeSet::Whole => send(StatusCode::OK, Body::blob(blob, ByteRange { start: 0, end: size }, arrival)),
        RangeSet::Unsatisfiable => return Err(Error::RangeNotSatisfiable { digest: *digest, size }),
        RangeSet::Parts(parts) => match *parts.as_slice() {
            [range] => {
                let mut response = send(StatusCode::PARTIAL_CONTENT, Body::blob(blob, range, arrival));
                insert(&mut response, header::CONTENT_RANGE, range.content_range(size));
                response
            }
            _ => {
                let (body, boundary) = Body::ranges(blob, &parts, arrival);
                let mut response = send(StatusCode::PARTIAL_CONTENT, body);
                insert(&mut response, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
                response
            }
        },
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    identify(&mut response, digest);
    Ok(response)
}

pub(super) async fn delete(
    repository: &Repository,
    digest: &Digest,
    arrival: &Arrival,
) -> Result<Response<Body>, Error> {
    repository.delete_blob(digest).await?;
    log::deleted(arrival, repository.name(), &TagOrDigest::Digest(*digest), &[]);
    Ok(empty(StatusCode::ACCEPTED))
}

fn ranges(headers: &HeaderMap, digest: &Digest, size: u64) -> RangeSet {
    let Some(requested) = headers.get(header::RANGE).and_then(|value| RequestedRanges::parse(value.to_str().ok()?))
    else {
        return RangeSet::Whole;
    };
    if !ranges_apply(headers, digest) {
        return RangeSet::Whole;
    }
    match requested.of(size) {
        // Overlapping ranges could ask for a large blob a thousand times over (RFC 9110, 14.2).
        RangeSet::Parts(parts) if parts.iter().map(ByteRange::len).fold(0, u64::saturating_add) > size => {
            RangeSet::Whole
        }
        ranges => ranges,
    }
}

fn send(status: StatusCode, body: Body) -> Response<Body> {
    let length = HeaderValue::from(body.length());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MediaType::OCTET_STREAM));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}
