//! Reading what other tools wrote: every dialect of `docker save`, OCI layouts, Helm charts, and bundles of them, as
//! folders, files or streams.
//!
//! ```text
//!   folder · file · pipe                 read
//!        │  nested       what is it? (magic bytes, never names)
//!        ├─ seekable     read anywhere:  tar on disk, folder ┐
//!        ├─ sequential   read once:      pipe, compressed    ├─ scope ─ dialect/   images
//!        └─ dialect/chart    gzip with a Chart.yaml          ┘
//!        ▼
//!     intake             images and charts onto the list that is committed; blobs to the sink
//! ```
//!
//! One pass over each byte. Nothing is unpacked to a file system, layers stay as they are, and memory does not grow with
//! the size of anything. Knows neither publish rules nor the kind of sink.

mod ahead;
pub(crate) mod dialect;
mod files;
pub(crate) mod found;
pub(crate) mod intake;
mod inventories;
mod left_over;
pub(crate) mod names;
mod nested;
mod parts;
pub(crate) mod platforms;
pub(crate) mod read;
pub(crate) mod role;
mod scope;
mod seekable;
mod sequential;
mod split;
