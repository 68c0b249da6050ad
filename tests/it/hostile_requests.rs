//! Malformed and hostile requests, and that they do not affect other clients (H08 to H35 of the test list).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::client::{Client, Request};
use testkit::content::{digest, noise};
use testkit::manifest::image;
use testkit::process::{Airdock, PATIENCE};
use testkit::push::{push_blob, push_image, put_manifest, start_upload};

/// Sends raw bytes and reads until the connection closes, or is silent for a second.
fn raw(client: &Client, bytes: &[u8]) -> String {
    let mut connection = client.connect();
    // The server may close before it has read everything.
    let _ = connection.write(bytes);
    let mut answer = Vec::new();
    let until = Instant::now() + Duration::from_secs(1);
    while let Ok(some) = connection.read_some(64 * 1024) {
        if some.is_empty() || Instant::now() > until {
            break;
        }
        answer.extend(some);
        // A response that closes the connection.
        if answer.ends_with(b"}") || answer.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

/// Resident memory of a process in KiB (`VmRSS`).
fn memory(airdock: &Airdock) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", airdock.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn h8_bodies_with_two_lengths_smuggle_nothing() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let upload = start_upload(&client, "a");
    let smuggled = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let answer = raw(&client, format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\n{framing}\r\n{smuggled}").as_bytes());
        assert!(!statuses(&answer).contains(&"200"), "{framing}: {answer}");
    }
    // Of two equal lengths one counts: the rest is the next request and gets its own response.
    let answer = raw(
        &client,
        format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345{smuggled}").as_bytes(),
    );
    assert_eq!(statuses(&answer)[0], "202", "{answer}");
}

#[test]
fn h8_a_body_that_ends_early_leaves_what_came() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let upload = start_upload(&client, "a");
    let mut stream = TcpStream::connect(airdock.address()).unwrap();
    write!(stream, "PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let status = client.get(&upload).expect(204);
    assert_eq!(status.header("range"), Some("0-4"));
}

#[test]
fn h9_h10_h11_texts_that_are_no_digest_name_or_tag_are_answered_as_such() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_image(&client, "a", "v1", &[]);
    let long = "a".repeat(300);
    let upper = digest("x").to_uppercase().replace("SHA256", "sha256");
    for bad in [
        "sha256:",
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "%2e%2e%2fx",
        "sha256:%00",
        "sha256:..%2F..%2Fx",
        &upper,
    ] {
        assert_eq!(client.get(&format!("/v2/a/blobs/{bad}")).expect(400).error_code(), "DIGEST_INVALID", "{bad}");
    }
    for bad in ["..", "a//b", "A", "a/../b", &long, "%C3%BC", "a%2Fb", "a%00", "-a", "a."] {
        assert_eq!(client.get(&format!("/v2/{bad}/manifests/v1")).expect(400).error_code(), "NAME_INVALID", "{bad}");
    }
    for bad in [&*"a".repeat(129), ".x", "-x", "a%2Fb", "%E2%82%AC"] {
        assert_eq!(client.get(&format!("/v2/a/manifests/{bad}")).expect(404).error_code(), "MANIFEST_UNKNOWN", "{bad}");
        assert_eq!(put_manifest(&client, "a", bad, "{}").expect(400).error_code(), "NAME_INVALID", "{bad}");
    }
    let short = client.get(&format!("/v2/a/manifests/{}", &digest("x")[..40])).expect(400);
    assert_eq!(short.error_code(), "DIGEST_INVALID");
}

#[test]
fn h29_paths_that_are_no_endpoint_are_404_or_405_in_json() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let deep = format!("/v2/{}x/y", "a/".repeat(8000));
    for path in [
        "//",
        "/v1/",
        "/v2//",
        "/V2/",
        "/v2/%2e%2e/",
        "/v2/_catalog//",
        "/v2/_catalog/.",
        "/v2/../etc/passwd",
        "/v2/_oci/ext/discover",
        &deep,
    ] {
        let answer = client.get(path).expect(404);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert!(!answer.error_code().is_empty(), "{path}");
    }
    client.get("http://elsewhere.example/v2/").expect(200);
    for method in ["OPTIONS", "TRACE", "POST", "PURGE"] {
        let answer = client.send(&Request::new(method, "/v2/a/tags/list"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(statuses(&raw(&client, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")), ["404"]);
    assert_eq!(statuses(&raw(&client, b"CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")), ["404"]);
}

#[test]
fn h30_no_header_decides_where_a_location_leads() {
    let airdock = Airdock::start();
    let request = Request::new("POST", "/v2/a/blobs/uploads/")
        .header("Host", "evil.example")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "gopher")
        .header("Forwarded", "host=evil.example")
        .body("");
    let started = airdock.client().send(&request).expect(202);
    assert!(started.header("location").unwrap().starts_with("/v2/a/blobs/uploads/"));
    assert!(started.headers.iter().all(|(_, value)| !value.contains("evil")));
}

#[test]
fn h31_a_refused_body_is_not_asked_for_and_a_wanted_one_is() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let upload = start_upload(&client, "a");
    let head =
        |path: &str| format!("PUT {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut connection = client.connect();
    connection.write(head(&upload).as_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().0, 400, "no digest, and no 100");
    let mut connection = client.connect();
    connection.write(head(&format!("{upload}?digest={}", digest("12345"))).as_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().0, 100);
    connection.write(b"12345").unwrap();
    connection.read_response("PUT").unwrap().expect(201);
}

#[test]
fn h35_old_clients_pipelines_and_long_lives_are_served() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[]);
    let blob = push_blob(&client, "a", &noise(200_000));

    let mut old = TcpStream::connect(airdock.address()).unwrap();
    old.set_read_timeout(Some(PATIENCE)).unwrap();
    old.write_all(b"GET /v2/a/manifests/v1 HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(&manifest), "{answer}");

    let mut pipeline = client.connect();
    let get = |path: &str| format!("GET /v2/a/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let both = get("manifests/v1") + &get(&format!("blobs/{blob}"));
    pipeline.write(both.repeat(50).as_bytes()).unwrap();
    for _ in 0..50 {
        assert_eq!(pipeline.read_response("GET").unwrap().expect(200).text(), manifest);
        assert_eq!(digest(pipeline.read_response("GET").unwrap().expect(200).body), blob);
    }

    let mut long = client.connect();
    for _ in 0..10_000 {
        assert_eq!(long.send(&Request::new("GET", "/v2/a/manifests/v1")).status, 200);
    }
}

#[test]
fn r3_headers_and_queries_have_a_bound() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let before = memory(&airdock);
    let many = "X: y\r\n".repeat(200);
    let large = format!("X: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, large] {
        let answer = raw(&client, format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
        assert!(matches!(statuses(&answer)[..], ["431"] | []), "{answer}");
    }
    let query = "tag=x&".repeat(5000);
    let answer = client.send(&Request::new("PUT", &format!("/v2/a/manifests/{}?{query}", digest("x"))).body("{}"));
    assert_eq!(answer.status, 414);
    let query = "q=x&".repeat(100_000);
    let answer = raw(&client, format!("GET /v2/?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert!(matches!(statuses(&answer)[..], ["414" | "431" | "400"] | []), "{answer}");
    // Podman's partial pulls send a thousand ranges; that is not an attack.
    let blob = push_blob(&client, "a", &noise(100_000));
    let ranges: Vec<_> = (0..1024).map(|part| format!("{}-{}", part * 90, part * 90 + 9)).collect();
    let request =
        Request::new("GET", &format!("/v2/a/blobs/{blob}")).header("Range", &format!("bytes={}", ranges.join(",")));
    let parts = client.send(&request).expect(206);
    assert_eq!(parts.text().matches("Content-Range: bytes ").count(), 1024);
    assert!(memory(&airdock) < before + 64 * 1024, "{before} KiB before, {} after", memory(&airdock));
}

#[test]
fn r7_many_large_manifests_at_once_are_held_in_bounded_memory() {
    let airdock = Airdock::start();
    push_blob(&airdock.client(), "a", b"{}");
    let before = memory(&airdock);
    let padding = format!(",\"x\":\"{}\"", "y".repeat((4 << 20) - 400));
    let manifest = image(&[], &padding);
    std::thread::scope(|scope| {
        for number in 0..60 {
            let (client, manifest) = (airdock.client(), &manifest);
            scope.spawn(move || put_manifest(&client, "a", &format!("v{number}"), manifest).expect(201));
        }
    });
    // 60 x 4 MiB would be 240 MiB, and as much again while they are parsed.
    assert!(memory(&airdock) < before + 200 * 1024, "{before} KiB before, {} after", memory(&airdock));
}

/// Writes HTTP/2 frames by hand, since no client library would send these.
mod frames {
    pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const CONTINUATION: u8 = 9;
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;

    pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// A request's header block in HPACK, with indexed names and literal values.
    pub(super) fn request(method: &str, path: &str) -> Vec<u8> {
        let mut block = vec![0x86];
        for (name, value) in [(2, method), (4, path), (1, "x")] {
            block.push(name);
            block.push(value.len() as u8);
            block.extend(value.as_bytes());
        }
        block
    }
}

/// Opens an HTTP/2 connection with prior knowledge and floods it with `next`, up to `limit` times. Returns whether the
/// server closed it.
fn flood(airdock: &Airdock, settings: &[u8], limit: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(airdock.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut hello = frames::PREFACE.to_vec();
    hello.extend(frames::frame(frames::SETTINGS, 0, 0, settings));
    stream.write_all(&hello).unwrap();
    for number in 0..limit {
        if stream.write_all(&next(number)).is_err() {
            return true;
        }
        if number % 64 == 0 {
            // Read the responses, so that only the flood itself can be the reason to close.
            match stream.read(&mut [0; 16 * 1024]) {
                Ok(0) => return true,
                Err(error)
                    if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    return true;
                }
                _ => {}
            }
        }
    }
    false
}

#[test]
fn h34_floods_of_http_2_frames_end_their_own_connection_and_no_other() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_image(&client, "a", "v1", &[]);
    let before = memory(&airdock);
    let path = "/v2/a/manifests/v1";
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        let flags = frames::END_HEADERS | frames::END_STREAM;
        let mut both = frames::frame(frames::HEADERS, flags, stream, &frames::request("GET", path));
        both.extend(frames::frame(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    };
    assert!(flood(&airdock, &[], 200_000, reset), "rapid reset");
    let endless_header = |number: u32| match number {
        0 => frames::frame(frames::HEADERS, 0, 1, &frames::request("GET", path)),
        // A literal field without indexing, repeated.
        _ => frames::frame(frames::CONTINUATION, 0, 1, &[&[0, 1, b'x', 100][..], &[b'y'; 100]].concat()),
    };
    assert!(flood(&airdock, &[], 200_000, endless_header), "a header without an end");
    let empty_data = |number: u32| match number {
        0 => frames::frame(frames::HEADERS, frames::END_HEADERS, 1, &frames::request("PUT", path)),
        _ => frames::frame(frames::DATA, 0, 1, &[]),
    };
    assert!(flood(&airdock, &[], 2_000_000, empty_data), "data without bytes");
    client.get(path).expect(200);
    assert!(memory(&airdock) < before + 64 * 1024, "{before} KiB before, {} after", memory(&airdock));
}

#[test]
fn h34_a_client_that_opens_no_window_is_closed_and_holds_nothing_up() {
    let airdock = Airdock::builder()
        .variable("AIRDOCK__SERVER__LIMITS__STALL", "1s")
        .variable("AIRDOCK__SERVER__LIMITS__MAX_STREAMS", "50")
        .start();
    let client = airdock.client();
    let blob = push_blob(&client, "a", &noise(10_000_000));
    let path = format!("/v2/a/blobs/{blob}");
    let before = memory(&airdock);
    let mut stream = TcpStream::connect(airdock.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = frames::PREFACE.to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    bytes.extend(frames::frame(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for number in 0..50 {
        let flags = frames::END_HEADERS | frames::END_STREAM;
        bytes.extend(frames::frame(frames::HEADERS, flags, 2 * number + 1, &frames::request("GET", &path)));
    }
    stream.write_all(&bytes).unwrap();
    client.get("/v2/").expect(200);
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(began.elapsed() < PATIENCE / 2, "closed by its deadline");
    assert!(answer.len() < 100_000, "headers and no data");
    assert!(memory(&airdock) < before + 32 * 1024);
}
