//! How an ingest is asked for: what goes in, how strictly, within which bounds, and how it is stopped.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to ingest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether one bad item keeps everything out. Otherwise the rest goes in and the bad item is reported.
    pub strict: bool,
    /// How much a bundle may ask for.
    pub limits: Limits,
}

/// Every bound an archive is read under; none of them is about how large an honest image may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest JSON or YAML document read into memory, in bytes. Image configs may be twice as large.
    pub document: u64,
    /// The largest packed Helm chart, in bytes.
    pub chart: u64,
    /// The largest single layer, in bytes.
    pub layer: u64,
    /// Entries in one archive, or files in one folder.
    pub entries: u64,
    /// Images and charts in one ingest.
    pub images: usize,
    /// Archives and compressions within one another, and indexes within indexes.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document: 4 << 20, chart: 32 << 20, layer: 1 << 40, entries: 1_000_000, images: 10_000, depth: 8 }
    }
}

/// Stops an ingest from another thread. Nothing becomes visible of an ingest that was stopped.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the ingest to stop; it does within one read.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thing to ingest.
pub enum Input {
    /// A folder, or a file: an archive, a chart, or a named pipe.
    Path(PathBuf),
    /// A stream, such as standard input, and what to call it.
    Stream(Box<dyn Read + Send>, String),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_, name) => f.debug_tuple("Stream").field(name).finish(),
        }
    }
}
