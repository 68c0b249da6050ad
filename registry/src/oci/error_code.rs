//! The error codes of the distribution specification (code-1 to code-14), and three of Docker's registry that clients
//! know.

/// The machine-readable reason of a failure. `api::error` chooses the HTTP status that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    TooManyRequests,
    /// Docker: `n` of a list is not a number.
    PaginationNumberInvalid,
    /// Docker: the server cannot serve the request at the moment.
    Unavailable,
    /// Docker: an internal error.
    Unknown,
}

impl ErrorCode {
    /// The code as written in the error body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
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
            let text = serde_json::Value::from(code.as_str());
            let read: oci_spec::distribution::ErrorCode = serde_json::from_value(text).unwrap();
            assert!(!spec.contains(&read), "{code:?}");
            spec.push(read);
        }
    }
}
