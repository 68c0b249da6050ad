//! The log of releases against a real folder: going back and forward, removing, and whose tag goes before whose.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod beside;
mod crash;
mod model;
mod precedence;
mod removal;
mod rollback;

use airdock_registry::oci::Digest;
use testkit::registry::{digest_of, image_of};

/// The digest of the image of this layer.
fn digest(layer: &str) -> Digest {
    digest_of(&image_of(layer))
}
