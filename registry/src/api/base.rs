//! end-1: the response that identifies a registry.

use http::{HeaderValue, Response, header};

use super::body::Body;
use super::headers::json;

pub(super) fn check() -> Response<Body> {
    let mut response = json(b"{}".as_slice().into());
    // Docker may ask through caching proxies.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
