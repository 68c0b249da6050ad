//! Byte ranges: the `Range` of a request for a blob (RFC 9110, 14), and the `Content-Range` of an upload chunk, which the
//! distribution specification writes without unit and total (`0-99`).

use std::str::FromStr;

/// The most ranges in one request. Podman's partial pulls send up to 1024.
const MAX_RANGES: usize = 1024;

/// A range of bytes of a blob: `start < end <= size`, until all of it was sent and `start` has reached `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset one past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Number of bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether no bytes are left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// The value of a `Content-Range` header.
    #[must_use]
    pub fn content_range(&self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end - 1)
    }
}

/// What a `Range` header asks for, given the size of the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSet {
    /// The whole blob, with 200: no header, another unit, or a malformed one, which RFC 9110 says to ignore.
    Whole,
    /// These ranges in the requested order, with 206.
    Parts(Vec<ByteRange>),
    /// None of the ranges exists: 416.
    Unsatisfiable,
}

/// A `Range` header as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedRanges(Vec<RangeSpec>);

/// One range as RFC 9110, 14.1.1, writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

impl RequestedRanges {
    /// Parses a `Range` header; `None` if its unit is not bytes, it is malformed, or it has over 1024 ranges.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, list) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut ranges = Vec::new();
        for item in list.split(',') {
            if ranges.len() == MAX_RANGES {
                return None;
            }
            let (first, last) = item.trim().split_once('-')?;
            ranges.push(match (first, last) {
                ("", last) => RangeSpec::Last(number(last)?),
                (first, "") => RangeSpec::From(number(first)?),
                (first, last) => RangeSpec::FromTo(number(first)?, number(last)?),
            });
        }
        Some(Self(ranges))
    }

    /// The ranges of a blob of `size` bytes.
    #[must_use]
    pub fn of(&self, size: u64) -> RangeSet {
        // containerd sends `bytes=0-` for every blob and fails at a 416, so an empty blob is always served whole.
        if size == 0 {
            return RangeSet::Whole;
        }
        let mut parts = Vec::with_capacity(self.0.len());
        for requested in &self.0 {
            let range = match *requested {
                // `500-0` is not a valid range. The conformance suite expects 416, where RFC 9110 would have 200.
                RangeSpec::FromTo(first, last) if first > last => return RangeSet::Unsatisfiable,
                RangeSpec::FromTo(first, last) => ByteRange { start: first, end: last.saturating_add(1).min(size) },
                RangeSpec::From(first) => ByteRange { start: first, end: size },
                RangeSpec::Last(count) => ByteRange { start: size - count.min(size), end: size },
            };
            if range.start < range.end {
                parts.push(range);
            }
        }
        if parts.is_empty() { RangeSet::Unsatisfiable } else { RangeSet::Parts(parts) }
    }
}

/// Digits only: Rust's own parser also accepts a `+`.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// The `Content-Range` of an upload chunk: first and last byte, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset of the last byte; never before `start`.
    pub last: u64,
}

impl ContentRange {
    /// Number of bytes, at least one.
    #[must_use]
    pub const fn size(&self) -> u64 {
        (self.last - self.start).saturating_add(1)
    }
}

impl FromStr for ContentRange {
    type Err = InvalidContentRange;

    /// Parses `0-99`, and also HTTP's `bytes 0-99/100` and `bytes 0-99/*`, which some clients send.
    fn from_str(text: &str) -> Result<Self, InvalidContentRange> {
        let bare = text.strip_prefix("bytes ").map_or(text, |rest| rest.split('/').next().unwrap_or(rest));
        bare.split_once('-')
            .and_then(|(start, last)| Some(Self { start: number(start)?, last: number(last)? }))
            .filter(|range| range.start <= range.last)
            .ok_or_else(|| InvalidContentRange(text.chars().take(64).collect()))
    }
}

/// A text that is not the range of a chunk. Holds its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Content-Range: {0}` is not `<first byte>-<last byte>`")]
pub struct InvalidContentRange(String);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(header: &str, size: u64) -> RangeSet {
        RequestedRanges::parse(header).map_or(RangeSet::Whole, |ranges| ranges.of(size))
    }

    fn one(start: u64, end: u64) -> RangeSet {
        RangeSet::Parts(vec![ByteRange { start, end }])
    }

    #[test]
    fn end_2_ranges_of_a_2048_byte_blob_as_the_conformance_suite_asks_them() {
        assert_eq!(asked("bytes=500-1499", 2048), one(500, 1500));
        assert_eq!(asked("bytes=500-", 2048), one(500, 2048));
        assert_eq!(asked("bytes=-500", 2048), one(1548, 2048));
        assert_eq!(asked("bytes=2000-5000", 2048), one(2000, 2048));
        assert_eq!(asked("bytes=500-0", 2048), RangeSet::Unsatisfiable);
        assert_eq!(asked("bytes=5000-10000", 2048), RangeSet::Unsatisfiable);
    }

    #[test]
    fn h22_odd_ranges_follow_rfc_9110() {
        assert_eq!(asked("bytes=0-0", 10), one(0, 1));
        assert_eq!(asked("bytes=-1", 10), one(9, 10));
        assert_eq!(asked("bytes=-100", 10), one(0, 10));
        assert_eq!(asked("bytes=-0", 10), RangeSet::Unsatisfiable);
        assert_eq!(asked("bytes=0-99999999999999", 10), one(0, 10));
        assert_eq!(asked("bytes=0-18446744073709551615", 10), one(0, 10));
        for ignored in ["bytes=abc", "bytes=", "bytes", "items=0-1", "bytes=+1-2", "bytes=1--2", "bytes=0-1,x"] {
            assert_eq!(asked(ignored, 10), RangeSet::Whole, "{ignored}");
        }
        assert_eq!(asked("bytes=0-", 0), RangeSet::Whole, "an empty blob is always whole");
    }

    #[test]
    fn podman_gets_each_range_in_its_order() {
        let parts = asked("bytes=8-9, 0-1,4-5", 10);
        let expected = [(8, 10), (0, 2), (4, 6)].map(|(start, end)| ByteRange { start, end });
        assert_eq!(parts, RangeSet::Parts(expected.to_vec()));
    }

    #[test]
    fn more_ranges_than_any_client_sends_are_answered_whole() {
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert!(matches!(asked(&many(1024), 10), RangeSet::Parts(parts) if parts.len() == 1024));
        assert_eq!(asked(&many(1025), 10), RangeSet::Whole);
    }

    #[test]
    fn a_chunks_range_is_read_in_both_spellings() {
        let range = ContentRange { start: 5, last: 9 };
        for good in ["5-9", "bytes 5-9/100", "bytes 5-9/*"] {
            assert_eq!(good.parse(), Ok(range), "{good}");
        }
        for bad in ["", "5", "9-5", "-5", "5-", "a-b", "+5-9", "5-9/10"] {
            assert!(bad.parse::<ContentRange>().is_err(), "{bad}");
        }
    }

    /// The corpus of `registry/fuzz`: a size and a header.
    #[test]
    fn the_fuzz_corpus_stays_within_the_blob() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/range");
        let mut replayed = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let (size, header) = text.trim_end().split_once(' ').unwrap_or(("2048", &text));
            let size = size.parse().unwrap_or(2048);
            if let RangeSet::Parts(parts) = asked(header, size) {
                assert!(
                    !parts.is_empty() && parts.iter().all(|part| part.start < part.end && part.end <= size),
                    "{text}"
                );
            }
            assert!(header.parse::<ContentRange>().map_or(true, |range| range.start <= range.last), "{text}");
            replayed += 1;
        }
        assert!(replayed >= 10, "only {replayed} in the corpus");
    }

    proptest! {
        #[test]
        fn every_part_lies_within_the_blob(header in "bytes=[0-9,-]{0,40}", size in 0u64..5000) {
            if let RangeSet::Parts(parts) = asked(&header, size) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= size));
            }
        }
    }
}
