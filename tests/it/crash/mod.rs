//! Crashes and disk faults, against the real binary: acknowledged changes survive, nothing is ever half visible, and
//! failures are reported.

#![allow(clippy::disallowed_methods, reason = "the seed and the switch of these tests are not the program's settings")]
#![allow(clippy::print_stdout, reason = "a failure is repeated from the seed, and a test left out says so")]

mod bundle;
mod disk;
mod files;
mod folder;
mod full;
mod kill;
mod ledger;
mod medium;
mod metadata;
mod power;
mod pusher;
mod random;
mod releases;
mod room;
pub(crate) mod site;
mod steps;
mod verify;
