//! What a command wants of a data folder, as one value, and the one place that does it.
//!
//! A command never knows whether this process has the folder or a server has: [`execute`] is called here in the first
//! case and by the control socket in the second. Invariant: an answer has a bound. What may be long goes out beforehand
//! as parts, which wait until whoever asked has taken them; whoever no longer listens ends the work.

mod inspect;
mod list;
mod rebuild;
mod reference;
mod releases;
mod remove;
mod verify;

use airdock_registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::exit::Exit;

pub(crate) use inspect::{Inspection, Piece};
#[cfg(test)]
pub(crate) use list::Source;
pub(crate) use list::{Listed, Origin, TagRow};
pub(crate) use rebuild::RebuildCounts;
pub(crate) use releases::{ReleaseReply, ReleaseRequest};
pub(crate) use remove::Removal;
pub(crate) use verify::{Damage, Medium, Place, Verified, Verifying};

/// Parts on their way to whoever asked.
const PARTS: usize = 4;

/// One thing to do. A new one is a variant here, a [`Reply`], and a line in [`execute`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Make the metadata anew; answered by [`Reply::Rebuilt`].
    Rebuild,
    /// Every tag that fits one of the patterns, all when there are none: [`Reply::Tags`], then [`Reply::Listed`].
    List { patterns: Vec<String> },
    /// Everything about one reference: [`Reply::Inspected`].
    Inspect { reference: String },
    /// Remove tags and manifests: a [`Reply::Removal`] each, then [`Reply::Removed`].
    Remove { references: Vec<String> },
    /// Read everything, or what the references need, again: [`Reply::Verifying`] now and then, then [`Reply::Verified`].
    Verify { references: Vec<String>, remove_damaged: bool },
    /// Something of the releases: [`Reply::Releases`].
    Releases(ReleaseRequest),
}

impl Request {
    /// The same, asked for by a user whom the system vouches for.
    pub(crate) fn asked_by(mut self, user: String) -> Self {
        if let Self::Releases(ReleaseRequest::Rollback { by, .. } | ReleaseRequest::Remove { by, .. }) = &mut self {
            *by = user;
        }
        self
    }
}

/// What came of it, or a part of that.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Rebuilt(RebuildCounts),
    Tags(Vec<TagRow>),
    Listed(Listed),
    Inspected(Box<Inspection>),
    Removal(Removal),
    /// How many references could not be removed.
    Removed {
        failed: u64,
    },
    Verifying(Verifying),
    Verified(Verified),
    Releases(ReleaseReply),
}

/// Does what was asked. Everything but the last reply goes to `parts`.
///
/// # Cancel safety
/// Dropped, it stops at its next step; a change that was begun goes on to its end.
///
/// # Errors
/// The sentence for the person, with the exit code.
pub(crate) async fn execute(registry: &Registry, request: Request, parts: &Parts) -> Result<Reply, Failure> {
    match request {
        Request::Rebuild => rebuild::rebuild(registry).await.map(Reply::Rebuilt),
        Request::List { patterns } => list::list(registry, &patterns, parts).await.map(Reply::Listed),
        Request::Inspect { reference } => {
            inspect::inspect(registry, &reference).await.map(|found| Reply::Inspected(Box::new(found)))
        }
        Request::Remove { references } => {
            remove::remove(registry, &references, parts).await.map(|failed| Reply::Removed { failed })
        }
        Request::Verify { references, remove_damaged } => {
            verify::verify(registry, &references, remove_damaged, parts).await.map(Reply::Verified)
        }
        Request::Releases(request) => releases::answer(registry, request).await.map(Reply::Releases),
    }
}

/// Takes the parts of an answer, at the pace of whoever asked. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Parts(mpsc::Sender<Reply>);

impl Parts {
    /// The end to send to, and the one to receive from.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Reply>) {
        let (sender, receiver) = mpsc::channel(PARTS);
        (Self(sender), receiver)
    }

    /// Hands a part over if there is room: for what the next one replaces.
    pub(crate) fn try_send(&self, part: Reply) {
        let _ = self.0.try_send(part);
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    /// Hands a part over, waiting until there is room.
    ///
    /// # Errors
    /// Nobody listens any more: there is nothing to go on for.
    pub(crate) async fn send(&self, part: Reply) -> Result<(), Failure> {
        self.0.send(part).await.map_err(|_| Failure::new("whoever asked has gone"))
    }
}

/// Why it was not done: a sentence, and the code the command ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) exit: Exit,
}

impl Failure {
    /// A failure that no exit code says more about.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Failed }
    }

    /// What was tried, and why it failed, with all causes: errors do not travel over a socket.
    pub(crate) fn because(tried: &str, error: &dyn std::error::Error) -> Self {
        let mut message = format!("{tried}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message += &format!(": {error}");
            cause = error.source();
        }
        Self::new(message)
    }
}
