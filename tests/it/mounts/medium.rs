//! Media that changed or disappeared: clear errors, never wrong bytes, never a hang.

use std::fs::File;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::{APP, blob, get, mounting, save};
use crate::tls::Certificate;
use testkit::bundle::example;
use testkit::client::Response;
use testkit::content::{digest, noise};
use testkit::device::Stick;
use testkit::process::Airdock;
use testkit::pull::everything;

const LAYER: usize = 20_000_000;

/// Checks that a response is not a complete body, or is a JSON error that names the file.
fn never_complete(answer: std::io::Result<Response>, size: usize) {
    match answer {
        // Where the connection breaks depends on the kernel and TLS; that the body is incomplete must hold.
        Err(broken_off) => assert!(
            matches!(broken_off.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe),
            "{broken_off:?}"
        ),
        Ok(response) => {
            assert_eq!(response.status, 500, "{} of {size} bytes", response.body.len());
            assert_eq!(response.error_code(), "UNKNOWN");
            assert!(response.text().contains("`app.tar`"), "{}", response.text());
        }
    }
}

#[test]
fn a_flipped_byte_never_reaches_a_client_as_a_complete_body_over_plain_http_tls_or_in_ranges() {
    let certificate = Certificate::new();
    for at in [10, LAYER / 2, LAYER - 1] {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (noise(LAYER), noise(LAYER + 8)[8..].to_vec());
        let mut damaged = bad.clone();
        damaged[at] ^= 1;
        let path = save(folder.path(), &[(&good, &good), (&damaged, &bad)]);
        for tls in [false, true] {
            let mut builder = mounting(&path);
            if tls {
                builder = certificate.arguments(builder);
            }
            let airdock = builder.start();
            let connect = || if tls { certificate.connect(&airdock) } else { airdock.client().connect() };
            let asked = [get(&blob(&bad)), get(&blob(&bad)).header("Range", "bytes=0-99"), get(&blob(&bad))];
            for request in &asked {
                never_complete(connect().try_send(request), LAYER);
            }
            airdock.wait_for_log("1 is not");
            for request in &asked {
                never_complete(connect().try_send(request), LAYER);
            }
            let head = connect().send(&testkit::client::Request::new("HEAD", &blob(&bad)));
            assert_eq!(head.status, 500);
            // The other layer is intact and is served.
            assert!(connect().send(&get(&blob(&good))).expect(200).body == good);
        }
    }
}

#[test]
fn what_is_damaged_at_one_place_of_a_medium_is_pulled_from_another() {
    let layer = noise(LAYER);
    let mut damaged = layer.clone();
    damaged[LAYER / 2] ^= 1;
    for both in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let first = save(folder.path(), &[(&damaged, &layer)]);
        std::fs::rename(&first, first.with_file_name("a.tar")).unwrap();
        let second = save(folder.path(), &[(if both { &damaged } else { &layer }, &layer)]);
        let airdock = mounting(second.parent().unwrap()).start();
        let client = airdock.client();
        // The first client to read the damaged place is cut off before the end, unless the background pass was faster.
        let early = client.connect().try_send(&get(&blob(&layer)));
        assert!(early.is_err() || early.is_ok_and(|answer| answer.status == 500 || answer.body == layer));
        if both {
            airdock.wait_for_log("1 is not");
            let refused = client.get(&blob(&layer)).expect(500);
            assert!(refused.text().contains("`disc/a.tar`"), "{}", refused.text());
            continue;
        }
        assert!(client.get(&blob(&layer)).expect(200).body == layer);
        airdock.wait_for_log("are whole; 0 are not");
        let log = airdock.log();
        assert!(log.contains("`disc/a.tar`") && log.contains("another place of the medium"), "{log}");
        let ranged = client.send(&get(&blob(&layer)).header("Range", "bytes=9999990-10000009")).expect(206);
        assert!(ranged.body == layer[9_999_990..10_000_010]);
    }
}

#[test]
fn a_medium_that_is_pulled_out_is_an_error_in_words_and_serves_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (layer, other) = (noise(LAYER), noise(200_000)[50_000..].to_vec());
    let path = save(folder.path(), &[(&layer, &layer), (&other, &other)]);
    let airdock = mounting(&path).start();
    airdock.wait_for_log("are whole; 0 are not");
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    let gone = airdock.client().get(&blob(&other)).expect(503);
    assert_eq!(gone.error_code(), "UNAVAILABLE");
    assert!(gone.text().contains("`app.tar`") && gone.text().contains("it is not there"), "{}", gone.text());
    // Manifests were read at the start and stay available.
    airdock.client().get(&format!("{APP}/manifests/v1")).expect(200);
    std::fs::rename(&aside, &path).unwrap();
    assert!(airdock.client().get(&blob(&other)).expect(200).body == other);
    // Another file with the same name is not accepted.
    std::fs::copy(&path, &aside).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    for content in [&layer, &other] {
        let answer = airdock.client().get(&blob(content));
        // An open file stays open, and is the one that was mounted.
        assert!(answer.status == 200 && answer.body == **content || answer.status == 503, "{}", answer.status);
    }
}

#[test]
fn a_medium_that_is_cut_short_while_it_is_sent_ends_the_connection_and_not_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(64_000_000);
    for verified in [true, false] {
        let path = save(folder.path(), &[(&layer, &layer)]);
        let mut airdock = mounting(&path).start();
        if verified {
            airdock.wait_for_log("are whole; 0 are not");
        }
        let mut connection = airdock.client().connect();
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", blob(&layer));
        connection.write(request.as_bytes()).unwrap();
        assert_eq!(connection.read_head().unwrap().0, 200);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(1_000_000).unwrap();
        // Only what was in the socket buffers still arrives.
        let mut received = Vec::new();
        while let Ok(piece) = connection.read_some(1 << 20) {
            if piece.is_empty() {
                break;
            }
            received.extend(piece);
        }
        assert!(received.len() < layer.len(), "{} bytes", received.len());
        assert!(airdock.is_running());
        let refused = airdock.client().get(&blob(&layer)).expect(503);
        assert!(refused.text().contains("changed"), "{}", refused.text());
        assert!(airdock.stop().success());
    }
}

#[test]
fn what_is_written_into_a_mounted_file_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(LAYER);
    let path = save(folder.path(), &[(&layer, &layer)]);
    let airdock = mounting(&path).start();
    airdock.wait_for_log("are whole; 0 are not");
    assert!(airdock.client().get(&blob(&layer)).expect(200).body == layer);
    // A different mtime, as after any write, independent of the clock's resolution.
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"overwritten", 1_000_000).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).unwrap();
    let refused = airdock.client().get(&blob(&layer)).expect(503);
    assert!(refused.text().contains("changed"), "{}", refused.text());
}

#[test]
fn d13_a_mounted_file_changed_in_place_with_its_mtime_put_back_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let (layer, small) = (noise(LAYER), b"a small layer");
    let path = save(folder.path(), &[(&layer, &layer), (small, small)]);
    let airdock = mounting(&path).start();
    airdock.wait_for_log("are whole; 0 are not");
    assert!(airdock.client().get(&blob(&layer)).expect(200).body == layer);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"overwritten", 1_000_000).unwrap();
    file.set_modified(modified).unwrap();
    for request in [get(&blob(&layer)), get(&blob(&layer)).header("Range", "bytes=1000000-1000010")] {
        match airdock.client().connect().try_send(&request) {
            Err(broken_off) => assert!(
                matches!(broken_off.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe),
                "{broken_off:?}"
            ),
            Ok(refused) => {
                let refused = refused.expect(503);
                assert!(refused.text().contains("changed"), "{}", refused.text());
            }
        }
    }
    // What else is in the file is re-hashed, is what it was, and is served.
    assert!(airdock.client().get(&blob(small)).expect(200).body == small);
}

#[test]
fn b7_a_stick_in_exfat_serves_on_when_the_kernel_has_forgotten_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (layer, small) = (noise(LAYER), b"a small layer");
    let fill = |root: &std::path::Path| drop(save(root, &[(&layer, &layer), (small, small)]));
    let Some(stick) = Stick::new(folder.path(), 64 << 20, fill) else { return };
    let path = stick.root.join("disc/app.tar");
    let before = std::fs::metadata(&path).unwrap();
    let airdock = mounting(&path).start();
    airdock.wait_for_log("are whole; 0 are not");
    for _ in 0..3 {
        Stick::drop_caches();
        for content in [&layer[..], small] {
            let answer = airdock.client().get(&blob(content)).expect(200);
            assert!(answer.body == content, "{}", answer.text());
        }
        let ranged = airdock.client().send(&get(&blob(&layer)).header("Range", "bytes=9999990-10000009"));
        assert!(ranged.body == layer[9_999_990..10_000_010] || ranged.body == layer, "{}", ranged.status);
    }
    let after = std::fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino(), "the test needs what it is about");
    assert!(airdock.stop().success());
}

#[test]
fn with_copy_everything_is_there_when_the_medium_is_gone_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (data, disc) = (folder.path().join("data"), folder.path().join("disc"));
    let copied = std::process::Command::new("cp").arg("-r").arg(example()).arg(&disc).status().unwrap();
    assert!(copied.success());
    let mounted = mounting(&disc).argument("--copy").data(&data).start();
    let expected = everything(&mounted.client());
    mounted.wait_for_output("went in");
    std::fs::remove_dir_all(&disc).unwrap();
    assert!(everything(&mounted.client()) == expected);
    assert!(mounted.stop().success());
    assert!(everything(&Airdock::over(&data).client()) == expected);
}

#[test]
fn a_damaged_layer_is_not_copied_and_the_report_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(LAYER);
    let mut damaged = layer.clone();
    damaged[1000] ^= 1;
    let airdock = mounting(&save(folder.path(), &[(&damaged, &layer)])).argument("--copy").start();
    airdock.wait_for_log("the bundle did not go in");
    let there = airdock.data().join("blobs/sha256").join(digest(&layer).trim_start_matches("sha256:"));
    assert!(!there.exists());
    never_complete(airdock.client().connect().try_send(&get(&blob(&layer))), LAYER);
}
