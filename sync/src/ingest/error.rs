//! Why an ingest, a mount or an inventory comes to nothing.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::report::{Kept, Notice};

/// Why an ingest brought nothing. What failed file by file is in [`Report::failures`](super::Report::failures).
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum IngestError {
    /// It was cancelled.
    #[error("the ingest was stopped; no tag was changed")]
    Cancelled,
    /// Something failed, and strict mode or a required signature asks for all or nothing.
    #[error("{} of the files or images cannot go in, and `strict`, or a key, asks for all or nothing; no tag was changed", failures.len())]
    Strict {
        /// Each of them.
        failures: Vec<Notice>,
    },
    /// Nothing in the input could go in.
    #[error("there is no image and no chart in what was given that can go in; no tag was changed")]
    Nothing {
        /// What was wrong, if anything was.
        failures: Vec<Notice>,
    },
    /// An archive to be mounted is compressed.
    #[error("it is compressed, and what is in it cannot be served in place")]
    Compressed,
    /// One name was given for several images.
    #[error(
        "a name is for one image, and {} have no name: {}; give a base name, or ingest each by itself; no tag was changed",
        images.len(),
        images.join(", ")
    )]
    Unnamed {
        /// Each of them: its file and digest.
        images: Vec<String>,
    },
    /// Tags of the bundle exist with other content, and that is to be an error.
    #[error("{} of the bundle's tags would have to replace existing tags, and that is to fail; no tag was changed", kept.len())]
    Conflicts {
        /// Each of them.
        kept: Vec<Kept>,
    },
    /// A name stands for several images, so that there is no inventory.
    #[error("{} of the names are several images each, and an inventory says which one a name is", names.len())]
    Contested {
        /// Each name with its images.
        names: Vec<Notice>,
    },
    /// The content is not what a trusted key has signed.
    #[error("only what is signed goes in, and this is not; no tag was changed")]
    Untrusted {
        /// Why.
        problems: Vec<Notice>,
    },
    /// A key cannot be used.
    #[error("{message}")]
    Key {
        /// Which and why.
        message: String,
    },
    /// The publish rules cannot work.
    #[error("a publish rule cannot work: {message}")]
    Settings {
        /// Which and why.
        message: String,
    },
    /// The registry failed: disk full, folder gone.
    #[error("the registry could not take the content: {message}; no tag was changed")]
    Registry {
        /// The error with its causes.
        message: String,
    },
}

impl From<Problem> for IngestError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Cancelled => Self::Cancelled,
            Problem::Registry(airdock_registry::Error::Conflicts(kept)) => {
                Self::Conflicts { kept: kept.into_iter().map(Kept::from).collect() }
            }
            Problem::Registry(_) => Self::Registry { message: problem.causes() },
            other => Self::Registry { message: other.sentence() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_serialisation() {
        let notice = Notice { file: "a.tar".into(), message: "damaged".into() };
        let error = IngestError::Strict { failures: vec![notice] };
        assert_eq!(serde_json::from_str::<IngestError>(&serde_json::to_string(&error).unwrap()).unwrap(), error);
    }
}
