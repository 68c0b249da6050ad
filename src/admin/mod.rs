//! The administration API: how a command, a console or a script has the server that owns a data folder do work.
//!
//! The same steps as for `/v2`: parse the request, authorise it, one match, one use case, the response. JSON over HTTP/1.1
//! on the administration socket `control.sock` in the data folder, and on a TCP listener if one is configured. A command
//! that owns the folder itself runs the same [`operations`] without HTTP. Described in `docs/admin-api.md`.

pub(crate) mod address;
pub(crate) mod authorise;
pub(crate) mod client;
pub(crate) mod endpoint;
pub(crate) mod handler;
pub(crate) mod ingester;
pub(crate) mod operation;
pub(crate) mod operations;
mod patient;
pub(crate) mod reference;
pub(crate) mod server;
pub(crate) mod wire;
