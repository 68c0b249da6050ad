//! The release log: which release is in effect, rolling back or forward to another one, and removing one.
//!
//! Invariant: only a tag that still is what the log last made it is ever changed here; what a client pushed or deleted
//! since stays, and is reported by name. Every change is an entry of the log itself, visible whole or not at all.

mod history;
mod list;
mod releases;
mod removal;
mod rollback;

pub use list::{ReleaseList, ReleaseState, ReleaseSummary};
pub use releases::Releases;
pub use rollback::Rollback;
