//! What crosses the gap: archives and bundles in, published under the names that nodes, Helm and jobs ask for.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

mod archive;
pub mod ingest;
pub mod inventory;
pub mod manifest_txt;
pub mod publish;
pub mod reference;

#[doc(hidden)]
pub use archive::probe;
