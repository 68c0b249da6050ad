//! Media served in place, without HTTP.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod changes;
mod pass;
mod places;
mod served;

/// Larger than what is verified when it is opened.
const LARGE: usize = 300_000;

/// A large layer.
fn layer(seed: u64) -> Vec<u8> {
    testkit::content::bytes(seed, LARGE)
}
