//! Media served in place, without HTTP.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod pass;
mod places;
mod served;
mod world;
