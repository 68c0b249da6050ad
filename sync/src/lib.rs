//! What crosses the gap: archives and bundles in, published under the names that nodes, Helm and jobs ask for.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

mod archive;
pub mod ingest;
mod input;
pub mod inventory;
mod limits;
pub mod manifest_txt;
#[cfg(feature = "probe")]
#[doc(hidden)]
pub mod probe;
mod problem;
mod progress;
pub mod publish;
pub mod reference;
mod report;
mod text;
