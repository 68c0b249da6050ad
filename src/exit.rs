//! Exit codes: what a script may tell apart. Numbers above 63 are those of `sysexits.h`.

use std::process::ExitCode;

use airdock_registry::OpenError;
use serde::{Deserialize, Serialize};

use crate::request::Failure;

/// How a run of the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// It failed, and no other code says more.
    Failed = 1,
    /// The command line cannot be understood; clap ends the program with it by itself.
    Usage = 2,
    /// Some of a bundle was refused (`EX_DATAERR`).
    Refused = 65,
    /// Somebody else has the data folder (`EX_TEMPFAIL`).
    Taken = 75,
    /// A setting cannot be used (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] = [Self::Done, Self::Failed, Self::Usage, Self::Refused, Self::Taken, Self::Config];

    /// The code an error ends the program with, told by the errors it was made of.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<airdock_config::Errors>() {
                return Self::Config;
            }
            if matches!(cause.downcast_ref(), Some(OpenError::Locked { .. })) || cause.is::<Unanswered>() {
                return Self::Taken;
            }
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return failure.exit;
            }
        }
        Self::Failed
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Another process has the data folder and cannot be asked to do the work.
#[derive(Debug, thiserror::Error)]
#[error(
    "no server answers for the data folder `{folder}`, and another process has it; wait for that process to end, or stop it"
)]
pub(crate) struct Unanswered {
    /// The data folder.
    pub(crate) folder: String,
    /// How asking failed.
    pub(crate) source: std::io::Error,
}
