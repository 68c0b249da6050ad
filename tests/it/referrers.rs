//! end-12: referrers.

use serde_json::{Value, json};

use testkit::client::Client;
use testkit::content::digest;
use testkit::manifest::{INDEX, about, image, index};
use testkit::process::Airdock;
use testkit::push::{push_blob, put_manifest};

fn list(client: &Client, target: &str) -> Vec<Value> {
    let answer = client.get(target).expect(200);
    assert_eq!(answer.header("content-type"), Some(INDEX));
    let index = serde_json::from_slice::<Value>(&answer.body).unwrap();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    index["manifests"].as_array().expect("a list, never null").clone()
}

#[test]
fn end_12a_referrers_of_anything_are_a_list() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let subject = image(&[], "");
    let target = format!("/v2/a/referrers/{}", digest(&subject));
    assert_eq!(list(&client, &target), Vec::<Value>::new(), "of a repository that is not");
    push_blob(&client, "a", b"{}");
    let signature = image(
        &[],
        &format!(r#","artifactType":"application/x.signature","annotations":{{"k":"v"}}{}"#, about(&subject)),
    );
    // Before its subject exists, as cosign may do.
    let put = put_manifest(&client, "a", &digest(&signature), &signature).expect(201);
    assert_eq!(put.header("oci-subject"), Some(&*digest(&subject)));
    put_manifest(&client, "a", "v1", &subject).expect(201);
    assert_eq!(
        list(&client, &target),
        [json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&signature),
            "size": signature.len(),
            "artifactType": "application/x.signature",
            "annotations": { "k": "v" },
        })]
    );
    assert_eq!(list(&client, &format!("/v2/b/referrers/{}", digest(&subject))), Vec::<Value>::new());
    client.delete(&format!("/v2/a/manifests/{}", digest(&signature))).expect(202);
    assert_eq!(list(&client, &target), Vec::<Value>::new());
    assert_eq!(client.get("/v2/a/referrers/sha256:abc").expect(400).error_code(), "DIGEST_INVALID");
}

#[test]
fn end_12b_a_filter_is_applied_and_said_to_be() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let subject = image(&[], "");
    let artifact = |kind: &str| image(&[], &format!(r#","artifactType":"{kind}"{}"#, about(&subject)));
    let untyped = image(&[], &about(&subject));
    let indexed = index(&[]).replace("\"manifests\":[]", &format!("\"manifests\":[]{}", about(&subject)));
    for manifest in [artifact("a/one"), artifact("a/two+json"), untyped.clone(), indexed.clone()] {
        put_manifest(&client, "a", &digest(&manifest), &manifest).expect(201);
    }
    let target = format!("/v2/a/referrers/{}", digest(&subject));
    assert_eq!(list(&client, &target).len(), 4);
    let filtered = |query: &str| {
        let answer = client.get(&format!("{target}?{query}")).expect(200);
        assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        list(&client, &format!("{target}?{query}"))
    };
    assert_eq!(filtered("artifactType=a/two%2Bjson")[0]["digest"], digest(artifact("a/two+json")));
    assert_eq!(filtered("artifactType=a/one&artifactType=a/two%2Bjson").len(), 2, "either");
    assert_eq!(
        filtered("artifactType=application/vnd.oci.empty.v1%2Bjson")[0]["digest"],
        digest(&untyped),
        "its config's"
    );
    assert_eq!(filtered("artifactType=none"), Vec::<Value>::new());
    assert_eq!(client.get(&format!("{target}?artifactType=")).expect(200).header("oci-filters-applied"), None);
    let of_index = list(&client, &target).into_iter().find(|entry| entry["digest"] == digest(&indexed)).unwrap();
    assert!(of_index.get("artifactType").is_none(), "an index without one has none");
}

#[test]
fn h26_more_referrers_than_a_client_reads_at_once_come_in_pages() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let subject = image(&[], "");
    let mut pushed: Vec<_> = (0..12)
        .map(|number| {
            let annotations =
                format!(r#","annotations":{{"n":"{number}","x":"{}"}}{}"#, "y".repeat(600_000), about(&subject));
            let manifest = image(&[], &annotations);
            put_manifest(&client, "a", &digest(&manifest), &manifest).expect(201);
            digest(&manifest)
        })
        .collect();
    let (mut found, mut next) = (Vec::new(), Some(format!("/v2/a/referrers/{}", digest(&subject))));
    let mut pages = 0;
    while let Some(target) = next {
        let answer = client.get(&target).expect(200);
        assert!(answer.body.len() <= 4 << 20, "{} bytes are more than clients read", answer.body.len());
        found.extend(list(&client, &target).iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()));
        next = answer.next_page();
        pages += 1;
    }
    assert!(pages > 1);
    found.sort();
    pushed.sort();
    assert_eq!(found, pushed);
}

#[test]
fn h27_a_fallback_tag_is_a_tag_and_adds_what_it_lists_once() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let subject = image(&[], "");
    put_manifest(&client, "a", "v1", &subject).expect(201);
    let signature = image(&[], &about(&subject));
    put_manifest(&client, "a", &digest(&signature), &signature).expect(201);
    // What a client writes that assumes the registry has no referrers API.
    let tag = digest(&subject).replace(':', "-");
    let fallback = index(&[&signature]);
    put_manifest(&client, "a", &tag, &fallback).expect(201);
    assert_eq!(client.get(&format!("/v2/a/manifests/{tag}")).expect(200).text(), fallback);
    assert_eq!(client.get("/v2/a/tags/list").expect(200).json()["tags"], json!([tag, "v1"]));
    let found = list(&client, &format!("/v2/a/referrers/{}", digest(&subject)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["digest"], digest(&signature));
}
