//! end-7: pushing manifests, valid and invalid ones.

use std::time::{Duration, Instant};

use testkit::client::Request;
use testkit::content::{digest, sha512};
use testkit::manifest::{image, index};
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, put_manifest};

const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[test]
fn end_7a_a_manifest_is_taken_by_tag_and_by_digest_and_its_location_serves_it() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "");
    for reference in ["v1".to_owned(), digest(&manifest), digest(&manifest).replace(':', "%3A"), sha512(&manifest)] {
        let put = put_manifest(&client, "a", &reference, &manifest).expect(201);
        let stored = put.header("docker-content-digest").unwrap().to_owned();
        let served = client.get(put.header("location").unwrap()).expect(200);
        assert_eq!((served.text(), served.header("docker-content-digest")), (manifest.clone(), Some(&*stored)));
    }
}

#[test]
fn end_7a_a_tag_moves_to_the_manifest_pushed_last() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let first = push_image(&client, "a", "v1", &[]);
    let second = push_image(&client, "a", "v1", &[b"layer"]);
    assert_eq!(client.get("/v2/a/manifests/v1").expect(200).text(), second);
    assert_eq!(client.get(&format!("/v2/a/manifests/{}", digest(&first))).expect(200).text(), first);
}

#[test]
fn end_7b_ten_tags_and_more_come_along_with_a_digest() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "");
    let tags: Vec<_> = (0..20).map(|number| format!("tag-{number}")).collect();
    let put =
        put_manifest(&client, "a", &format!("{}?tag={}", digest(&manifest), tags.join("&tag=")), &manifest).expect(201);
    assert_eq!(put.header("oci-tag"), Some(&*tags.join(", ")));
    for tag in tags {
        assert_eq!(client.get(&format!("/v2/a/manifests/{tag}")).expect(200).text(), manifest);
    }
    let many = vec!["x"; 101].join("&tag=");
    put_manifest(&client, "a", &format!("{}?tag={many}", digest(&manifest)), &manifest).expect(414);
}

#[test]
fn end_7_a_manifest_without_a_type_of_its_own_takes_that_of_the_request() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "").replace(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#, "");
    let put = |tag: &str, kind: Option<&str>| {
        let request = Request::new("PUT", &format!("/v2/a/manifests/{tag}")).body(manifest.clone());
        client.send(&kind.map_or(request.clone(), |kind| request.header("Content-Type", kind))).expect(201);
        client.get(&format!("/v2/a/manifests/{tag}")).expect(200).header("content-type").unwrap().to_owned()
    };
    assert_eq!(
        put("helm", Some("application/vnd.oci.image.manifest.v1+json")),
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(put("none", None), "application/vnd.oci.image.manifest.v1+json");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(put("docker", Some(&format!("{docker}; charset=utf-8"))), docker, "a parameter would be another type");
}

#[test]
fn h12_a_manifest_that_does_not_have_the_digest_it_is_pushed_by_is_refused() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "");
    for wrong in [digest("other"), sha512("other")] {
        assert_eq!(put_manifest(&client, "a", &wrong, &manifest).expect(400).error_code(), "DIGEST_INVALID");
        client.get(&format!("/v2/a/manifests/{wrong}")).expect(404);
        client.delete(&format!("/v2/a/manifests/{wrong}")).expect(404);
    }
    assert_eq!(
        put_manifest(&client, "a", "sha256:baddigeststring", &manifest).expect(400).error_code(),
        "DIGEST_INVALID"
    );
}

#[test]
fn h13_a_manifest_whose_content_is_not_here_is_refused_and_names_what_is_missing() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    push_blob(&client, "other", b"layer");
    let refused = put_manifest(&client, "a", "v1", &image(&[b"layer"], "")).expect(400);
    assert_eq!(refused.error_code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(
        refused.json()["errors"][0]["detail"]["missing"][0],
        digest("layer"),
        "though another repository has it"
    );
    client.get("/v2/a/manifests/v1").expect(404);
    let sparse = index(&[&image(&[], "")]);
    assert_eq!(put_manifest(&client, "a", "v1", &sparse).expect(400).error_code(), "MANIFEST_BLOB_UNKNOWN");
    // What the specification allows to be absent: foreign layers and the subject.
    let foreign = format!(
        r#"{{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":"{}","size":9,"urls":["https://example.com/x"]}}"#,
        digest("foreign")
    );
    let subject = format!(r#","subject":{{"mediaType":"a/b","digest":"{}","size":9}}"#, digest("subject"));
    let manifest = image(&[], &subject).replace("\"layers\":[]", &format!("\"layers\":[{foreign}]"));
    let put = put_manifest(&client, "a", "v1", &manifest).expect(201);
    assert_eq!(put.header("oci-subject"), Some(&*digest("subject")));

    let lax = Airdock::builder().variable("AIRDOCK__REGISTRY__REFERENCES", "lax").start();
    put_manifest(&lax.client(), "a", "v1", &image(&[b"layer"], "")).expect(201);
    put_manifest(&lax.client(), "a", "v2", &sparse).expect(201);
}

#[test]
fn h14_h17_h18_manifests_that_are_none_are_refused() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let good = image(&[], "");
    let size = |size: &str| good.replace("\"size\":2", &format!("\"size\":{size}"));
    for (what, manifest, code) in [
        ("nothing", String::new(), "MANIFEST_INVALID"),
        ("no object", "[]".into(), "MANIFEST_INVALID"),
        ("both kinds", image(&[], ",\"manifests\":[]"), "MANIFEST_INVALID"),
        ("a key twice", image(&[], ",\"layers\":[]"), "MANIFEST_INVALID"),
        ("a byte order mark", format!("\u{feff}{good}"), "MANIFEST_INVALID"),
        ("more after the end", format!("{good}{{}}"), "MANIFEST_INVALID"),
        ("no number", size("NaN"), "MANIFEST_INVALID"),
        ("a negative size", size("-1"), "MANIFEST_INVALID"),
        ("a size beyond 2^63", size("9223372036854775808"), "MANIFEST_INVALID"),
        ("a size beyond numbers", size("1e400"), "MANIFEST_INVALID"),
        ("another size than the blob's", size("3"), "SIZE_INVALID"),
        ("depth", image(&[], &format!(",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000))), "MANIFEST_INVALID"),
    ] {
        let refused = put_manifest(&client, "a", "v1", &manifest);
        assert_eq!((refused.status, refused.error_code()), (400, code.to_owned()), "{what}");
    }
    let schema1 = Request::new("PUT", "/v2/a/manifests/v1")
        .header("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
        .body(r#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#);
    assert_eq!(client.send(&schema1).expect(400).error_code(), "UNSUPPORTED");
    let mismatched = Request::new("PUT", "/v2/a/manifests/v1")
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")
        .body(good.clone());
    assert_eq!(client.send(&mismatched).expect(400).error_code(), "MANIFEST_INVALID");
    client.get("/v2/a/manifests/v1").expect(404);
    put_manifest(&client, "a", "v1", &good).expect(201);
}

#[test]
fn h15_a_manifest_over_4_mib_is_413_whether_it_says_so_or_not() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let size = (4 << 20) + 1;
    let mut announced = client.connect();
    announced
        .write(format!("PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n").as_bytes())
        .unwrap();
    let refused = announced.read_response("PUT").unwrap().expect(413);
    assert_eq!((refused.error_code(), refused.header("connection")), ("SIZE_INVALID".into(), Some("close")));

    let pieces = vec![vec![b' '; 64 * 1024]; 80];
    let refused = client.send(&Request::new("PUT", "/v2/a/manifests/v1").chunked(pieces)).expect(413);
    assert_eq!(refused.error_code(), "SIZE_INVALID");
}

#[test]
fn h16_the_largest_manifests_are_answered_quickly() {
    let airdock = Airdock::builder().variable("AIRDOCK__REGISTRY__REFERENCES", "lax").start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{EMPTY}","size":2}}"#);
    let list = |count: usize| vec![&*descriptor; count].join(",");
    let annotation = format!(",\"annotations\":{{\"x\":\"{}\"}}", "y".repeat(3_900_000));
    let layers = |count| image(&[], "").replace("\"layers\":[]", &format!("\"layers\":[{}]", list(count)));
    for (what, manifest, status) in [
        ("5,000 layers", layers(5000), 201),
        ("30,000 layers", layers(30_000), 400),
        ("5,000 children", index(&[]).replace("\"manifests\":[]", &format!("\"manifests\":[{}]", list(5000))), 201),
        ("a long annotation", image(&[], &annotation), 201),
    ] {
        assert!(manifest.len() <= 4 << 20, "{what}");
        let began = Instant::now();
        put_manifest(&client, "a", "v1", &manifest).expect(status);
        // Generous: this is to catch quadratic time.
        assert!(began.elapsed() < Duration::from_secs(20), "{what} took {:?}", began.elapsed());
        if status == 201 {
            assert_eq!(client.get("/v2/a/manifests/v1").expect(200).text(), manifest, "{what}");
        }
    }
}
