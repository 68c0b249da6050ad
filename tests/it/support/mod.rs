//! What the tests share: the process under test, and a client that says exactly what it is told to say.
#![allow(dead_code, reason = "each module of tests uses its own part of this room")]

pub(crate) mod bundle;
pub(crate) mod changes;
pub(crate) mod client;
pub(crate) mod content;
pub(crate) mod process;
