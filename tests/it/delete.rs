//! end-9, end-10: deleted content is gone at the next request, and nothing else is.

use testkit::content::digest;
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image};

#[test]
fn end_9_deleting_a_tag_leaves_the_manifest_and_its_other_tags() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[]);
    push_image(&client, "a", "v2", &[]);
    client.delete("/v2/a/manifests/v1").expect(202);
    client.get("/v2/a/manifests/v1").expect(404);
    client.get("/v2/a/manifests/v2").expect(200);
    client.get(&format!("/v2/a/manifests/{}", digest(&manifest))).expect(200);
    assert_eq!(client.get("/v2/a/tags/list").expect(200).text(), r#"{"name":"a","tags":["v2"]}"#);
    assert_eq!(client.delete("/v2/a/manifests/v1").expect(404).error_code(), "MANIFEST_UNKNOWN");
}

#[test]
fn end_9_deleting_a_manifest_takes_all_its_tags_and_it_can_come_again() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for _ in 0..2 {
        let manifest = push_image(&client, "a", "v1", &[b"layer"]);
        push_image(&client, "a", "v2", &[b"layer"]);
        push_image(&client, "b", "v1", &[b"layer"]);
        client.delete(&format!("/v2/a/manifests/{}", digest(&manifest))).expect(202);
        for gone in ["v1", "v2", &digest(&manifest)] {
            client.get(&format!("/v2/a/manifests/{gone}")).expect(404);
        }
        client.get("/v2/b/manifests/v1").expect(200);
    }
}

#[test]
fn end_10_a_deleted_blob_is_gone_here_and_stays_elsewhere() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let blob = push_blob(&client, "a", b"content");
    push_blob(&client, "b", b"content");
    client.get(&format!("/v2/a/blobs/{blob}")).expect(200);
    client.delete(&format!("/v2/a/blobs/{blob}")).expect(202);
    client.get(&format!("/v2/a/blobs/{blob}")).expect(404);
    client.head(&format!("/v2/a/blobs/{blob}")).expect(404);
    client.get(&format!("/v2/b/blobs/{blob}")).expect(200);
    assert_eq!(client.delete(&format!("/v2/a/blobs/{blob}")).expect(404).error_code(), "BLOB_UNKNOWN");
    push_blob(&client, "a", b"content");
    client.get(&format!("/v2/a/blobs/{blob}")).expect(200);
}

#[test]
fn h19_a_blob_an_image_needs_is_not_deleted() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[b"layer"]);
    let layer = digest("layer");
    assert_eq!(client.delete(&format!("/v2/a/blobs/{layer}")).expect(405).error_code(), "UNSUPPORTED");
    client.get(&format!("/v2/a/blobs/{layer}")).expect(200);
    client.delete(&format!("/v2/a/manifests/{}", digest(&manifest))).expect(202);
    client.delete(&format!("/v2/a/blobs/{layer}")).expect(202);
}

#[test]
fn h19_where_deleting_is_switched_off_it_is_for_tags_manifests_and_blobs() {
    let airdock = Airdock::builder().variable("AIRDOCK__REGISTRY__DELETE", "false").start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[b"layer"]);
    let stray = push_blob(&client, "a", b"stray");
    for target in ["manifests/v1", &*format!("manifests/{}", digest(&manifest)), &*format!("blobs/{stray}")] {
        assert_eq!(client.delete(&format!("/v2/a/{target}")).expect(405).error_code(), "UNSUPPORTED");
        client.get(&format!("/v2/a/{target}")).expect(200);
    }
}
