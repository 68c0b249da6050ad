//! The control socket: how a command finds the server that has its data folder, and has it do the work.
//!
//! HTTP/1.1 over the Unix socket `control.sock` in the data folder, mode 0600: whoever may connect could as well write
//! into the folder. Invariant: only the owner of the folder's lock makes the socket, so one that is there while the
//! lock is free is stale.
//!
//! | request | its body | answer |
//! |---|---|---|
//! | `POST /ingest` | one line: an [`IngestRequest`]; then, if it asks for it, a stream | lines: [`Answer`]s, the last is `ended` |
//! | `POST /request` | one line: a [`Request`](crate::request::Request) | lines: [`Line`]s, the last is `ended` |

mod address;
mod client;
mod server;

use std::path::PathBuf;

use airdock_registry::OnConflict;
use airdock_sync::ingest::{Event, IngestError, Naming, Report};
use serde::{Deserialize, Serialize};

use crate::request::{Failure, Reply};

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
    #[serde(default)]
    pub(crate) naming: Naming,
    /// What becomes of tags that somebody pushed, if not what the server's settings say.
    #[serde(default)]
    pub(crate) on_conflict: Option<OnConflict>,
    /// Keys one of which has to have signed it, absolute, unless the server has keys of its own: then those decide.
    #[serde(default)]
    pub(crate) keys: Vec<PathBuf>,
    /// The inventory of all of it, absolute.
    #[serde(default)]
    pub(crate) inventory: Option<PathBuf>,
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

/// One line of the answer to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Part(Reply),
    Ended(Result<Reply, Failure>),
}
