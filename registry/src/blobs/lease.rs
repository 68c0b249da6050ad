//! What garbage collection must not remove: blobs that a client or an ingest was told are there, and that no link names
//! yet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::oci::Digest;

/// The leases of one registry. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<Digest, usize>>>);

/// Keeps one blob until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    digest: Digest,
}

impl Leases {
    /// Keeps a blob, which need not be there yet.
    pub(crate) fn hold(&self, digest: Digest) -> Lease {
        *self.0.lock().entry(digest).or_default() += 1;
        Lease { leases: self.clone(), digest }
    }

    /// Whether anything holds the blob.
    #[cfg_attr(not(test), expect(dead_code, reason = "the garbage collector will ask"))]
    pub(crate) fn is_held(&self, digest: &Digest) -> bool {
        self.0.lock().contains_key(digest)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.0.lock();
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_blob_is_held_until_its_last_lease_is_dropped() {
        let (leases, digest) = (Leases::default(), Algorithm::Sha256.digest(b"x"));
        let first = leases.hold(digest);
        let second = leases.hold(digest);
        drop(first);
        assert!(leases.is_held(&digest));
        drop(second);
        assert!(!leases.is_held(&digest));
    }
}
