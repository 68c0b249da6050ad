//! Bodies read whole, in ranges and as multipart; and what happens when the file changes meanwhile.

use std::io::Write;

use http_body_util::BodyExt;
use testkit::content::noise;

use super::*;
use crate::oci::Algorithm;

fn blob(content: &[u8]) -> (tempfile::NamedTempFile, Blob) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let blob = Blob::of(file.reopen().unwrap(), Algorithm::Sha256.digest(content), content.len() as u64);
    (file, blob)
}

/// Stands in for a mapping with bytes the file does not have, so that a test sees which of the two was sent.
fn not_the_file(_: &std::fs::File, _: u64, size: u64) -> Option<Bytes> {
    Some(vec![0xEE; size as usize].into())
}

#[tokio::test]
async fn a_blob_is_read_whole_and_in_ranges() {
    for size in [1, 100, BYTES - 1, BYTES, BYTES + 1, 3 * BYTES + 17] {
        let expected = noise(size);
        let (_file, blob) = blob(&expected);
        for (start, end) in [(0, size), (size / 2, size), (0, size.div_ceil(2)), (size - 1, size)] {
            let range = ByteRange { start: start as u64, end: end as u64 };
            let body = Body::blob(blob.clone(), range, &Arrival::default());
            assert_eq!(body.length(), range.len());
            assert_eq!(body.collect().await.unwrap().to_bytes(), expected[start..end], "{size}: {start}-{end}");
        }
    }
}

const BYTES: usize = 64 * 1024;

#[tokio::test]
async fn an_empty_blob_is_an_empty_body() {
    let (_file, blob) = blob(b"");
    let body = Body::blob(blob, ByteRange { start: 0, end: 0 }, &Arrival::default());
    assert!(http_body::Body::is_end_stream(&body));
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn s6_a_file_that_was_cut_fails_the_body_instead_of_ending_it() {
    let (file, blob) = blob(&noise(3 * BYTES));
    file.as_file().set_len(BYTES as u64 + 5).unwrap();
    let mut body = Body::blob(blob, ByteRange { start: 0, end: 3 * BYTES as u64 }, &Arrival::default());
    let mut received = 0;
    let error = loop {
        match body.frame().await.expect("a cut file must not end the body") {
            Ok(frame) => received += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!(received, BYTES + 5);
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn each_range_asked_for_is_a_part_in_its_order() {
    let expected = noise(500);
    let (_file, blob) = blob(&expected);
    let ranges = [(400, 500), (0, 1), (0, 100)].map(|(start, end)| ByteRange { start, end });
    let (body, boundary) = Body::ranges(blob, &ranges, &Arrival::default());
    let length = body.length();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len() as u64, length, "the length that was announced");
    let mut rest = &bytes[..];
    for (index, range) in ranges.iter().enumerate() {
        let head = format!(
            "{}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {}-{}/500\r\n\r\n",
            if index == 0 { "" } else { "\r\n" },
            range.start,
            range.end - 1,
        );
        rest = rest.strip_prefix(head.as_bytes()).unwrap();
        let part = &expected[range.start as usize..range.end as usize];
        rest = rest.strip_prefix(part).unwrap();
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

#[tokio::test]
async fn a_large_blob_is_lent_in_one_frame_and_forgotten_when_that_is_dropped() {
    let (_file, blob) = blob(&noise(3 * BYTES));
    let windows = Arc::new(FileWindows::new(not_the_file));
    let arrival = Arrival { windows: Some(windows.clone()), ..Arrival::default() };
    let range = ByteRange { start: 10, end: 2 * BYTES as u64 };
    let mut body = Body::blob(blob.clone(), range, &arrival);
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(frame.len() as u64, range.len());
    let found = windows.find(&frame[5..100], |window| {
        let (found, offset) = window.locate(frame[5..].as_ptr() as usize);
        (found.digest(), offset, window.len)
    });
    assert_eq!(found, Some((blob.digest(), 15, frame.len())));
    assert!(windows.find(b"elsewhere", |_| ()).is_none());
    drop(frame);
    assert!(windows.is_empty());
}

#[tokio::test]
async fn a_small_blob_and_one_that_cannot_be_mapped_are_read() {
    let cannot = |_: &std::fs::File, _: u64, _: u64| None;
    for (size, map) in [(100, not_the_file as fn(&_, _, _) -> _), (3 * BYTES, cannot)] {
        let expected = noise(size);
        let (_file, blob) = blob(&expected);
        let arrival = Arrival { windows: Some(Arc::new(FileWindows::new(map))), ..Arrival::default() };
        let body = Body::blob(blob, ByteRange { start: 0, end: size as u64 }, &arrival);
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
    }
}

/// An unverified blob on a medium: `stored` is what the medium has, the digest is that of `expected`.
fn unverified(stored: &[u8], expected: &[u8]) -> (tempfile::NamedTempFile, Arc<crate::blobs::MediumBlob>, Blob) {
    use crate::blobs::{MediumBlob, MediumFile};
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[9; 512]).unwrap();
    file.write_all(stored).unwrap();
    let medium = Arc::new(MediumFile::new(file.as_file(), file.path(), "disc/layer.tar".into()).unwrap());
    let blob = MediumBlob::located(Algorithm::Sha256.digest(expected), medium, 512, stored.len() as u64, false);
    let blob = Arc::new(blob);
    let opened = Blob::open_on_medium(&blob).unwrap();
    (file, blob, opened)
}

#[tokio::test]
async fn an_unverified_blob_goes_out_whole_and_is_verified_by_it() {
    let expected = noise(3 * BYTES + 17);
    let (_file, medium, blob) = unverified(&expected, &expected);
    assert!(blob.unverified().is_some());
    let body = Body::checked(blob.clone(), &Arrival::default());
    assert_eq!(body.length(), expected.len() as u64);
    assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
    assert_eq!(medium.trust(), crate::blobs::Trust::Verified);
    // From now on it is sent like a stored blob, in ranges too.
    assert!(blob.unverified().is_none());
    let range = ByteRange { start: 70_000, end: 150_000 };
    let windows = Arc::new(FileWindows::new(not_the_file));
    let frame = Body::blob(blob.clone(), range, &Arrival { windows: Some(windows.clone()), ..Arrival::default() });
    let frame = frame.collect().await.unwrap().to_bytes();
    let place = windows.find(&frame, |window| window.locate(frame.as_ptr() as usize).1);
    assert_eq!((frame.len() as u64, place), (range.len(), Some(512 + 70_000)));
    let read = Body::blob(blob, range, &Arrival::default()).collect().await.unwrap().to_bytes();
    assert_eq!(read, expected[70_000..150_000]);
}

#[tokio::test]
async fn the_last_piece_of_a_damaged_blob_never_goes_out() {
    let expected = noise(3 * BYTES + 17);
    for at in [0, BYTES, expected.len() - 1] {
        let mut damaged = expected.clone();
        damaged[at] ^= 1;
        let (_file, medium, blob) = unverified(&damaged, &expected);
        let mut body = Body::checked(blob.clone(), &Arrival::default());
        let mut received = 0;
        let failed = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(received < expected.len() && received >= 2 * BYTES, "{at}: {received}");
        assert!(failed.to_string().contains("`disc/layer.tar`"), "{failed}");
        assert_eq!(medium.trust(), crate::blobs::Trust::Bad);
        assert!(blob.check().is_err() && medium.open().is_err());
    }
}

#[tokio::test]
async fn s6_a_medium_s_file_cut_while_it_is_read_ends_the_body_with_an_error() {
    let expected = noise(3 * BYTES);
    let (file, medium, blob) = unverified(&expected, &expected);
    let mut body = Body::checked(blob, &Arrival::default());
    body.frame().await.unwrap().unwrap();
    file.as_file().set_len(1000).unwrap();
    assert!(body.collect().await.is_err());
    assert!(medium.open().is_err());
}

#[tokio::test]
async fn what_a_medium_could_not_give_is_looked_at_anew_before_it_is_promised_again() {
    let expected = noise(3 * BYTES);
    let (file, medium, blob) = unverified(&expected, &expected);
    // A file opened for writing only cannot be read, like one on a medium that was removed.
    let stale = std::fs::File::options().write(true).open(file.path()).unwrap();
    let stale = Blob::on_medium(stale, 512, medium.clone());
    for body in [
        Body::checked(stale.clone(), &Arrival::default()),
        Body::blob(stale, ByteRange { start: 0, end: 99 }, &Arrival::default()),
    ] {
        assert!(body.collect().await.is_err());
        assert!(blob.check().is_err(), "the open file in the cache is not relied on");
        assert!(medium.open().is_ok(), "it can be read again");
        assert!(blob.check().is_ok());
    }
    // As long as it cannot be read, opening it fails.
    medium.read_failed(expected.len() as u64, &io::Error::other("a scratch"));
    let refused = medium.open().unwrap_err().to_string();
    assert!(refused.contains("`disc/layer.tar`") && refused.contains("cannot be read"), "{refused}");
}
