//! Conditional requests (RFC 9110, 13): a change is made only if the content is still what the client believes it is.

use std::thread;

use testkit::client::{Client, Request, Response};
use testkit::content::digest;
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, put_manifest};

const MANIFEST: &str = "/v2/a/manifests/rel";

fn etag(content: impl AsRef<[u8]>) -> String {
    format!("\"{}\"", digest(content))
}

fn put(client: &Client, target: &str, manifest: &str, (field, value): (&str, &str)) -> Response {
    client.send(&Request::new("PUT", target).header(field, value).body(manifest))
}

fn delete(client: &Client, target: &str, (field, value): (&str, &str)) -> Response {
    client.send(&Request::new("DELETE", target).header(field, value))
}

#[test]
fn c06_a_change_whose_precondition_fails_is_412_and_changes_nothing() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let (first, second) = (push_image(&client, "a", "rel", &[b"one"]), push_image(&client, "a", "other", &[b"two"]));
    let (stale, weak) = (etag("stale"), format!("W/{}", etag(&first)));
    let by_digest = format!("/v2/a/manifests/{}", digest(&first));
    let blob = format!("/v2/a/blobs/{}", push_blob(&client, "a", b"alone"));
    for refused in [
        put(&client, MANIFEST, &second, ("If-None-Match", "*")),
        put(&client, MANIFEST, &second, ("If-None-Match", &etag(&first))),
        put(&client, MANIFEST, &second, ("If-Match", &stale)),
        put(&client, MANIFEST, &second, ("If-Match", &weak)),
        put(&client, "/v2/a/manifests/absent", &second, ("If-Match", "*")),
        put(&client, &by_digest, &first, ("If-None-Match", "*")),
        delete(&client, MANIFEST, ("If-Match", &stale)),
        delete(&client, MANIFEST, ("If-None-Match", "*")),
        delete(&client, &by_digest, ("If-Match", &stale)),
        delete(&client, "/v2/a/manifests/absent", ("If-Match", "*")),
        delete(&client, &blob, ("If-Match", &stale)),
    ] {
        let refused = refused.expect(412);
        assert_eq!(refused.error_code(), "DENIED");
        assert!(refused.text().contains("If-Match") && refused.text().contains("`a`"), "{}", refused.text());
        assert_eq!(client.get(MANIFEST).expect(200).text(), first);
        client.get("/v2/a/manifests/absent").expect(404);
        client.get(&blob).expect(200);
    }
    put(&client, MANIFEST, &second, ("If-Match", &format!("{stale}, {}", etag(&first)))).expect(201);
    assert_eq!(client.get(MANIFEST).expect(200).text(), second);
    put(&client, "/v2/a/manifests/new", &first, ("If-None-Match", "*")).expect(201);
    put(&client, MANIFEST, &first, ("If-None-Match", &stale)).expect(201);
    delete(&client, MANIFEST, ("If-Match", &etag(&first))).expect(202);
    delete(&client, &by_digest, ("If-Match", "*")).expect(202);
    delete(&client, &blob, ("If-Match", &etag("alone"))).expect(202);
}

#[test]
fn c06_a_read_of_another_version_than_the_client_wants_is_412() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "rel", &[b"one"]);
    let blob = format!("/v2/a/blobs/{}", digest("one"));
    for (target, there) in [(MANIFEST, etag(&manifest)), (blob.as_str(), etag("one"))] {
        let ask = |method: &str, value: &str| client.send(&Request::new(method, target).header("If-Match", value));
        ask("GET", &there).expect(200);
        ask("GET", "*").expect(200);
        assert_eq!(ask("GET", &etag("other")).expect(412).error_code(), "DENIED");
        ask("HEAD", &etag("other")).expect(412);
    }
}

#[test]
fn c06_of_many_writers_that_saw_the_same_tag_exactly_one_replaces_it() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let layers: Vec<_> = (0..8_u8).map(|number| [number; 3]).collect();
    let manifests: Vec<_> = layers.iter().map(|layer| push_image(&client, "a", "all", &[layer])).collect();
    let create = |manifest: &str| put(&airdock.client(), MANIFEST, manifest, ("If-None-Match", "*")).status;
    let statuses = |write: &(dyn Fn(&str) -> u16 + Sync)| {
        thread::scope(|scope| {
            let writers: Vec<_> = manifests.iter().map(|manifest| scope.spawn(move || write(manifest))).collect();
            let mut all: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
            all.sort_unstable();
            all
        })
    };
    let one = [&[201][..], &[412; 7]].concat();
    assert_eq!(statuses(&create), one);
    for _ in 0..10 {
        // From a tag that none of them pushes, so that the second never finds what the first saw.
        put_manifest(&client, "a", "rel", &push_image(&client, "a", "base", &[b"base"])).expect(201);
        let seen = client.get(MANIFEST).expect(200).header("etag").unwrap().to_owned();
        let replace = |manifest: &str| put(&airdock.client(), MANIFEST, manifest, ("If-Match", &seen)).status;
        assert_eq!(statuses(&replace), one);
    }
}
