//! What the tests of all crates share. Each module is named by what a test asks of it.
//!
//! | a test wants | module |
//! | --- | --- |
//! | bytes, their digest, their compressed form | [`content`] |
//! | the text of a manifest or an index | [`manifest`] |
//! | an image with its config and layers | [`image`] |
//! | a tar, also one that no tool would write | [`tarball`] |
//! | an archive as a tool writes it: `docker save`, podman, skopeo, an image layout, a chart | [`archive`] |
//! | a bundle on the disk | [`bundle`] |
//! | the real binary, as a command or as a server | [`process`] |
//! | an HTTP client that sends exactly what it is told | [`client`] |
//! | short ways to push, and to see what is there | [`push`], [`pull`] |
//! | the changes a program makes to files, and its end at one of them | [`changes`] |
//! | a registry in the test's own process | [`registry`] |
//! | an ingest or a mount in the test's own process | [`ingest`] |
//! | a network share that can stop answering | [`share`] |
//! | a key, and what it signs | [`signer`] |
//! | what is in a folder, and a folder in memory | [`folder`] |
//! | numbers that a seed repeats | [`random`] |
//!
//! Unit tests inside `airdock-registry` and `airdock-sync` may use only what names no type of their own crate: there the
//! crate under test and the one this crate was built with are two.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that unwraps says what it expects")]

pub mod archive;
pub mod bundle;
pub mod changes;
pub mod client;
pub mod content;
pub mod device;
pub mod folder;
pub mod image;
pub mod ingest;
pub mod manifest;
pub mod process;
pub mod pull;
pub mod push;
pub mod random;
pub mod registry;
pub mod share;
pub mod signer;
pub mod tarball;
