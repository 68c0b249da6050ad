//! Why something cannot be done with a release, and what to do instead.

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There is no such entry.
    #[error("there is no release {0}; list them with `airdock releases`")]
    Unknown(u64),
    /// The entry is of a rollback or of a removal.
    #[error("entry {0} of the log is not a release but what was done with one; list them with `airdock releases`")]
    NotARelease(u64),
    /// It is pinned.
    #[error("release {0} is pinned; `airdock release unpin {0}` lets it be removed")]
    Pinned(u64),
    /// It is what is served.
    #[error("release {0} is in effect; go back to another first, with `airdock release rollback`")]
    InEffect(u64),
    /// There is nothing to go back to.
    #[error(
        "there is no release before {0}; to take away what it brought, `airdock release rm {0}`; to go forward to \
         another, `airdock release rollback ID`"
    )]
    NothingBefore(u64),
    /// There is no release in effect.
    #[error("no release is in effect; name the one to go to: `airdock release rollback ID`")]
    NoneInEffect,
}
