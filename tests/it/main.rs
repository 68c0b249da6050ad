//! The integration tests: the real binary, a real disk, real sockets. One binary, one module per subject.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod admin;
mod architecture;
mod charts;
mod cli;
mod conditions;
mod contents;
mod crash;
mod delete;
mod growth;
mod hostile_bundles;
mod hostile_requests;
mod incomplete_bundles;
mod logged;
mod manifests;
mod mounts;
mod names;
mod old_folder;
mod pull;
mod push;
mod referrers;
mod releases;
mod signed;
mod slow_clients;
mod syncs;
mod tags;
mod tls;
mod uploads;
