//! What a refused change and a deletion leave in the log at its default level: the client may never show why.

use testkit::client::Request;
use testkit::content::digest;
use testkit::manifest::image;
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, put_manifest};

/// The line of the log that holds all of these.
fn line(airdock: &Airdock, parts: &[&str]) -> String {
    airdock.wait_for_log(parts[0]);
    let log = airdock.log();
    let found = log.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    found.unwrap_or_else(|| panic!("no line with {parts:?} in:\n{log}")).to_owned()
}

#[test]
fn c14_a_refused_change_is_one_line_with_reference_code_cause_and_client() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let missing = digest("missing layer");
    push_blob(&client, "team/app", b"{}");
    put_manifest(&client, "team/app", "v7", &image(&[b"missing layer"], "")).expect(400);
    line(&airdock, &["team/app:v7", "WARN", "MANIFEST_BLOB_UNKNOWN", "400", &missing, "127.0.0.1", "PUT"]);
    let wrong = digest("wrong");
    client.send(&Request::new("POST", &format!("/v2/team/b/blobs/uploads/?digest={wrong}")).body("x")).expect(400);
    line(&airdock, &[&format!("team/b@{wrong}"), "DIGEST_INVALID", "127.0.0.1"]);
    client.delete("/v2/team/app/manifests/absent").expect(404);
    line(&airdock, &["team/app:absent", "DELETE", "MANIFEST_UNKNOWN"]);
    client.send(&Request::new("PUT", "/v2/UPPER/manifests/v1").body("{}")).expect(400);
    line(&airdock, &["/v2/UPPER/manifests/v1", "NAME_INVALID"]);
    // A reader that asks for what is not there is not worth a line.
    client.get("/v2/team/quiet/manifests/v1").expect(404);
    client.get("/v2/%0AERROR/manifests/v1").expect(400);
    client.send(&Request::new("PUT", "/v2/%0AERROR%20forged/manifests/v1").body("{}")).expect(400);
    line(&airdock, &["forged", "WARN", "NAME_INVALID"]);
    assert!(!airdock.log().contains("team/quiet"), "{}", airdock.log());
    assert!(airdock.log().lines().all(|line| !line.trim_start().starts_with("ERROR")), "{}", airdock.log());
}

#[test]
fn c14_a_deletion_is_one_line_with_what_went_and_the_client() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_image(&client, "a/b", "one", &[b"layer"]);
    let manifest = push_image(&client, "a/b", "two", &[b"layer"]);
    push_image(&client, "a/b", "three", &[b"other"]);
    let manifest = digest(manifest);
    client.delete("/v2/a/b/manifests/three").expect(202);
    line(&airdock, &["a/b:three", "INFO", "deleted", "127.0.0.1"]);
    client.delete(&format!("/v2/a/b/manifests/{manifest}")).expect(202);
    line(&airdock, &[&format!("a/b@{manifest}"), "deleted", "one two"]);
    let blob = push_blob(&client, "a/b", b"alone");
    client.delete(&format!("/v2/a/b/blobs/{blob}")).expect(202);
    line(&airdock, &[&format!("a/b@{blob}"), "deleted"]);
}
