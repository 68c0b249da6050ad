//! Conditional requests (RFC 9110, 13): for reads that save a transfer, and for changes that must not undo another client's.
//! Dates are not compared: no response has `Last-Modified`.

use http::{HeaderMap, HeaderName, Response, StatusCode, header};

use super::body::Body;
use super::error::Error;
use super::headers::{empty, identify};
use crate::oci::Digest;
use crate::{Digests, Precondition};

/// What the client requires of the content that is there (RFC 9110, 13.1). Tags are digests: others match nothing.
pub(super) fn precondition(headers: &HeaderMap) -> Precondition {
    let tags = |name: &HeaderName, weak: bool| {
        headers.contains_key(name).then(|| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let mut digests = Vec::new();
            for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
                if tag == "*" {
                    return Digests::Any;
                }
                // `If-Match` compares strongly, and a weak tag is never equal then.
                let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
                digests.extend(unquoted(tag).parse::<Digest>());
            }
            Digests::OneOf(digests)
        })
    };
    Precondition { matches: tags(&header::IF_MATCH, false), none_matches: tags(&header::IF_NONE_MATCH, true) }
}

/// The answer to a read whose client already has `digest`: a 304.
///
/// # Errors
/// [`Error::NotMatched`] when the client wants something else.
pub(super) fn not_modified(headers: &HeaderMap, digest: &Digest) -> Result<Option<Response<Body>>, Error> {
    // Most reads have no conditions.
    if !headers.contains_key(header::IF_NONE_MATCH) && !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let Precondition { matches, none_matches } = precondition(headers);
    if !(Precondition { matches, none_matches: None }).fits(Some(digest)) {
        return Err(Error::NotMatched(*digest));
    }
    let known = !(Precondition { matches: None, none_matches }).fits(Some(digest));
    Ok(known.then(|| {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        identify(&mut response, digest);
        response
    }))
}

/// Docker clients also send the digest without quotes.
fn unquoted(tag: &str) -> &str {
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
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
            let response = not_modified(&asked(header::IF_NONE_MATCH, &known), &digest).unwrap().unwrap();
            assert_eq!(response.status(), 304);
            assert_eq!(response.headers()[header::ETAG], format!("\"{digest}\""));
        }
        let other = format!("\"{other}\"");
        assert!(not_modified(&asked(header::IF_NONE_MATCH, &other), &digest).unwrap().is_none());
        assert!(not_modified(&HeaderMap::new(), &digest).unwrap().is_none());
        for matching in [format!("\"{digest}\""), "*".into(), format!("{other}, \"{digest}\"")] {
            assert!(not_modified(&asked(header::IF_MATCH, &matching), &digest).unwrap().is_none(), "{matching}");
        }
        for excluding in [other, format!("W/\"{digest}\""), "\"x\"".into()] {
            assert!(not_modified(&asked(header::IF_MATCH, &excluding), &digest).is_err(), "{excluding}");
        }
    }
}
