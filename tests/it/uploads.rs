//! end-4, end-5, end-6, end-11, end-13, end-14: blob uploads, in every way clients send them, and interrupted in every
//! way networks do.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{Client, Request, Response};
use testkit::content::{digest, noise, sha512};
use testkit::process::{Airdock, PATIENCE};
use testkit::push::{push_blob, start_upload};

fn patch(client: &Client, location: &str, range: Option<&str>, body: &[u8]) -> Response {
    let request = Request::new("PATCH", location).body(body);
    client.send(&range.map_or(request.clone(), |range| request.header("Content-Range", range)))
}

fn finish(client: &Client, location: &str, digest: &str, body: &[u8]) -> Response {
    client.send(&Request::new("PUT", &format!("{location}?digest={}", digest.replace(':', "%3A"))).body(body))
}

/// How many bytes of an upload the registry has, from `Range`, which is `0-0` for both none and one.
fn status(client: &Client, location: &str) -> u64 {
    let answer = client.get(location).expect(204);
    answer.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap()
}

fn open_uploads(airdock: &Airdock) -> usize {
    fs::read_dir(airdock.data().join("uploads")).unwrap().count()
}

#[test]
fn end_4a_end_6_a_blob_in_one_put_as_most_clients_send_it() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let content = noise(300_000);
    for (name, digest) in [("a", digest(&content)), ("b", sha512(&content))] {
        let location = start_upload(&client, name);
        let done = finish(&client, &location, &digest, &content).expect(201);
        assert_eq!(done.header("location"), Some(&*format!("/v2/{name}/blobs/{digest}")));
        assert_eq!(done.header("docker-content-digest"), Some(&*digest));
        assert!(client.get(done.header("location").unwrap()).expect(200).body == content);
    }
}

#[test]
fn end_5_a_stream_as_docker_sends_it() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let content = noise(1_000_000);
    let started = client.send(&Request::new("POST", "/v2/a/blobs/uploads/").body("")).expect(202);
    assert_eq!((started.header("range"), started.header("content-length")), (Some("0-0"), Some("0")));
    assert!(started.header("docker-upload-uuid").is_some());
    let location = started.header("location").unwrap();
    // Chunked, without Content-Range.
    let pieces = content.chunks(10_000).map(<[u8]>::to_vec).collect();
    let sent = client.send(&Request::new("PATCH", location).chunked(pieces)).expect(202);
    assert_eq!(sent.header("range"), Some("0-999999"));
    finish(&client, sent.header("location").unwrap(), &digest(&content), b"").expect(201);
    assert!(client.get(&format!("/v2/a/blobs/{}", digest(&content))).expect(200).body == content);
}

#[test]
fn h1_a_whole_blob_with_another_digest_leaves_nothing() {
    let airdock = Airdock::start();
    let wrong = digest("something else");
    let request = Request::new("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}")).body("content");
    assert_eq!(airdock.client().send(&request).expect(400).error_code(), "DIGEST_INVALID");
    for absent in [wrong, digest("content")] {
        airdock.client().get(&format!("/v2/a/blobs/{absent}")).expect(404);
    }
    assert_eq!(open_uploads(&airdock), 0);
}

#[test]
fn h2_an_upload_closed_with_another_digest_can_be_closed_with_its_own() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a");
    patch(&client, &location, None, b"content").expect(202);
    assert_eq!(finish(&client, &location, &digest("other"), b"").expect(400).error_code(), "DIGEST_INVALID");
    finish(&client, &location, &digest("content"), b"").expect(201);
}

#[test]
fn h3_h4_h5_chunks_out_of_order_are_416_and_change_nothing() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a");
    let early = patch(&client, &location, Some("5-9"), b"56789").expect(416);
    assert_eq!((early.header("range"), early.header("location")), (Some("0-0"), Some(&*location)));
    patch(&client, &location, Some("0-4"), b"01234").expect(202);
    let again = patch(&client, &location, Some("0-4"), b"01234").expect(416);
    assert_eq!(again.header("range"), Some("0-4"), "replayed after a lost answer");
    let closing = Request::new("PUT", &format!("{location}?digest={}", digest("0123456789")));
    client.send(&closing.clone().header("Content-Range", "0-4").body("01234")).expect(416);
    client.send(&closing.clone().header("Content-Range", "6-9").body("6789")).expect(416);
    assert_eq!(status(&client, &location), 4);
    client.send(&closing.header("Content-Range", "5-9").body("56789")).expect(201);
}

#[test]
fn h4_a_stream_replayed_without_its_offset_does_not_pass_for_the_blob() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a");
    patch(&client, &location, None, b"content").expect(202);
    patch(&client, &location, None, b"content").expect(202);
    finish(&client, &location, &digest("content"), b"").expect(400);
    finish(&client, &location, &digest("contentcontent"), b"").expect(201);
}

#[test]
fn h6_of_two_requests_at_once_the_second_is_refused_and_the_first_goes_on() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a");
    let mut first = client.connect();
    first.write(format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").as_bytes()).unwrap();
    // Wait until the server has begun to read it.
    while status(&client, &location) < 4 {
        thread::sleep(Duration::from_millis(5));
    }
    let second = patch(&client, &location, None, b"xyz").expect(416);
    assert_eq!(second.header("location"), Some(&*location));
    finish(&client, &location, &digest("xyz"), b"xyz").expect(416);
    first.write(b"56789").unwrap();
    assert_eq!(first.read_response("PATCH").unwrap().expect(202).header("range"), Some("0-9"));
    finish(&client, &location, &digest("0123456789"), b"").expect(201);
}

#[test]
fn h7_a_client_that_drops_within_a_chunk_goes_on_where_the_status_says() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let content = noise(8 * 64 * 1024);
    let location = start_upload(&client, "a");
    let mut have = 0;
    for part in 1..8 {
        let end = part * 64 * 1024;
        let mut connection = client.connect();
        // Announces the whole rest and sends up to the next boundary.
        let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len() - have);
        connection.write(head.as_bytes()).unwrap();
        connection.write(&content[have..end]).unwrap();
        while (status(&client, &location) as usize) < end - 1 {
            thread::sleep(Duration::from_millis(5));
        }
        drop(connection);
        have = end;
        // The upload is busy until the server notices that the client is gone.
        let until = Instant::now() + PATIENCE;
        while patch(&client, &location, None, b"").status == 416 {
            assert!(Instant::now() < until, "held for ever");
            thread::sleep(Duration::from_millis(5));
        }
    }
    let range = format!("{have}-{}", content.len() - 1);
    let rest = patch(&client, &location, Some(&range), &content[have..]).expect(202);
    assert_eq!(rest.header("range"), Some(&*format!("0-{}", content.len() - 1)));
    finish(&client, &location, &digest(&content), b"").expect(201);
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(500_000);
    let airdock = Airdock::over(folder.path());
    let location = start_upload(&airdock.client(), "a");
    patch(&airdock.client(), &location, None, &content[..200_000]).expect(202);
    airdock.kill();
    let airdock = Airdock::over(folder.path());
    assert_eq!(status(&airdock.client(), &location), 199_999);
    patch(&airdock.client(), &location, Some("200000-499999"), &content[200_000..]).expect(202);
    finish(&airdock.client(), &location, &digest(&content), b"").expect(201);
}

#[test]
fn end_11_h20_a_mount_is_made_or_becomes_an_upload_and_tells_nothing_else() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let there = push_blob(&client, "docker.io/library/alpine", b"shared");
    let mount = |query: &str| client.send(&Request::new("POST", &format!("/v2/b/blobs/uploads/?{query}")).body(""));
    let absent = digest("absent");
    for query in [
        format!("mount={absent}&from=docker.io/library/alpine"),
        format!("mount={there}&from=nowhere"),
        format!("mount={there}&from=..%2Fx"),
        format!("mount={absent}"),
    ] {
        let answer = mount(&query).expect(202);
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("/v2/b/blobs/uploads/"), "{query}");
        finish(&client, location, &absent, b"absent").expect(201);
        client.delete(&format!("/v2/b/blobs/{absent}")).expect(202);
    }
    assert_eq!(mount("mount=sha256:abc&from=a").expect(400).error_code(), "DIGEST_INVALID");
    // As crane sends it: the source with its upstream, encoded, and with `origin`, which is ignored.
    let made =
        mount(&format!("from=docker.io%2Flibrary%2Falpine&mount={}&origin=x", there.replace(':', "%3A"))).expect(201);
    assert_eq!(made.header("location"), Some(&*format!("/v2/b/blobs/{there}")));
    assert_eq!(made.header("docker-content-digest"), Some(&*there));
    assert_eq!(client.get(&format!("/v2/b/blobs/{there}")).expect(200).text(), "shared");
    // As regctl asks for every blob: from any repository.
    let anywhere = client.send(&Request::new("POST", &format!("/v2/c/blobs/uploads/?mount={there}")).body(""));
    anywhere.expect(201);
}

#[test]
fn end_14_a_cancelled_upload_is_gone_and_its_bytes_too() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a");
    patch(&client, &location, None, b"content").expect(202);
    client.delete(&location).expect(204);
    assert_eq!(open_uploads(&airdock), 0);
    assert_eq!(client.get(&location).expect(404).error_code(), "BLOB_UPLOAD_UNKNOWN");
    client.delete(&location).expect(404);
}

#[test]
fn h32_an_upload_of_one_repository_is_unknown_in_another() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let location = start_upload(&client, "a").replace("/v2/a/", "/v2/b/");
    client.get(&location).expect(404);
    client.delete(&location).expect(404);
    patch(&client, &location, None, b"x").expect(404);
    assert_eq!(finish(&client, &location, &digest("x"), b"x").expect(404).error_code(), "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn h33_uploads_have_a_number_they_cannot_exceed() {
    let airdock = Airdock::builder().variable("AIRDOCK__REGISTRY__MAX_UPLOADS", "20").start();
    let client = airdock.client();
    let first = start_upload(&client, "a");
    for _ in 1..20 {
        start_upload(&client, "a");
    }
    let refused = client.send(&Request::new("POST", "/v2/a/blobs/uploads/").body("")).expect(429);
    assert_eq!(refused.error_code(), "TOOMANYREQUESTS");
    assert!(refused.header("retry-after").is_some());
    client.delete(&first).expect(204);
    start_upload(&client, "a");
}

#[test]
fn the_same_blob_from_many_clients_at_once_is_taken_from_each() {
    let airdock = Airdock::start();
    let content = noise(1_000_000);
    thread::scope(|scope| {
        for number in 0..8 {
            let (client, content) = (airdock.client(), &content);
            scope.spawn(move || push_blob(&client, &format!("r{number}"), content));
        }
    });
    for number in 0..8 {
        let target = format!("/v2/r{number}/blobs/{}", digest(&content));
        assert!(airdock.client().get(&target).expect(200).body == content);
    }
}

/// Begins a request with a body of ten bytes, and returns once the server has the first five.
fn begin_with_half(client: &Client, location: &str, request: &str) -> testkit::client::Connection {
    let mut connection = client.connect();
    connection.write(format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").as_bytes()).unwrap();
    while status(client, location) < 4 {
        thread::sleep(Duration::from_millis(5));
    }
    connection
}

#[test]
fn d17_a_request_whose_upload_was_cancelled_under_it_is_told_so() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for method in ["PATCH", "PUT"] {
        let location = start_upload(&client, "a");
        let target = match method {
            "PATCH" => location.clone(),
            _ => format!("{location}?digest={}", digest("0123456789")),
        };
        let mut held = begin_with_half(&client, &location, &format!("{method} {target}"));
        client.delete(&location).expect(204);
        assert_eq!(client.get(&location).expect(404).error_code(), "BLOB_UPLOAD_UNKNOWN", "at once, though it is held");
        client.delete(&location).expect(404);
        held.write(b"56789").unwrap();
        let answer = held.read_response(method).unwrap();
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"), "{method}");
        patch(&client, &location, None, b"x").expect(404);
        assert_eq!(open_uploads(&airdock), 0);
    }
    client.get(&format!("/v2/a/blobs/{}", digest("0123456789"))).expect(404);
}

#[test]
fn d17_of_a_cancellation_and_a_closing_put_exactly_one_succeeds() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let (mut closed, mut cancelled) = (0, 0);
    for round in 0..120_u64 {
        let content = [noise(400_000), round.to_be_bytes().to_vec()].concat();
        let location = start_upload(&client, "a");
        patch(&client, &location, None, &content).expect(202);
        let (put, delete) = thread::scope(|scope| {
            let put = scope.spawn(|| finish(&airdock.client(), &location, &digest(&content), b"").status);
            let delete = scope.spawn(|| {
                thread::sleep(Duration::from_micros(round * 100));
                airdock.client().delete(&location).status
            });
            (put.join().unwrap(), delete.join().unwrap())
        });
        let blob = client.get(&format!("/v2/a/blobs/{}", digest(&content))).status;
        match (put, delete, blob) {
            (201, 404, 200) => closed += 1,
            (404, 204, 404) => cancelled += 1,
            other => panic!("round {round}: {other:?}"),
        }
    }
    assert!(closed + cancelled == 120 && open_uploads(&airdock) == 0);
}

#[test]
fn d17_of_a_cancellation_and_a_chunk_no_byte_is_accepted_that_is_thrown_away() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for round in 0..60_u64 {
        let location = start_upload(&client, "a");
        let (sent, cancelled) = thread::scope(|scope| {
            let sent = scope.spawn(|| patch(&airdock.client(), &location, None, b"content").status);
            let cancelled = scope.spawn(|| {
                thread::sleep(Duration::from_micros(round * 30));
                airdock.client().delete(&location).status
            });
            (sent.join().unwrap(), cancelled.join().unwrap())
        });
        assert!(matches!((sent, cancelled), (202 | 404, 204)), "{sent} {cancelled}");
        client.get(&location).expect(404);
    }
    assert_eq!(open_uploads(&airdock), 0);
}

#[test]
fn d07_uploads_without_a_byte_cost_no_disk_and_none_is_left_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let airdock = Airdock::over(folder.path());
    let client = airdock.client();
    let mut connection = client.connect();
    let mut begin = || connection.send(&Request::new("POST", "/v2/a/blobs/uploads/").body(""));
    // The share of one address: a quarter of what there may be in all.
    for _ in 0..2_500 {
        begin().expect(202);
    }
    let refused = begin().expect(429);
    assert_eq!(refused.error_code(), "TOOMANYREQUESTS");
    assert!(refused.text().contains("127.0.0.1") && refused.text().contains("in minutes"), "{}", refused.text());
    assert_eq!(open_uploads(&airdock), 0);
    drop(airdock);
    let airdock = Airdock::over(folder.path());
    start_upload(&airdock.client(), "a");
}
