//! The only place where an error becomes a status, a code and a body.
//!
//! The message for the client says what failed, on what, and what to do next. Paths and causes are for the operator
//! only: they go to the log (`log`), and the client gets the request id that finds them there.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::RequestId;
use super::body::Body;
use super::endpoint::InvalidRequest;
use super::headers;
use super::receiving::GaveWay;
use super::request_body::BodyError;
use crate::oci::{
    ContentRange, Digest, ErrorCode, InvalidContentRange, InvalidManifest, InvalidMediaType, RepositoryName, UploadId,
};
use crate::{Error as RegistryError, MediumError};

/// How many missing blobs a response lists: a manifest may name thousands, and a client may leave all of them unread.
const LISTED: usize = 100;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    #[error("`Content-Type`: {0}")]
    MediaType(#[from] InvalidMediaType),
    #[error(transparent)]
    ContentRange(#[from] InvalidContentRange),
    #[error("the body is not the {} bytes that `Content-Range: {}-{}` announces", .0.size(), .0.start, .0.last)]
    NotAsAnnounced(ContentRange),
    #[error("the upload has {size} bytes and another request may be adding to it; go on where `Range` says it ends")]
    OutOfOrder { repository: RepositoryName, id: UploadId, size: u64 },
    #[error("`{digest}` has {size} bytes, and no part of them was asked for")]
    RangeNotSatisfiable { digest: Digest, size: u64 },
    #[error("the content has digest `{0}`, which `If-Match` excludes")]
    NotMatched(Digest),
    #[error("the work on the request panicked; this is a defect, which standard error has the place of")]
    Panicked,
    #[error("many manifests are being pushed at once, and this one came slowest; push it again in a moment")]
    GaveWay,
    #[error("the answers that other clients do not read take all memory for answers; try again in a moment")]
    Unread,
}

impl From<GaveWay> for Error {
    fn from(_: GaveWay) -> Self {
        Self::GaveWay
    }
}

impl Error {
    pub(super) fn into_response(self, request: Option<RequestId>) -> Response<Body> {
        let (status, code) = self.meaning();
        if status.is_server_error() {
            let mut response = match &self {
                // Only an operator with the medium can fix this, so the response names the file on it.
                Self::Registry(RegistryError::Medium(problem)) => body(status, code, &problem.to_string(), None),
                // Nothing is wrong here.
                Self::GaveWay | Self::Unread => body(status, code, &self.to_string(), None),
                _ => failure(status, code, request),
            };
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            return response;
        }
        let mut response = body(status, code, &self.to_string(), self.detail());
        match &self {
            Self::Request(InvalidRequest::Method(allowed)) => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Request(InvalidRequest::ChartMethod) => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::OutOfOrder { repository, id, size } => {
                headers::upload_progress(&mut response, repository, *id, *size)
            }
            Self::RangeNotSatisfiable { size, .. } => {
                headers::insert(&mut response, header::CONTENT_RANGE, format!("bytes */{size}"));
            }
            Self::Registry(RegistryError::TooManyUploads(_) | RegistryError::TooManyUploadsOfClient { .. }) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            }
            _ => {}
        }
        response
    }

    /// The status and the code. A code can go with several statuses, so neither follows from the other.
    pub(super) fn meaning(&self) -> (StatusCode, ErrorCode) {
        match self {
            Self::Request(refused) => match refused {
                InvalidRequest::NoEndpoint(_) | InvalidRequest::NoChart(_) => {
                    (StatusCode::NOT_FOUND, ErrorCode::Unsupported)
                }
                InvalidRequest::Method(_) | InvalidRequest::ChartMethod => {
                    (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported)
                }
                InvalidRequest::Name(_) | InvalidRequest::Namespace(_) => {
                    (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid)
                }
                InvalidRequest::NameTooLong { .. } => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
                // As for content that is not there: containerd goes on to the next of its mirrors.
                InvalidRequest::Upstream(_) => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown),
                InvalidRequest::Digest(_) | InvalidRequest::NoDigest => {
                    (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid)
                }
                // Not MANIFEST_INVALID: podman answers that by pushing the manifest again as another type.
                InvalidRequest::Tag(_) => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
                InvalidRequest::NoManifest(_) => (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown),
                InvalidRequest::Upload => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
                InvalidRequest::Number(_) => (StatusCode::BAD_REQUEST, ErrorCode::PaginationNumberInvalid),
                InvalidRequest::TooMany { .. } => (StatusCode::URI_TOO_LONG, ErrorCode::Unsupported),
            },
            Self::Registry(error) => (registry_status(error), error.code()),
            Self::Manifest(InvalidManifest::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid),
            Self::Manifest(InvalidManifest::Schema1) => (StatusCode::BAD_REQUEST, ErrorCode::Unsupported),
            Self::Manifest(_) | Self::MediaType(_) => (StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid),
            Self::Body(BodyError::Stalled { .. }) => (StatusCode::REQUEST_TIMEOUT, ErrorCode::BlobUploadInvalid),
            Self::Body(BodyError::Broken { .. }) => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
            Self::ContentRange(_) => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
            Self::NotAsAnnounced(_) => (StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid),
            Self::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid),
            Self::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::Unsupported),
            Self::NotMatched(_) => (StatusCode::PRECONDITION_FAILED, ErrorCode::Denied),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown),
            Self::GaveWay | Self::Unread => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
        }
    }

    fn detail(&self) -> Option<Value> {
        match self {
            Self::Registry(RegistryError::ManifestBlobUnknown { missing, .. }) => {
                Some(json!({ "missing": missing.iter().take(LISTED).collect::<Vec<_>>() }))
            }
            Self::Registry(RegistryError::DigestMismatch { expected, found }) => {
                Some(json!({ "expected": expected, "found": found }))
            }
            _ => None,
        }
    }
}

fn registry_status(error: &RegistryError) -> StatusCode {
    match error {
        RegistryError::NameUnknown(_)
        | RegistryError::ManifestUnknown { .. }
        | RegistryError::ChartUnknown(_)
        | RegistryError::ChartFolderUnknown(_)
        | RegistryError::BlobUnknown { .. }
        | RegistryError::UploadUnknown(_) => StatusCode::NOT_FOUND,
        RegistryError::ManifestInvalid(InvalidManifest::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        RegistryError::ManifestInvalid(_)
        | RegistryError::TypeInvalid { .. }
        | RegistryError::ManifestBlobUnknown { .. }
        | RegistryError::DigestMismatch { .. }
        | RegistryError::SizeInvalid { .. } => StatusCode::BAD_REQUEST,
        RegistryError::UploadBusy => StatusCode::RANGE_NOT_SATISFIABLE,
        RegistryError::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
        // The conformance suite takes 400 and 409 as failures, and 405 as "not supported".
        RegistryError::DeleteDisabled
        | RegistryError::BlobInUse { .. }
        | RegistryError::ManifestInUse { .. }
        | RegistryError::ReadOnly { .. } => StatusCode::METHOD_NOT_ALLOWED,
        // No client request leads to these.
        RegistryError::Conflicts(_) | RegistryError::Release(_) => StatusCode::CONFLICT,
        RegistryError::TooManyUploads(_) | RegistryError::TooManyUploadsOfClient { .. } => {
            StatusCode::TOO_MANY_REQUESTS
        }
        RegistryError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        // A medium that was removed may come back: 503. A damaged one stays damaged: 500.
        RegistryError::Medium(MediumError::Damaged { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        RegistryError::Medium(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ if error.is_no_space() => StatusCode::INSUFFICIENT_STORAGE,
        RegistryError::Disk(_) | RegistryError::Index(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The response to a failure on the server's side, without its cause.
pub(crate) fn failure(status: StatusCode, code: ErrorCode, request: Option<RequestId>) -> Response<Body> {
    let message = match status {
        StatusCode::BAD_REQUEST => "the request is not valid HTTP: it must have exactly one `Host`",
        StatusCode::SERVICE_UNAVAILABLE => "the registry is starting or stopping; try again in a moment",
        StatusCode::INSUFFICIENT_STORAGE => {
            "the registry's disk is full; once there is room again, send it again, or continue the upload where `Range` says it ends"
        }
        _ => "the registry could not answer; its log says why",
    };
    let detail = request.map(|request| json!({ "request": request.to_string() }));
    body(status, code, message, detail)
}

fn body(status: StatusCode, code: ErrorCode, message: &str, detail: Option<Value>) -> Response<Body> {
    let mut error = json!({ "code": code, "message": message });
    if let Some(detail) = detail {
        error["detail"] = detail;
    }
    // Docker reads an error body only when it has the JSON content type.
    let mut response = headers::json(json!({ "errors": [error] }).to_string().into());
    *response.status_mut() = status;
    response
}
