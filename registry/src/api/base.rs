//! end-1: the answer that says this is a registry.

use http::{HeaderValue, Response, header};

use super::body::Body;
use super::headers::json;

pub(super) fn check() -> Response<Body> {
    let mut response = json(b"{}".as_slice().into());
    // Docker asks through proxies that would keep it.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
