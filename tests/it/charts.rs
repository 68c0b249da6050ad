//! The classic Helm repository: the charts below `charts/` as `index.yaml` and archives.

use serde_json::{Value, json};

use testkit::bundle::example;
use testkit::client::{Client, Request};
use testkit::content::{digest, noise};
use testkit::manifest::artifact;
use testkit::process::{Airdock, run};
use testkit::push::{push_blob, push_image, put_manifest};

/// A server with the example bundle.
fn filled() -> Airdock {
    let airdock = Airdock::start();
    let arguments = ["ingest".as_ref(), "--data".as_ref(), airdock.data().as_os_str(), example().as_os_str()]
        .map(std::ffi::OsStr::to_owned);
    assert!(run(airdock.directory(), arguments).status.success());
    airdock
}

fn index(client: &Client) -> Value {
    client.get("/charts/index.yaml").expect(200).json()
}

/// Pushes a chart as Helm does: a config with the chart's metadata, and the archive.
fn push_chart(client: &Client, repository: &str, tag: &str, metadata: &Value, archive: &[u8]) {
    let config = metadata.to_string();
    push_blob(client, repository, config.as_bytes());
    push_blob(client, repository, archive);
    let config = ("application/vnd.cncf.helm.config.v1+json", config.as_bytes());
    let manifest = artifact(config, ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive));
    put_manifest(client, repository, tag, &manifest).expect(201);
}

#[test]
fn the_charts_of_a_bundle_are_a_helm_repository() {
    let airdock = filled();
    let client = airdock.client();
    let answer = client.get("/charts/index.yaml").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    let index = answer.json();
    assert_eq!(index["apiVersion"], "v1");
    for (name, version) in [("zenml", "0.93.2"), ("zenml-pro", "0.13.2")] {
        let entry = &index["entries"][name][0];
        let file = format!("{name}-{version}.tgz");
        let archive = std::fs::read(example().join("charts").join(&file)).unwrap();
        assert_eq!((&entry["name"], &entry["version"]), (&name.into(), &version.into()));
        assert_eq!(entry["urls"], json!([file]), "relative to the index");
        assert_eq!(entry["digest"], digest(&archive)["sha256:".len()..]);
        assert!(entry["created"].as_str().unwrap().ends_with('Z'), "{entry}");
        assert!(entry["apiVersion"].is_string(), "all that the chart says of itself: {entry}");
        let path = format!("/charts/{file}");
        let pulled = client.get(&path).expect(200);
        assert_eq!((pulled.header("content-type"), &pulled.body), (Some("application/gzip"), &archive));
        let head = client.head(&path).expect(200);
        assert_eq!(head.header("content-length").unwrap(), archive.len().to_string());
    }
    let signature = std::fs::read(example().join("charts/zenml-pro-0.13.2.tgz.prov")).unwrap();
    assert_eq!(client.get("/charts/zenml-pro-0.13.2.tgz.prov").expect(200).body, signature);
    for absent in ["zenml-0.93.2.tgz.prov", "zenml-0.1.0.tgz", "zenml.tgz"] {
        let answer = client.get(&format!("/charts/{absent}")).expect(404);
        assert!(answer.text().contains("there is no chart"), "{}", answer.text());
    }
    client.get("/charts/").expect(404);
    client.send(&Request::new("PUT", "/charts/index.yaml").body("x")).expect(405);
}

#[test]
fn the_index_is_the_same_until_a_chart_changes() {
    let airdock = filled();
    let client = airdock.client();
    let first = client.get("/charts/index.yaml").expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let known = Request::new("GET", "/charts/index.yaml").header("if-none-match", &tag);
    assert!(client.send(&known).expect(304).body.is_empty());
    push_image(&client, "zenml/image", "1", &[b"no chart"]);
    push_image(&client, "charts/no-chart", "1", &[b"no chart either"]);
    client.send(&known).expect(304);

    let chart = |version: &str| json!({ "apiVersion": "v2", "name": "zenml", "version": version });
    push_chart(&client, "charts/zenml", "0.100.0", &chart("0.100.0"), b"newer");
    push_chart(&client, "charts/zenml", "0.100.0_build.7", &chart("0.100.0+build.7"), b"build");
    client.send(&known).expect(200);
    let versions = |index: &Value| -> Vec<String> {
        let entries = index["entries"]["zenml"].as_array().unwrap().iter();
        entries.map(|entry| entry["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(versions(&index(&client)), ["0.100.0", "0.100.0+build.7", "0.93.2"]);
    assert_eq!(client.get("/charts/zenml-0.100.0+build.7.tgz").expect(200).body, b"build");
    assert_eq!(client.get("/charts/zenml-0.100.0%2Bbuild.7.tgz").expect(200).body, b"build");
    for tag in ["0.100.0", "0.100.0_build.7"] {
        client.delete(&format!("/v2/charts/zenml/manifests/{tag}")).expect(202);
    }
    assert_eq!(versions(&index(&client)), ["0.93.2"]);
    client.get("/charts/zenml-0.100.0.tgz").expect(404);
    assert_eq!(client.get("/charts/index.yaml").expect(200).body, first.body, "the same charts are the same bytes");
    client.send(&known).expect(304);
}

#[test]
fn the_index_is_made_anew_after_a_rebuild_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let chart = json!({ "apiVersion": "v2", "name": "mine", "version": "1.0.0" });
    let airdock = Airdock::over(&data);
    push_chart(&airdock.client(), "charts/mine", "1.0.0", &chart, b"archive");
    let first = airdock.client().get("/charts/index.yaml").expect(200).body;
    assert!(run(folder.path(), ["rebuild", "--data", "data"]).status.success());
    assert_eq!(airdock.client().get("/charts/index.yaml").expect(200).body, first);
    airdock.kill();
    let airdock = Airdock::over(&data);
    assert_eq!(airdock.client().get("/charts/index.yaml").expect(200).body, first);
    assert_eq!(airdock.client().get("/charts/mine-1.0.0.tgz").expect(200).body, b"archive");
}

#[test]
fn a_chart_is_listed_only_under_its_repositorys_name_and_what_it_says_is_only_text() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let chart = |name: &str, version: &str| json!({ "apiVersion": "v2", "name": name, "version": version });
    push_chart(&client, "charts/mine", "1.0.0", &chart("zenml", "1.0.0"), b"another chart's name");
    push_chart(&client, "charts/mine", "2.0.0", &chart("mine", "9.9.9"), b"another version");
    push_chart(&client, "charts/mine", "3.0.0", &json!({ "name": ["mine"], "version": 3 }), b"no metadata");
    push_chart(&client, "elsewhere/mine", "4.0.0", &chart("mine", "4.0.0"), b"elsewhere");
    assert_eq!(index(&client)["entries"], json!({}));

    let text = "a: b\n- \"c\" # \u{85}\u{2028}\u{feff}\u{7f} \u{1f600} {{ }} %YAML ---";
    let odd =
        json!({ "name": "mine", "version": "5.0.0", "description": text, "urls": ["http://evil"], "digest": "evil" });
    push_chart(&client, "charts/team/mine", "5.0.0", &odd, b"odd");
    let index = index(&client);
    let entry = &index["entries"]["mine"][0];
    assert_eq!(entry["description"], text);
    assert_eq!((&entry["urls"], &entry["digest"]), (&json!(["team/mine-5.0.0.tgz"]), &digest(b"odd")[7..].into()));
    assert_eq!(client.get("/charts/team/mine-5.0.0.tgz").expect(200).body, b"odd");
    let whole = client.get("/charts/index.yaml").text();
    assert!(!whole.contains(['\u{85}', '\u{2028}', '\u{feff}', '\u{7f}']), "what YAML refuses is escaped");
}

#[test]
fn ten_thousand_charts_more_or_less_are_one_bounded_index() {
    let folder = testkit::folder::in_memory();
    let airdock = Airdock::over(&folder.path().join("data"));
    let client = airdock.client();
    let chart = json!({ "name": "big", "version": "1.0.0", "description": "x".repeat(200_000) });
    for number in 0..100 {
        let name = format!("big{number}");
        let mut chart = chart.clone();
        chart["name"] = name.as_str().into();
        push_chart(&client, &format!("charts/{name}"), "1.0.0", &chart, &noise(10 + number));
    }
    let answer = client.get("/charts/index.yaml").expect(200);
    assert!(answer.body.len() <= 17 << 20, "{} bytes", answer.body.len());
    assert!(answer.json()["entries"].as_object().unwrap().len() > 50);
    airdock.wait_for_log("more charts than its index may list");
}
