//! Manifests as real clients write them, and as hostile ones do.

use airdock_registry::oci::MediaType;
use testkit::client::{Client, Request, Response};
use testkit::content::digest;
use testkit::manifest::{INDEX, MANIFEST, descriptor, image, list};
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, put_manifest};

const GZIP: &str = MediaType::IMAGE_LAYER_GZIP;

/// Pushes a manifest with the type in the header alone, as Go's clients do.
fn put_as(client: &Client, reference: &str, manifest: &str, media_type: &str) -> Response {
    let request = Request::new("PUT", &format!("/v2/a/manifests/{reference}"));
    client.send(&request.header("Content-Type", media_type).body(manifest))
}

/// moby/buildkit#3781, #1143, goharbor/harbor#14774: `--cache-to type=registry`.
#[test]
fn c01_buildkits_cache_is_an_index_of_blobs_and_keeps_them() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let (layer, cache) = (push_blob(&client, "a", b"layer"), push_blob(&client, "a", b"{\"records\":[]}"));
    let more = format!(r#","annotations":{{"containerd.io/uncompressed":"{layer}"}}"#);
    let entries = [
        descriptor(GZIP, "layer", &more),
        descriptor("application/vnd.buildkit.cacheconfig.v0", "{\"records\":[]}", ""),
    ];
    let index = list(&entries);
    put_manifest(&client, "a", "cache", &index).expect(201);
    assert_eq!(client.get("/v2/a/manifests/cache").expect(200).text(), index);
    for blob in [&layer, &cache] {
        assert_eq!(client.delete(&format!("/v2/a/blobs/{blob}")).expect(405).error_code(), "UNSUPPORTED");
        client.get(&format!("/v2/a/blobs/{blob}")).expect(200);
    }

    let absent = list(&[entries[0].clone(), descriptor(GZIP, "nowhere", "")]);
    let refused = put_manifest(&client, "a", "absent", &absent).expect(400);
    assert_eq!(refused.error_code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["missing"], serde_json::json!([digest("nowhere")]));
    let resized = index.replace("\"size\":5", "\"size\":6");
    assert_eq!(put_manifest(&client, "a", "resized", &resized).expect(400).error_code(), "SIZE_INVALID");

    client.delete(&format!("/v2/a/manifests/{}", digest(&index))).expect(202);
    client.delete(&format!("/v2/a/blobs/{layer}")).expect(202);
}

#[test]
fn c01_a_child_is_a_manifest_only_if_its_type_says_so() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let image = push_image(&client, "a", "v1", &[b"layer"]);
    // A blob is not a manifest: nobody could pull it as what the index says it is.
    push_blob(&client, "a", b"no manifest");
    let refused = put_manifest(&client, "a", "x", &list(&[descriptor(MANIFEST, "no manifest", "")])).expect(400);
    assert_eq!(refused.error_code(), "MANIFEST_BLOB_UNKNOWN");
    // A manifest of a type that is none of the specifications' is one of this repository all the same.
    for media_type in ["application/vnd.example.bill+json", ""] {
        let index = list(&[descriptor(media_type, &image, "")]);
        put_manifest(&client, "a", "y", &index).expect(201);
    }
}

/// opencontainers/image-spec#1025, moby/moby#27568: Go writes an empty list as `null`.
#[test]
fn c02_gos_nil_list_is_an_empty_one_and_is_served_as_received() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let good = image(&[], "");
    let stated = |media_type: &str| format!("\"mediaType\":\"{media_type}\",");
    for (media_type, manifest) in [
        (MANIFEST, good.replace("\"layers\":[]", "\"layers\":null")),
        (MANIFEST, good.replace(",\"layers\":[]", "")),
        (MANIFEST, good.replace("\"layers\":[]", "\"layers\":null").replace(&stated(MANIFEST), "")),
        (INDEX, list(&[]).replace("\"manifests\":[]", "\"manifests\":null")),
        (INDEX, list(&[]).replace(",\"manifests\":[]", "")),
    ] {
        put_as(&client, "x", &manifest, media_type).expect(201);
        let served = client.get("/v2/a/manifests/x").expect(200);
        assert_eq!((served.text(), served.header("content-type")), (manifest, Some(media_type)));
    }
}

/// artipie/docker-adapter#446.
#[test]
fn c08_fields_that_nobody_here_needs_do_not_decide() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let good = push_image(&client, "a", "v1", &[b"layer"]);
    let platform = |text: &str| list(&[descriptor(MANIFEST, &good, &format!(",\"platform\":{text}"))]);
    let retyped = |from: &str, to: &str| {
        let manifest = good.replace(&format!("\"mediaType\":\"{from}\""), &format!("\"mediaType\":\"{to}\""));
        assert_ne!(manifest, good);
        manifest
    };
    for (media_type, manifest) in [
        (INDEX, platform("{}")),
        (INDEX, platform("null")),
        (INDEX, platform("{\"os\":\"linux\"}")),
        (INDEX, platform("{\"architecture\":\"amd64\",\"os\":null}")),
        (MANIFEST, good.replacen('{', "{\"annotations\":{\"a\":null},", 1)),
        (MANIFEST, retyped(GZIP, "")),
        (MANIFEST, retyped(MediaType::EMPTY, "")),
        (MANIFEST, retyped(MANIFEST, "")),
        (MANIFEST, retyped(GZIP, "text/plain; charset=utf-8")),
    ] {
        put_as(&client, "x", &manifest, media_type).expect(201);
        assert_eq!(client.get("/v2/a/manifests/x").expect(200).text(), manifest);
    }
}

/// docker, containerd and Helm read JSON with Go's decoder, which takes a field whatever its case and the last of two.
#[test]
fn d11_a_manifest_that_go_reads_otherwise_is_refused_and_the_field_is_named() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let good = push_image(&client, "a", "v1", &[b"layer"]);
    push_blob(&client, "a", b"other");
    let other = descriptor(GZIP, "other", "");
    let within = |field: &str| good.replacen("\"layers\":[{", &format!("\"layers\":[{{{field},"), 1);
    for (manifest, field) in [
        (image(&[b"layer"], &format!(",\"LAYERS\":[{other}]")), "LAYERS"),
        (image(&[b"layer"], &format!(",\"layer\u{17f}\":[{other}]")), "layer\u{17f}"),
        (image(&[b"layer"], &format!(",\"Config\":{other}")), "Config"),
        (image(&[b"layer"], &format!(",\"SUBJECT\":{other}")), "SUBJECT"),
        (image(&[b"layer"], &format!(",\"config\":{other}")), "config"),
        (within(&format!("\"DIGEST\":\"{}\"", digest("other"))), "layers[0].DIGEST"),
        (within(&format!("\"dige\u{17f}t\":\"{}\"", digest("other"))), "layers[0].dige\u{17f}t"),
        (good.replace("\"layers\":[{", "\"layers\":[[{").replace("}]", "}]]"), "layers[0]"),
        (image(&[], &format!(",\"subject\":[\"{MANIFEST}\",\"{}\",5]", digest("x"))), "subject"),
        (within("\"data\":\"b3RoZXI=\""), "layers[0].data"),
    ] {
        let refused = put_manifest(&client, "a", "x", &manifest).expect(400);
        assert_eq!(refused.error_code(), "MANIFEST_INVALID");
        let message = refused.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("`{field}`")), "{message}: {manifest}");
    }
    put_manifest(&client, "a", "x", &within("\"data\":\"bGF5ZXI=\"")).expect(201);
}

#[test]
fn d20_what_an_index_says_of_a_manifest_that_is_here_must_be_so() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let image = push_image(&client, "a", "v1", &[b"layer"]);
    let child = descriptor(MANIFEST, &image, "");
    let resized = child.replace(&format!("\"size\":{}", image.len()), "\"size\":5");
    let put = |descriptor: &str| put_manifest(&client, "a", "x", &list(&[descriptor.to_owned()]));
    assert_eq!(put(&resized).expect(400).error_code(), "SIZE_INVALID");
    for other in [MediaType::DOCKER_MANIFEST, INDEX] {
        let refused = put(&descriptor(other, &image, "")).expect(400);
        assert_eq!(refused.error_code(), "MANIFEST_INVALID");
        assert!(refused.text().contains(other) && refused.text().contains(MANIFEST), "{}", refused.text());
    }
    assert_eq!(put(&format!("{child},{resized}")).expect(400).error_code(), "MANIFEST_INVALID");
    put(&child).expect(201);
}

/// A size that is wrong would make the blob unreadable in every repository where only manifests name it.
#[test]
fn d20_a_foreign_layer_that_is_here_has_its_size() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    push_blob(&client, "b", b"layer");
    let layer = descriptor(GZIP, "layer", ",\"urls\":[\"https://example.com/layer\"]");
    let manifest = image(&[], "").replace("\"layers\":[]", &format!("\"layers\":[{layer}]"));
    let wrong = manifest.replace("\"size\":5", "\"size\":6");
    assert_eq!(put_manifest(&client, "a", "x", &wrong).expect(400).error_code(), "SIZE_INVALID");
    put_manifest(&client, "a", "x", &manifest).expect(201);
}

#[test]
fn d01_a_manifest_of_thirty_thousand_foreign_layers_is_refused() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let layer = descriptor(GZIP, "layer", ",\"urls\":[\"u\"]");
    let manifest = image(&[], "").replace("\"layers\":[]", &format!("\"layers\":[{}]", vec![layer; 20_000].join(",")));
    let refused = put_manifest(&client, "a", "x", &manifest).expect(400);
    assert_eq!(refused.error_code(), "MANIFEST_INVALID");
    assert!(refused.text().contains("`layers` has more than 5000 entries"), "{}", refused.text());
}

#[test]
fn d18_nothing_that_was_pushed_is_shown_as_a_page() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let good = push_image(&client, "a", "v1", &[b"layer"]);
    let page = "{\"<script>\":\"alert(1)</script>\"}";
    let refused = put_as(&client, "page", page, "text/html").expect(400);
    assert_eq!(refused.error_code(), "MANIFEST_INVALID");
    put_as(&client, "data", page, "application/vnd.example+json").expect(201);
    for (path, status) in [
        ("/v2/", 200),
        ("/v2/a/manifests/v1", 200),
        ("/v2/a/manifests/data", 200),
        (&*format!("/v2/a/manifests/{}", digest(&good)), 200),
        (&*format!("/v2/a/blobs/{}", digest("layer")), 200),
        ("/v2/a/tags/list", 200),
        ("/charts/index.yaml", 200),
        ("/v2/a/manifests/absent", 404),
        ("/nothing", 404),
    ] {
        let answer = client.get(path).expect(status);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[test]
fn an_index_keeps_the_manifests_it_lists_from_deletion() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let child = push_image(&client, "a", "child", &[b"layer"]);
    let listed = format!("/v2/a/manifests/{}", digest(&child));
    let index = list(&[descriptor(MANIFEST, &child, "")]);
    let odd = list(&[descriptor("application/vnd.example+json", &child, "")]);
    for (number, index) in [&index, &odd].into_iter().enumerate() {
        put_manifest(&client, "a", "v1", index).expect(201);
        let refused = client.delete(&listed).expect(405);
        assert_eq!(refused.error_code(), "UNSUPPORTED");
        assert!(refused.text().contains(&digest(index)), "{}", refused.text());
        client.get(&listed).expect(200);
        if number == 0 {
            client.delete("/v2/a/manifests/child").expect(202);
        }
        client.delete(&format!("/v2/a/manifests/{}", digest(index))).expect(202);
    }
    // A client without the referrers API removes a referrer first, and then its entry below the fallback tag.
    put_manifest(&client, "a", &digest("subject").replace(':', "-"), &index).expect(201);
    client.delete(&listed).expect(202);
    client.get(&listed).expect(404);
}

#[test]
fn d25_a_corrupt_blob_that_is_pushed_again_is_mended() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let manifest = push_image(&client, "a", "v1", &[b"layer"]);
    let (layer, image) = (digest("layer"), digest(&manifest));
    for (path, content) in [(format!("/v2/a/blobs/{layer}"), "layer"), (format!("/v2/a/manifests/{image}"), &*manifest)]
    {
        // Its handle is open from now on.
        assert_eq!(client.get(&path).expect(200).text(), content);
        let file = airdock.data().join("blobs").join(digest(content).replace(':', "/"));
        std::fs::write(&file, content.replace('a', "b")).unwrap();
    }
    push_image(&client, "a", "v1", &[b"layer"]);
    assert_eq!(client.get(&format!("/v2/a/blobs/{layer}")).expect(200).text(), "layer");
    assert_eq!(client.get(&format!("/v2/a/manifests/{image}")).expect(200).text(), manifest);
    let data = airdock.data().to_owned();
    for content in ["layer", &*manifest] {
        let file = data.join("blobs").join(digest(content).replace(':', "/"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), content);
    }
}
