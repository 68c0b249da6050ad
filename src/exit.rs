//! How a run of the program ends: exit codes that a script can tell apart, and the failures behind them. Numbers above
//! 63 are those of `sysexits.h`.

use airdock_registry::{Error, OpenError, ReleaseError};
use airdock_sync::ingest::{IngestError, Kept, Notice};
use serde::{Deserialize, Serialize};

/// How a run of the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// It failed, and no other code is more specific.
    Failed = 1,
    /// The command line is invalid; clap ends the program with this code itself.
    #[allow(dead_code, reason = "clap returns it, and a test holds the help against it")]
    Usage = 2,
    /// Some of a bundle was refused (`EX_DATAERR`).
    Refused = 65,
    /// Another process owns the data folder (`EX_TEMPFAIL`).
    Taken = 75,
    /// A setting is invalid (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] = [Self::Done, Self::Failed, Self::Usage, Self::Refused, Self::Taken, Self::Config];

    /// The exit code for an error, decided by the first of its causes that has one.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<airdock_config::Errors>() {
                return Self::Config;
            }
            if matches!(cause.downcast_ref(), Some(OpenError::Locked { .. })) || cause.is::<Unanswered>() {
                return Self::Taken;
            }
            if cause.downcast_ref::<Failure>().is_some_and(|failure| failure.code == Code::Refused) {
                return Self::Refused;
            }
        }
        Self::Failed
    }
}

/// Another process owns the data folder and does not answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "no server answers for the data folder `{folder}`, and another process has it; wait for that process to end or to answer, \
     or stop it"
)]
pub(crate) struct Unanswered {
    /// The data folder.
    pub(crate) folder: String,
    /// Why the connection failed.
    pub(crate) source: std::io::Error,
}

/// The kind of a failure, for programs: `docs/admin-api.md` describes them. Part of the API, so never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    NoSuchEndpoint,
    MethodNotAllowed,
    Forbidden,
    InvalidRequest,
    TooLarge,
    InvalidReference,
    NotFound,
    ReleaseUnknown,
    NotARelease,
    ReleasePinned,
    ReleaseInEffect,
    NothingBefore,
    NoneInEffect,
    Refused,
    Failed,
}

/// Why a request was not carried out. Crosses the administration API as the body of every error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) code: Code,
    /// For people: what failed, with all causes.
    pub(crate) message: String,
    /// The release it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<u64>,
    /// What was wrong with each file of a bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<Notice>,
    /// The tags a bundle conflicts with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<Kept>,
}

impl Failure {
    /// A failure with a code and a sentence.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), release: None, failures: Vec::new(), kept: Vec::new() }
    }

    /// What was tried and why it failed, with all causes: an error's `source` does not cross a socket.
    pub(crate) fn because(tried: &str, error: &dyn std::error::Error) -> Self {
        let mut message = format!("{tried}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message += &format!(": {error}");
            cause = error.source();
        }
        Self::new(Code::Failed, message)
    }

    /// The same for an error of the registry, with its code.
    pub(crate) fn of(tried: &str, error: &Error) -> Self {
        let code = match error {
            // These are complete sentences and need no preface.
            Error::Release(refusal) => return Self::of_release(refusal),
            Error::NameUnknown(_) | Error::ManifestUnknown { .. } => Code::NotFound,
            _ => Code::Failed,
        };
        Self { code, ..Self::because(tried, error) }
    }

    fn of_release(error: &ReleaseError) -> Self {
        let (code, release) = match error {
            ReleaseError::Unknown(id) => (Code::ReleaseUnknown, Some(*id)),
            ReleaseError::NotARelease(id) => (Code::NotARelease, Some(*id)),
            ReleaseError::Pinned(id) => (Code::ReleasePinned, Some(*id)),
            ReleaseError::InEffect(id) => (Code::ReleaseInEffect, Some(*id)),
            ReleaseError::NothingBefore(id) => (Code::NothingBefore, Some(*id)),
            ReleaseError::NoneInEffect => (Code::NoneInEffect, None),
            _ => (Code::Failed, None),
        };
        Self { release, ..Self::new(code, error.to_string()) }
    }
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        let failure = Self::new(Code::Refused, error.to_string());
        match error {
            IngestError::Strict { failures }
            | IngestError::Nothing { failures }
            | IngestError::Untrusted { problems: failures } => Self { failures, ..failure },
            IngestError::Conflicts { kept } => Self { kept, ..failure },
            IngestError::Unnamed { .. } => failure,
            _ => Self { code: Code::Failed, ..failure },
        }
    }
}
