//! The use cases of the administration API.

pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod rebuild;
pub(crate) mod releases;
pub(crate) mod remove;
pub(crate) mod verify;
