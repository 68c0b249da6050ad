//! Conditional requests (RFC 9110, 13). Content addressed by digest never changes, so its digest is a strong `ETag`.

use http::{HeaderMap, Response, StatusCode, header};

use super::body::Body;
use super::headers::{empty, identify};
use crate::oci::Digest;

/// A 304 if the client already has `digest`.
pub(super) fn not_modified(headers: &HeaderMap, digest: &Digest) -> Option<Response<Body>> {
    if !headers.contains_key(header::IF_NONE_MATCH) {
        return None;
    }
    let text = digest.to_string();
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|tag| tag == "*" || unquoted(tag.strip_prefix("W/").unwrap_or(tag)) == text)
    });
    known.then(|| {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        identify(&mut response, digest);
        response
    })
}

/// Whether `Range` applies to this content. `If-Range` with another tag, a weak tag or a date asks for the whole.
pub(super) fn ranges_apply(headers: &HeaderMap, digest: &Digest) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.to_str().is_ok_and(|tag| tag == format!("\"{digest}\"")))
}

/// Docker clients also send the digest without quotes.
fn unquoted(tag: &str) -> &str {
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    fn asked(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn h23_a_tag_that_matches_in_any_spelling_is_not_modified() {
        let digest = Algorithm::Sha256.digest(b"x");
        let other = Algorithm::Sha256.digest(b"y");
        for known in [
            format!("\"{digest}\""),
            format!("W/\"{digest}\""),
            digest.to_string(),
            "*".into(),
            format!("\"{other}\", \"{digest}\""),
        ] {
            let response = not_modified(&asked(header::IF_NONE_MATCH, &known), &digest).unwrap();
            assert_eq!(response.status(), 304);
            assert_eq!(response.headers()[header::ETAG], format!("\"{digest}\""));
        }
        assert!(not_modified(&asked(header::IF_NONE_MATCH, &format!("\"{other}\"")), &digest).is_none());
        assert!(not_modified(&HeaderMap::new(), &digest).is_none());
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
