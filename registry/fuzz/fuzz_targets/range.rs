//! Input: `<size> <Range header>`. Every part is within the blob.
#![no_main]

use airdock_registry::oci::{ContentRange, RangeSet, RequestedRanges};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (size, header) = text.trim_end().split_once(' ').unwrap_or(("2048", text));
    let size = size.parse().unwrap_or(2048);
    if let Some(requested) = RequestedRanges::parse(header)
        && let RangeSet::Parts(parts) = requested.of(size)
    {
        assert!(!parts.is_empty() && parts.iter().all(|part| part.start < part.end && part.end <= size));
    }
    if let Ok(range) = header.parse::<ContentRange>() {
        assert!(range.start <= range.last);
    }
});
