//! The error codes of the distribution specification (code-1 to code-14), and three of Docker's registry that clients
//! know.

use std::fmt;

use serde::Serialize;

/// The machine-readable reason of a failure. `api::error` chooses the HTTP status that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "each variant is its code's name in the specification's table")]
pub enum ErrorCode {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    /// Docker: `n` of a list is not a number.
    PaginationNumberInvalid,
    /// Docker: the server cannot serve the request at the moment.
    Unavailable,
    /// Docker: an internal error.
    Unknown,
}

impl fmt::Display for ErrorCode {
    /// The code as written in the error body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourteen_codes_of_the_specification_are_spelled_as_it_spells_them() {
        use ErrorCode::{
            BlobUnknown, BlobUploadInvalid, BlobUploadUnknown, Denied, DigestInvalid, ManifestBlobUnknown,
            ManifestInvalid, ManifestUnknown, NameInvalid, NameUnknown, SizeInvalid, TooManyRequests, Unauthorized,
            Unsupported,
        };
        let mut spec = Vec::new();
        for code in [
            BlobUnknown,
            BlobUploadInvalid,
            BlobUploadUnknown,
            DigestInvalid,
            ManifestBlobUnknown,
            ManifestInvalid,
            ManifestUnknown,
            NameInvalid,
            NameUnknown,
            SizeInvalid,
            Unauthorized,
            Denied,
            Unsupported,
            TooManyRequests,
        ] {
            let text = serde_json::Value::from(code.to_string());
            let read: oci_spec::distribution::ErrorCode = serde_json::from_value(text).unwrap();
            assert!(!spec.contains(&read), "{code:?}");
            spec.push(read);
        }
    }
}
