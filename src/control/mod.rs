//! The control socket: how a command finds the server that has its data folder, and has it do the work.
//!
//! HTTP/1.1 over the Unix socket `control.sock` in the data folder, mode 0600: whoever may connect could as well write
//! into the folder. Invariant: only the owner of the folder's lock makes the socket, so one that is there while the
//! lock is free is stale.
//!
//! | request | its body | answer |
//! |---|---|---|
//! | `POST /ingest` | one line: an [`IngestRequest`]; then, if it asks for it, a stream | lines: [`Answer`]s, the last is `ended` |
//! | `POST /rebuild` | none | one line: [`Rebuilt`] |

mod address;
mod client;
mod server;

use std::path::PathBuf;

use airdock_registry::RebuildReport;
use airdock_sync::ingest::{Event, IngestError, Report};
use serde::{Deserialize, Serialize};

pub(crate) use client::Client;
pub(crate) use server::Control;

/// The longest line either side reads: a report of ten thousand images fits.
const MAX_LINE: usize = 64 << 20;

/// The longest request line: as many paths as a command line can hold.
const MAX_REQUEST: usize = 4 << 20;

/// What to ingest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IngestRequest {
    pub(crate) inputs: Vec<RequestedInput>,
    pub(crate) strict: bool,
}

/// One input of an ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestedInput {
    /// A file or folder, absolute, as the server sees it.
    Path(PathBuf),
    /// What follows the request's line. At most one.
    Stream,
}

/// One line of the answer to an ingest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Event(Event),
    Ended(Result<Report, IngestError>),
}

/// The answer to a rebuild: the error as text, since nobody tells them apart here.
type Rebuilt = Result<RebuildCounts, String>;

/// What a rebuild found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RebuildCounts {
    pub(crate) repositories: u64,
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
    pub(crate) problems: Vec<String>,
}

impl From<RebuildReport> for RebuildCounts {
    fn from(report: RebuildReport) -> Self {
        Self {
            repositories: report.repositories as u64,
            manifests: report.manifests as u64,
            tags: report.tags as u64,
            problems: report.problems,
        }
    }
}
