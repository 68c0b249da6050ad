//! The id of an upload in progress: a random UUID, so that no client can guess another client's upload.

use std::fmt;
use std::str::FromStr;

/// Identifies one upload.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadId(uuid::Uuid);

impl UploadId {
    /// A new random id (version 4, 122 random bits).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        // Only the spelling we issue: the id is a folder name, and an upload must have exactly one.
        match uuid::Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(Self(id)),
            _ => Err(InvalidUploadId),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A text that is not an upload id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload is named by the UUID of its `Location`")]
pub struct InvalidUploadId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_spelling_we_issue_is_accepted() {
        let id = UploadId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().replace('-', "").parse::<UploadId>().is_err());
        assert!("../../x".parse::<UploadId>().is_err());
    }
}
