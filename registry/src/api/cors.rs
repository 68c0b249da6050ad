//! Cross-origin requests: a browser console of another origin may read answers and delete, if its origin is in the settings.
//! Without any there, nothing of this is sent.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::body::Body;
use super::headers;

/// What a console does. Pushing is not among it.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, DELETE");

/// What a console may send.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("accept, authorization, cache-control, content-type, if-none-match, range");

/// What a console may read besides the headers every script may.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "docker-content-digest, docker-distribution-api-version, etag, link, location, oci-filters-applied, oci-subject, range, www-authenticate",
);

/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origin of a request, if its scripts may read the answer.
pub(super) fn origin(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN).filter(|_| !allowed.is_empty())?;
    allowed.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The answer to a preflight, if this is one.
pub(super) fn preflight(parts: &Parts) -> Option<Response<Body>> {
    let is_one = parts.method == Method::OPTIONS && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    is_one.then(|| {
        let mut response = headers::empty(StatusCode::NO_CONTENT);
        let fields = response.headers_mut();
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        response
    })
}

/// Lets scripts of `origin` read a response.
pub(super) fn allow(response: &mut Response<Body>, origin: HeaderValue) {
    let fields = response.headers_mut();
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    // Another origin gets another answer.
    fields.append(header::VARY, HeaderValue::from_static("origin"));
}
