//! What a refused change, a failure and a deletion leave in the log: one line each, with the client and the reference. Many
//! clients show a status and drop the body, and then the log is the only explanation. Refused reads are usual (docker asks
//! several names in turn) and are logged at `debug`.

use std::error::Error as StdError;
use std::fmt::{Display, Write as _};

use http::request::Parts;
use http::{Method, StatusCode};

use super::Arrival;
use super::endpoint::{Action, Endpoint};
use super::error::Error;
use crate::PutReference;
use crate::oci::{ErrorCode, RepositoryName, Tag, TagOrDigest};

/// How many characters of a client's text are logged, and how many tags of a deleted manifest.
const LONGEST: usize = 300;
const MOST_TAGS: usize = 20;

/// Logs why a request was refused or failed.
pub(super) fn refused(
    error: &Error,
    (status, code): (StatusCode, ErrorCode),
    parts: &Parts,
    endpoint: Option<&Endpoint>,
    arrival: &Arrival,
) {
    let reading = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reading && !status.is_server_error() && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let request = arrival.request.map(|request| request.to_string());
    let client = arrival.client.map(|client| client.to_string());
    let method = parts.method.as_str();
    let reference = endpoint.and_then(named).unwrap_or_else(|| one_line(parts.uri.path()));
    let (status, code) = (status.as_u16(), code.to_string());
    let cause = one_line(&causes(error));
    if status >= 500 {
        tracing::error!(request, client, method, reference, status, code, error = cause, "a request failed");
    } else if reading {
        tracing::debug!(request, client, method, reference, status, code, cause, "refused");
    } else {
        tracing::warn!(request, client, method, reference, status, code, cause, "refused");
    }
}

/// Logs that a manifest, a tag or a blob was deleted, with the tags that went with it.
pub(super) fn deleted(arrival: &Arrival, repository: &RepositoryName, reference: &TagOrDigest, tags: &[Tag]) {
    let request = arrival.request.map(|request| request.to_string());
    let client = arrival.client.map(|client| client.to_string());
    let reference = match reference {
        TagOrDigest::Tag(tag) => format!("{repository}:{tag}"),
        TagOrDigest::Digest(digest) => format!("{repository}@{digest}"),
    };
    let mut shown = tags.iter().take(MOST_TAGS).map(Tag::as_str).collect::<Vec<_>>().join(" ");
    if tags.len() > MOST_TAGS {
        let _ = write!(shown, " and {} more", tags.len() - MOST_TAGS);
    }
    tracing::info!(request, client, reference, tags = shown, "deleted");
}

/// What a request names, as people write it.
fn named(endpoint: &Endpoint) -> Option<String> {
    let Endpoint::In(name, action) = endpoint else { return None };
    let repository = match action {
        Action::PullBlob(_) | Action::PullManifest(_) | Action::ListTags(_) | Action::ListReferrers { .. } => {
            &name.path
        }
        _ => name.write_target(),
    };
    let at = |digest: &dyn Display| format!("{repository}@{digest}");
    Some(match action {
        Action::PushManifest(PutReference::Tag(tag))
        | Action::PullManifest(TagOrDigest::Tag(tag))
        | Action::DeleteManifest(TagOrDigest::Tag(tag)) => format!("{repository}:{tag}"),
        Action::PushManifest(PutReference::Digest(digest, _))
        | Action::PullManifest(TagOrDigest::Digest(digest))
        | Action::DeleteManifest(TagOrDigest::Digest(digest))
        | Action::PullBlob(digest)
        | Action::DeleteBlob(digest)
        | Action::PushBlob(digest)
        | Action::MountBlob(digest, _)
        | Action::FinishUpload(_, digest) => at(digest),
        Action::ListReferrers { subject, .. } => at(subject),
        Action::ListTags(_)
        | Action::StartUpload(_)
        | Action::AppendToUpload(_)
        | Action::UploadStatus(_)
        | Action::CancelUpload(_) => repository.to_string(),
    })
}

/// An error and its chain of causes.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

/// The text without what would begin a line of its own: clients choose parts of it.
fn one_line(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_text_cannot_begin_a_line_of_the_log() {
        let long = "x".repeat(1000);
        assert_eq!(one_line("a\r\n\u{1b}[31mERROR"), "a   [31mERROR");
        assert_eq!(one_line(&long).len(), LONGEST);
    }
}
