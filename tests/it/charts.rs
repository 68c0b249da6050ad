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
    push_chart(&client, "charts/charts/zenml", "5.0.0", &chart("zenml", "5.0.0"), b"a folder called charts");
    assert_eq!(index(&client)["entries"]["zenml"][0]["urls"], json!(["charts/zenml-5.0.0.tgz"]));
    client.delete("/v2/charts/charts/zenml/manifests/5.0.0").expect(202);
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

/// The versions of a chart in an index, each with the address and the digest of its archive.
fn listed(client: &Client, path: &str, name: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let index = client.get(path).expect(200).json();
    let entries = index["entries"][name].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| (text(&entry["version"]), text(&entry["urls"][0]), text(&entry["digest"]))).collect()
}

#[test]
fn c03_a_push_to_another_folder_does_not_take_the_place_of_a_carried_chart() {
    let airdock = filled();
    let client = airdock.client();
    let carried = std::fs::read(example().join("charts/zenml-0.93.2.tgz")).unwrap();
    let expected = [("0.93.2".to_owned(), "zenml-0.93.2.tgz".to_owned(), digest(&carried)[7..].to_owned())];
    assert_eq!(listed(&client, "/charts/index.yaml", "zenml"), expected);
    let chart = |version: &str| json!({ "apiVersion": "v2", "name": "zenml", "version": version });
    // The same version, a newer one, and a folder that comes first in any order.
    for (folder, version) in [("dev", "0.93.2"), ("dev", "99.0.0"), ("0/0", "0.93.2"), ("charts", "99.0.0")] {
        push_chart(&client, &format!("charts/{folder}/zenml"), version, &chart(version), folder.as_bytes());
        assert_eq!(listed(&client, "/charts/index.yaml", "zenml"), expected, "{folder}");
        assert_eq!(client.get("/charts/zenml-0.93.2.tgz").expect(200).body, carried, "{folder}");
        let path = format!("/charts/{folder}/zenml-{version}.tgz");
        assert_eq!(client.get(&path).expect(200).body, folder.as_bytes());
    }
    airdock.wait_for_log("the chart `zenml` is in several folders");
    let of = |content: &str| digest(content)[7..].to_owned();
    let dev = ["99.0.0", "0.93.2"].map(|version| (version.to_owned(), format!("zenml-{version}.tgz"), of("dev")));
    assert_eq!(listed(&client, "/charts/dev/index.yaml", "zenml"), dev);
    assert_eq!(listed(&client, "/charts/0/0/index.yaml", "zenml").len(), 1);
    assert!(client.get("/charts/0/index.yaml").expect(404).text().contains("/charts/index.yaml"));
}

#[test]
fn c03_of_two_teams_charts_with_one_name_each_is_in_its_own_index() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let chart = |version: &str| json!({ "apiVersion": "v2", "name": "app", "version": version });
    push_chart(&client, "charts/team-b/app", "1.1.0", &chart("1.1.0"), b"b");
    assert_eq!(listed(&client, "/charts/index.yaml", "app").len(), 1, "as long as only one has it");
    push_chart(&client, "charts/team-a/app", "1.0.0", &chart("1.0.0"), b"a");
    for (folder, version, content) in [("team-a", "1.0.0", "a"), ("team-b", "1.1.0", "b")] {
        let expected = [(version.to_owned(), format!("app-{version}.tgz"), digest(content)[7..].to_owned())];
        assert_eq!(listed(&client, &format!("/charts/{folder}/index.yaml"), "app"), expected);
    }
    assert_eq!(listed(&client, "/charts/index.yaml", "app"), [], "it cannot be said whose is meant");
    airdock.wait_for_log("/charts/team-a/index.yaml, /charts/team-b/index.yaml");
}

#[test]
fn c07_near_misses_are_answered_with_the_cure() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_image(&client, "team/app", "1", &[b"x"]);
    for path in ["/charts", "/charts/"] {
        assert!(client.get(path).expect(404).text().contains("/charts/index.yaml"), "{path}");
    }
    for (method, path) in [("POST", "/charts/api/charts"), ("POST", "/api/charts"), ("PUT", "/charts/x-1.0.0.tgz")] {
        let answer = client.send(&Request::new(method, path).body("x")).expect(405);
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{path}");
        assert!(answer.text().contains("oci://HOST/charts"), "{path}: {}", answer.text());
    }
    for path in ["/v2/team/app/tags/list", "/v2/_catalog", "/v2/team/app/manifests/1"] {
        assert_eq!(client.get(&format!("{path}/")).expect(200).body, client.get(path).expect(200).body, "{path}");
    }
    assert_eq!(client.get("/").expect(200).body, b"{}");
    assert!(client.head("/").expect(200).body.is_empty());
}

/// Resident memory of a server, in bytes.
fn resident(airdock: &Airdock) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", airdock.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn d24_large_charts_are_listed_within_a_bound_of_memory_and_again_only_when_one_changed() {
    let airdock = Airdock::start();
    let client = airdock.client();
    for number in 0..63 {
        let name = format!("big{number}");
        // Many small members: as values in memory they would need several times their size.
        let annotations: serde_json::Map<_, _> =
            (0..12_000).map(|at| (format!("a{at}"), Value::from("b".repeat(8)))).collect();
        let chart = json!({ "name": name, "version": "1.0.0", "annotations": annotations });
        push_chart(&client, &format!("charts/{name}"), "1.0.0", &chart, &noise(10 + number));
    }
    let before = resident(&airdock);
    for tag in 0..4 {
        push_chart(
            &client,
            "charts/one",
            &format!("1.0.{tag}"),
            &json!({ "name": "one", "version": format!("1.0.{tag}") }),
            b"x",
        );
        assert_eq!(listed(&client, "/charts/index.yaml", "one").len(), tag + 1);
    }
    let grown = resident(&airdock).saturating_sub(before);
    assert!(grown < 96 << 20, "{} MiB more", grown >> 20);
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
