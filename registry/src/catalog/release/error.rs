//! Refusals of the release log.

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There is no such entry.
    #[error("there is no release {0}")]
    Unknown(u64),
    /// The entry is of a rollback or of a removal.
    #[error("entry {0} of the log is a rollback or a removal, not a release")]
    NotARelease(u64),
    /// It is pinned.
    #[error("release {0} is pinned")]
    Pinned(u64),
    /// It is in effect, and there is one before it.
    #[error("release {0} is in effect; go back to another first")]
    InEffect(u64),
    /// There is nothing to go back to.
    #[error("there is no release before {0}")]
    NothingBefore(u64),
    /// There is no release in effect.
    #[error("no release is in effect; name the one to go to")]
    NoneInEffect,
}
