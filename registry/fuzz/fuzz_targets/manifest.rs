//! Input: a manifest. It is parsed or refused, within the size limit, and its bytes are never changed.
#![no_main]

use airdock_registry::oci::{MAX_MANIFEST_SIZE, Manifest};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(data), None) {
        assert!(manifest.bytes().len() <= MAX_MANIFEST_SIZE);
        assert_eq!(manifest.bytes(), data);
    }
});
