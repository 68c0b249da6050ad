//! Every spelling of a name, as containerd, dockerd, podman and users write it.

use testkit::client::Request;
use testkit::content::digest;
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, start_upload};

#[test]
fn mirrored_content_answers_to_every_spelling_of_its_upstream() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for (stored, spellings) in [
        (
            "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api",
            &[
                "/v2/zenml-pro-api/{}?ns=715803424590.dkr.ecr.eu-west-1.amazonaws.com",
                "/v2/715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api/{}?ns=715803424590.dkr.ecr.eu-west-1.amazonaws.com",
                "/v2/715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api/{}",
            ][..],
        ),
        (
            "docker.io/zenmldocker/zenml",
            &[
                "/v2/zenmldocker/zenml/{}?ns=docker.io",
                "/v2/docker.io/zenmldocker/zenml/{}?ns=docker.io",
                "/v2/docker.io/zenmldocker/zenml/{}",
                "/v2/zenmldocker/zenml/{}",
                "/v2/registry-1.docker.io/zenmldocker/zenml/{}",
                "/v2/zenmldocker/zenml/{}?ns=index.docker.io",
            ],
        ),
        (
            "docker.io/library/alpine",
            &[
                "/v2/library/alpine/{}?ns=docker.io",
                "/v2/docker.io/library/alpine/{}",
                "/v2/library/alpine/{}",
                "/v2/alpine/{}",
                "/v2/docker.io/alpine/{}",
            ],
        ),
        (
            "registry.local_5000/team/app",
            &[
                "/v2/team/app/{}?ns=registry.local%3A5000",
                "/v2/registry.local_5000/team/app/{}",
                "/v2/registry.local_5000/team/app/{}?ns=registry.local:5000",
            ],
        ),
    ] {
        let layer = stored.as_bytes();
        let manifest = push_image(&client, stored, "v1", &[layer]);
        for spelling in spellings {
            let at = |what: &str| spelling.replace("{}", what);
            let served = client.get(&at("manifests/v1")).expect(200);
            assert_eq!(served.text(), manifest, "{spelling}");
            let ns = spelling.split_once("ns=").map(|_| ());
            assert_eq!(served.header("oci-namespace").map(|_| ()), ns, "{spelling}");
            assert_eq!(client.get(&at(&format!("manifests/{}", digest(&manifest)))).expect(200).text(), manifest);
            assert_eq!(client.get(&at(&format!("blobs/{}", digest(layer)))).expect(200).body, layer, "{spelling}");
            assert_eq!(client.get(&at("tags/list")).expect(200).json()["tags"][0], "v1", "{spelling}");
        }
    }
    client.get("/v2/zenml-pro-api/manifests/v1").expect(404);
    client.get("/v2/zenmldocker/zenml/manifests/v1?ns=ghcr.io").expect(404);
}

#[test]
fn an_internal_name_goes_before_the_default_upstream() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let mirrored = push_image(&client, "docker.io/zenml/zenml", "v1", &[b"mirrored"]);
    assert_eq!(client.get("/v2/zenml/zenml/manifests/v1").expect(200).text(), mirrored);
    let internal = push_image(&client, "zenml/zenml", "v1", &[b"internal"]);
    assert_eq!(client.get("/v2/zenml/zenml/manifests/v1").expect(200).text(), internal);
    assert_eq!(client.get("/v2/zenml/zenml/manifests/v1?ns=docker.io").expect(200).text(), mirrored);
}

#[test]
fn a_push_with_an_upstream_goes_to_that_upstream_and_every_location_leads_there() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for path in ["team/app", "registry.local_5000/team/app"] {
        let target = format!("/v2/{path}/blobs/uploads/?ns=registry.local%3A5000");
        let started = client.send(&Request::new("POST", &target).body("")).expect(202);
        let location = started.header("location").unwrap();
        // containerd may or may not add `ns` to the location.
        for ns in ["", "&ns=registry.local%3A5000"] {
            let content = format!("{path}{ns}");
            let location =
                if ns.is_empty() { location.to_owned() } else { start_upload(&client, "registry.local_5000/team/app") };
            let done = client.send(
                &Request::new("PUT", &format!("{location}?digest={}{ns}", digest(&content))).body(content.clone()),
            );
            assert_eq!(client.get(done.expect(201).header("location").unwrap()).expect(200).text(), content);
        }
    }
}

#[test]
fn names_that_look_like_paths_are_names() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for name in
        ["a/blobs/uploads", "x/manifests/y", "foo/tags/list", "tags", "blobs/uploads", "manifests", "v2", "a/referrers"]
    {
        let manifest = push_image(&client, name, "list", &[b"layer"]);
        assert_eq!(client.get(&format!("/v2/{name}/manifests/list")).expect(200).text(), manifest, "{name}");
        assert_eq!(client.get(&format!("/v2/{name}/tags/list")).expect(200).json()["name"], name);
        assert_eq!(client.get(&format!("/v2/{name}/blobs/{}", push_blob(&client, name, b"x"))).expect(200).text(), "x");
    }
}

#[test]
fn only_the_configured_upstreams_are_answered_for() {
    let airdock = Airdock::builder().variable("AIRDOCK__NAMES__UPSTREAMS", "docker.io").start();
    let client = airdock.client();
    let manifest = push_image(&client, "docker.io/a/b", "v1", &[]);
    push_image(&client, "ghcr.io/a/b", "v1", &[]);
    assert_eq!(client.get("/v2/a/b/manifests/v1?ns=docker.io").expect(200).text(), manifest);
    let refused = client.get("/v2/a/b/manifests/v1?ns=ghcr.io").expect(404);
    assert_eq!((refused.error_code(), refused.header("oci-namespace")), ("NAME_UNKNOWN".into(), None));
}

#[test]
fn d19_a_push_that_no_pull_would_find_is_refused_as_the_pull_is() {
    let airdock = Airdock::builder().variable("AIRDOCK__NAMES__UPSTREAMS", "registry-1.docker.io").start();
    let client = airdock.client();
    let manifest = push_image(&client, "a/b", "v1", &[b"layer"]);
    let long = "x".repeat(250);
    for (path, ns, status, code, says) in [
        ("a/b", "ghcr.io", 404, "NAME_UNKNOWN", "names.upstreams"),
        (&*long, "docker.io", 400, "NAME_INVALID", "255"),
        ("a/b", "-", 400, "NAME_INVALID", "-"),
    ] {
        let (layer, absent) = (digest("layer"), digest("absent"));
        for (method, target) in [
            ("GET", "manifests/v1".to_owned()),
            ("PUT", "manifests/v1".into()),
            ("DELETE", "manifests/v1".into()),
            ("GET", format!("blobs/{layer}")),
            ("DELETE", format!("blobs/{layer}")),
            ("POST", "blobs/uploads/".into()),
            ("POST", format!("blobs/uploads/?digest={absent}")),
            ("POST", format!("blobs/uploads/?mount={layer}&from=a/b")),
            ("GET", "tags/list".into()),
            ("GET", format!("referrers/{layer}")),
        ] {
            let separator = if target.contains('?') { '&' } else { '?' };
            let request = Request::new(method, &format!("/v2/{path}/{target}{separator}ns={ns}"));
            let request = if method == "GET" { request } else { request.body(manifest.clone()) };
            let refused = client.send(&request).expect(status);
            assert_eq!(refused.error_code(), code, "{method} {target} {ns}");
            assert!(refused.text().contains(says), "{}", refused.text());
        }
    }
    assert_eq!(client.get("/v2/_catalog").expect(200).json()["repositories"], serde_json::json!(["a/b"]));
    assert_eq!(client.get("/v2/a/b/manifests/v1").expect(200).text(), manifest);
    // Every spelling of an allowed host is that host.
    push_blob(&client, "docker.io/c/d", b"here");
    for ns in ["docker.io", "index.docker.io"] {
        client.get(&format!("/v2/c/d/blobs/{}?ns={ns}", digest("here"))).expect(200);
    }
}

#[test]
fn d19_a_push_by_another_spelling_of_a_host_is_pulled_by_the_same() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for name in ["index.docker.io/team/app", "docker.io/team/app2", "reg.local_5000/x/y", "mirror_5000/x/y"] {
        let manifest = push_image(&client, name, "v1", &[b"layer"]);
        assert_eq!(client.get(&format!("/v2/{name}/manifests/v1")).expect(200).text(), manifest, "{name}");
    }
    client.get("/v2/x/y/manifests/v1?ns=mirror%3A5000").expect(200);
    client.get("/v2/mirror_5000/x/y/manifests/v1?ns=mirror%3A5000").expect(200);
    client.get("/v2/team/app/manifests/v1?ns=docker.io").expect(200);
}
