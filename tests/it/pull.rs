//! end-1, end-2, end-3: pulling.

use std::path::Path;

use testkit::client::Request;
use testkit::content::{digest, noise, sha512};
use testkit::manifest::index;
use testkit::process::{Airdock, command};
use testkit::push::{push_blob, push_image, put_manifest};

#[test]
fn end_1_the_registry_says_that_it_is_one() {
    let airdock = Airdock::start();
    let answer = airdock.client().get("/v2/").expect(200);
    assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    assert_eq!((answer.header("content-type"), answer.text()), (Some("application/json"), "{}".to_owned()));
}

#[test]
fn end_2_a_large_blob_arrives_whole_on_one_connection_again_and_again() {
    let airdock = Airdock::start();
    let content = noise(20 * 1024 * 1024 + 123);
    let digest = push_blob(&airdock.client(), "a", &content);
    let mut connection = airdock.client().connect();
    for _ in 0..3 {
        let answer = connection.send(&Request::new("GET", &format!("/v2/a/blobs/{digest}"))).expect(200);
        assert!(answer.body == content);
        let head = connection.send(&Request::new("HEAD", &format!("/v2/a/blobs/{digest}"))).expect(200);
        assert_eq!(head.header("content-length"), Some(&*content.len().to_string()));
    }
}

#[test]
fn h22_ranges_are_the_bytes_asked_for_and_say_so() {
    let airdock = Airdock::start();
    let content = noise(3 * 1024 * 1024);
    let target = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &content));
    let mut connection = airdock.client().connect();
    let size = content.len();
    let mut ask = |range: &str| connection.send(&Request::new("GET", &target).header("Range", range));
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=-1".into(), size - 1, size),
        ("bytes=0-999999999999".into(), 0, size),
        ("bytes=1000-".into(), 1000, size),
        (format!("bytes={}-{}", size - 100_000, size - 2), size - 100_000, size - 1),
    ] {
        let answer = ask(&range).expect(206);
        assert!(answer.body == content[start..end], "{range}");
        assert_eq!(answer.header("content-range"), Some(&*format!("bytes {start}-{}/{size}", end - 1)));
    }
    assert_eq!(ask("bytes=5-2").status, 416);
    let beyond = ask("bytes=99999999-").expect(416);
    assert_eq!(beyond.header("content-range"), Some(&*format!("bytes */{size}")));
    for ignored in ["bytes=abc", "lines=1-2", "bytes=1-2,x"] {
        assert!(ask(ignored).expect(200).body == content, "{ignored}");
    }
}

#[test]
fn end_2_several_ranges_come_as_parts_as_podman_wants_them() {
    let airdock = Airdock::start();
    let content = noise(2 * 1024 * 1024);
    let target = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &content));
    // One is large enough to be sent from the file, between two that are read into memory.
    let ranges = [(83, 546), (500_000, 1_500_000), (0, 1), (2_000_000, 2_000_099)];
    let list: Vec<_> = ranges.iter().map(|(start, last)| format!("{start}-{last}")).collect();
    let request = Request::new("GET", &target).header("Range", &format!("bytes={}", list.join(",")));
    let answer = airdock.client().send(&request).expect(206);
    let kind = answer.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut rest = &answer.body[..];
    for (index, (start, last)) in ranges.into_iter().enumerate() {
        let line = if index == 0 { "" } else { "\r\n" };
        let head = format!(
            "{line}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{last}/{}\r\n\r\n",
            content.len()
        );
        rest = rest.strip_prefix(head.as_bytes()).expect("one part for each range, in order");
        rest = rest.strip_prefix(&content[start..=last]).expect("the bytes of the range");
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

#[test]
fn end_2_an_empty_blob_is_an_answer_of_no_bytes() {
    let airdock = Airdock::start();
    let target = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", b""));
    for range in [None, Some("bytes=0-")] {
        let request = Request::new("GET", &target);
        let request = range.map_or(request.clone(), |range| request.header("Range", range));
        let answer = airdock.client().send(&request).expect(200);
        assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0));
    }
}

#[test]
fn a_client_that_hangs_up_within_a_range_is_nothing_to_log() {
    let airdock = Airdock::builder().variable("AIRDOCK__LOG__LEVEL", "info").start();
    let target = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &noise(8 * 1024 * 1024)));
    let before = airdock.log();
    for offset in (0..8).map(|part| part * 1024 * 1024) {
        // As containerd's parallel pulls do: an open-ended range, closed after a part of it.
        let mut connection = airdock.client().connect();
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nRange: bytes={offset}-\r\n\r\n");
        connection.write(request.as_bytes()).unwrap();
        assert!(!connection.read_some(32 * 1024).unwrap().is_empty());
    }
    airdock.client().get("/v2/").expect(200);
    assert_eq!(airdock.log(), before);
}

#[test]
fn end_3_h28_a_manifest_is_served_as_pushed_whatever_the_client_accepts() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[b"layer"]);
    let many = vec!["application/x"; 300].join(", ");
    for accept in [None, Some("*/*"), Some("application/vnd.docker.distribution.manifest.v2+json"), Some(&*many)] {
        for reference in ["v1", &digest(&manifest)] {
            let request = Request::new("GET", &format!("/v2/a/manifests/{reference}"));
            let request = accept.map_or(request.clone(), |accept| request.header("Accept", accept));
            let answer = client.send(&request).expect(200);
            assert_eq!(answer.text(), manifest);
            assert_eq!(answer.header("content-type"), Some("application/vnd.oci.image.manifest.v1+json"));
            assert_eq!(answer.header("docker-content-digest"), Some(&*digest(&manifest)));
        }
    }
}

#[test]
fn end_3_a_tag_pushed_by_sha512_reports_sha512() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[]);
    let by_sha512 = sha512(&manifest);
    put_manifest(&client, "a", &format!("{by_sha512}?tag=v2"), &manifest).expect(201);
    assert_eq!(client.head("/v2/a/manifests/v2").expect(200).header("docker-content-digest"), Some(&*by_sha512));
    assert_eq!(
        client.head("/v2/a/manifests/v1").expect(200).header("docker-content-digest"),
        Some(&*digest(&manifest))
    );
}

#[test]
fn end_3_an_index_and_its_images_are_served() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let children = [push_image(&client, "a", "x", &[b"one"]), push_image(&client, "a", "y", &[b"two"])];
    let index = index(&[&children[0], &children[1]]);
    put_manifest(&client, "a", "v1", &index).expect(201);
    let answer = client.get("/v2/a/manifests/v1").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/vnd.oci.image.index.v1+json"));
    assert_eq!(answer.text(), index);
    for child in children {
        assert_eq!(client.get(&format!("/v2/a/manifests/{}", digest(&child))).expect(200).text(), child);
    }
}

#[test]
fn h23_what_a_client_has_already_is_not_sent_again() {
    let airdock = Airdock::start();
    let manifest = push_image(&airdock.client(), "a", "v1", &[]);
    let known = digest(&manifest);
    let ask = |tag: &str| {
        airdock.client().send(&Request::new("GET", "/v2/a/manifests/v1").header("If-None-Match", tag)).status
    };
    for same in [format!("\"{known}\""), format!("W/\"{known}\""), known, "*".into()] {
        assert_eq!(ask(&same), 304, "{same}");
    }
    assert_eq!(ask(&format!("\"{}\"", digest("other"))), 200);
}

#[test]
fn h21_a_blob_of_another_repository_is_not_here() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let digest = push_blob(&client, "team/secret", b"secret");
    client.get(&format!("/v2/team/secret/blobs/{digest}")).expect(200);
    for repository in ["team", "team/secret2", "secret", "other"] {
        assert_eq!(client.get(&format!("/v2/{repository}/blobs/{digest}")).expect(404).error_code(), "BLOB_UNKNOWN");
        client.head(&format!("/v2/{repository}/blobs/{digest}")).expect(404);
    }
}

/// What a faulty disk may do to a file.
type Harm = fn(&[u8]) -> Vec<u8>;

/// The file is truncated, extended or emptied.
const HARMS: [Harm; 3] = [|whole| whole[..whole.len() - 1].to_vec(), |whole| [whole, b"x"].concat(), |_| Vec::new()];

#[test]
fn s03_a_blob_whose_file_has_another_length_is_an_error_until_it_is_brought_again() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for (number, harm) in HARMS.iter().enumerate() {
        for size in [100, 100_000] {
            let content = noise(size + number);
            push_image(&client, "harmed", "1", &[&content]);
            let path = format!("/v2/harmed/blobs/{}", digest(&content));
            let file = airdock.data().join("blobs/sha256").join(&digest(&content)["sha256:".len()..]);
            std::fs::write(&file, harm(&content)).unwrap();
            client.get(&path).expect(500);
            assert_eq!(client.head(&path).status, 500, "HEAD agrees with GET");
            client.send(&Request::new("GET", &path).header("range", "bytes=0-9")).expect(500);
            airdock.wait_for_log(file.file_name().unwrap().to_str().unwrap());
            airdock.wait_for_log("set it aside by a verification that removes what is damaged");
            // It cannot be mounted into another repository either, and a push repairs it for every repository.
            let mount = format!("/v2/other/blobs/uploads/?mount={}&from=harmed", digest(&content));
            client.send(&Request::new("POST", &mount)).expect(202);
            push_blob(&client, "other", &content);
            assert_eq!(client.get(&path).expect(200).body, content);
            assert_eq!(client.head(&path).expect(200).header("content-length").unwrap(), content.len().to_string());
        }
    }
}

#[test]
fn s03_the_length_of_a_blob_no_push_counted_is_known_from_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/zenml-air-gapped-bundle");
    let ingest = || {
        let mut command = command(folder.path());
        assert!(command.args(["ingest", "--data", "data"]).arg(&bundle).output().unwrap().status.success());
    };
    ingest();
    let airdock = Airdock::over(&folder.path().join("data"));
    let manifest = airdock.client().get("/v2/charts/zenml/manifests/0.93.2").expect(200).json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let path = format!("/v2/charts/zenml/blobs/{layer}");
    let file = airdock.data().join("blobs/sha256").join(&layer["sha256:".len()..]);
    let whole = std::fs::read(&file).unwrap();
    airdock.kill();
    for harm in HARMS {
        std::fs::write(&file, harm(&whole)).unwrap();
        let airdock = Airdock::over(&folder.path().join("data"));
        airdock.client().get(&path).expect(500);
        assert_eq!(airdock.client().head(&path).status, 500);
        // The server that saw the damage need not be restarted.
        ingest();
        assert_eq!(airdock.client().get(&path).expect(200).body, whole);
    }
}

#[test]
fn s03_a_blob_that_was_open_when_its_file_was_cut_is_served_again_once_it_is_mended() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let content = noise(100_000);
    push_image(&client, "open", "1", &[&content]);
    let path = format!("/v2/open/blobs/{}", digest(&content));
    client.get(&path).expect(200);
    let file = airdock.data().join("blobs/sha256").join(&digest(&content)["sha256:".len()..]);
    std::fs::File::options().write(true).open(&file).unwrap().set_len(10).unwrap();
    // The headers may have been sent already: then the connection is aborted, and the body is never complete.
    let cut = client.connect().try_send(&Request::new("GET", &path));
    assert!(cut.is_err() || cut.is_ok_and(|response| response.status == 500));
    push_blob(&client, "open", &content);
    assert_eq!(client.get(&path).expect(200).body, content);
}
