//! The header fields of the OCI and Docker specifications, and how their values are written. Locations and links are
//! absolute paths without a host: every client resolves them against the address it used, so neither `Host` nor a
//! proxy's headers are ever read. Content addressed by digest never changes, so its digest is a strong `ETag`
//! (see `conditions`).

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::Body;
use super::endpoint::Page;
use crate::names::RequestedName;
use crate::oci::{Digest, MediaType, RepositoryName, UploadId};

pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(super) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
pub(super) const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
pub(super) const AIRDOCK_PROVENANCE: HeaderName = HeaderName::from_static("airdock-provenance");
pub(super) const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// Everything but RFC 3986's unreserved characters is percent-encoded in a query value.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sets a header to text made of names, tags, digests and numbers, which are always valid in a header.
pub(super) fn insert(response: &mut Response<Body>, name: HeaderName, value: impl Into<String>) {
    let value = HeaderValue::try_from(value.into()).expect("names, tags, digests and numbers are visible ASCII");
    response.headers_mut().insert(name, value);
}

/// A 200 response with a body.
pub(super) fn content(media_type: HeaderValue, bytes: Bytes) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(Body::full(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    // Set here rather than by the server: a response to HEAD has the length but no body.
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}

/// A 200 response with a JSON body.
pub(super) fn json(bytes: Bytes) -> Response<Body> {
    content(HeaderValue::from_static("application/json"), bytes)
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    // RFC 9110, 8.6: neither of these two has a `Content-Length`.
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// Adds the digest twice: for clients to verify, and as the `ETag` for caches.
pub(super) fn identify(response: &mut Response<Body>, digest: &Digest) {
    // One allocation for both headers: every pull does this.
    let quoted = Bytes::from(format!("\"{digest}\""));
    let digest = HeaderValue::from_maybe_shared(quoted.slice(1..quoted.len() - 1)).expect("a digest is visible ASCII");
    let tag = HeaderValue::from_maybe_shared(quoted).expect("a quoted digest is visible ASCII");
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(DOCKER_CONTENT_DIGEST, digest);
}

/// A manifest's media type; the common ones without an allocation.
pub(super) fn media_type(media_type: &MediaType) -> HeaderValue {
    for known in
        [MediaType::IMAGE_MANIFEST, MediaType::IMAGE_INDEX, MediaType::DOCKER_MANIFEST, MediaType::DOCKER_MANIFEST_LIST]
    {
        if media_type.as_str() == known {
            return HeaderValue::from_static(known);
        }
    }
    if !media_type.is_application() {
        // No such manifest is taken any more.
        return HeaderValue::from_static(MediaType::OCTET_STREAM);
    }
    HeaderValue::try_from(media_type.as_str()).expect("a media type is visible ASCII")
}

/// How far an upload has come and where it continues. The location is the same for every response about an upload: it
/// carries no progress, so a client may use an old one.
pub(super) fn upload_progress(response: &mut Response<Body>, repository: &RepositoryName, id: UploadId, size: u64) {
    insert(response, header::LOCATION, format!("/v2/{repository}/blobs/uploads/{id}"));
    insert(response, DOCKER_UPLOAD_UUID, id.to_string());
    // The offset of the last byte. Docker expects `0-0` for an empty upload too.
    insert(response, header::RANGE, format!("0-{}", size.saturating_sub(1)));
}

/// Puts the path that a proxy removes before the paths that the client is to ask for.
pub(super) fn prefix(response: &mut Response<Body>, prefix: &str) {
    for name in [header::LOCATION, header::LINK] {
        let Some(value) = response.headers().get(&name).and_then(|value| value.to_str().ok()) else { continue };
        let prefixed = match value.strip_prefix('<') {
            Some(link) => format!("<{prefix}{link}"),
            None => format!("{prefix}{value}"),
        };
        insert(response, name, prefixed);
    }
}

/// Whether `Range` applies to this content. `If-Range` with another tag, a weak tag or a date asks for the whole.
pub(super) fn ranges_apply(headers: &HeaderMap, digest: &Digest) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.to_str().is_ok_and(|tag| tag == format!("\"{digest}\"")))
}

/// Builds the `Link` to the next page of a list: the path so far, and the separator of the next parameter.
pub(super) struct Next(String, char);

impl Next {
    pub(super) fn catalog() -> Self {
        Self("/v2/_catalog".into(), '?')
    }

    pub(super) fn of(name: &RequestedName, list: impl Display) -> Self {
        let next = Self(format!("/v2/{}/{list}", name.path), '?');
        // The next page must be requested by the same name and upstream.
        match &name.ns {
            Some(ns) => next.with("ns", &ns.to_string()),
            None => next,
        }
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        let _ = write!(self.0, "{}{key}={}", self.1, utf8_percent_encode(value, QUERY_VALUE));
        self.1 = '&';
        self
    }

    pub(super) fn after(self, page: &Page, last: &str) -> Self {
        self.with("n", &page.limit.to_string()).with("last", last)
    }

    pub(super) fn link(self, response: &mut Response<Body>) {
        insert(response, header::LINK, format!("<{}>; rel=\"next\"", self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use crate::oci::Algorithm;

    #[test]
    fn a_link_repeats_the_name_and_encodes_its_values() {
        let name = names::resolve(
            &names::Settings::default(),
            "a/b".parse().unwrap(),
            Some("reg.local:5000".parse().unwrap()),
        );
        let mut response = empty(StatusCode::OK);
        Next::of(&name, "tags/list").after(&Page { limit: 2, after: None }, "v1+é").link(&mut response);
        assert_eq!(
            response.headers()[header::LINK],
            "</v2/a/b/tags/list?ns=reg.local%3A5000&n=2&last=v1%2B%C3%A9>; rel=\"next\""
        );
    }

    #[test]
    fn a_204_has_no_content_length_and_a_202_has_one() {
        assert!(!empty(StatusCode::NO_CONTENT).headers().contains_key(header::CONTENT_LENGTH));
        assert_eq!(empty(StatusCode::ACCEPTED).headers()[header::CONTENT_LENGTH], "0");
    }

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn ranges_are_ignored_for_another_version() {
        let digest = Algorithm::Sha256.digest(b"x");
        assert!(ranges_apply(&HeaderMap::new(), &digest));
        assert!(ranges_apply(&asked(header::IF_RANGE, &format!("\"{digest}\"")), &digest));
        for other in ["\"x\"".to_owned(), format!("W/\"{digest}\""), "Wed, 21 Oct 2015 07:28:00 GMT".into()] {
            assert!(!ranges_apply(&asked(header::IF_RANGE, &other), &digest), "{other}");
        }
    }
}
