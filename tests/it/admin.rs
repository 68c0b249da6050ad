//! The administration API as `docs/admin-api.md` describes it, on the socket and over TCP, against the real binary.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use testkit::bundle::save;
use testkit::client::{Client, Connection, Request, Response};
use testkit::process::{Airdock, PATIENCE, run};
use testkit::push::push_image;
use testkit::tarball::Tarball;

const DOCUMENT: &str = include_str!("../../docs/admin-api.md");

/// A server with an administration socket.
struct Site {
    airdock: Airdock,
    /// The endpoints that were sent, as the document spells them.
    tried: RefCell<BTreeSet<String>>,
}

impl Site {
    fn start() -> Self {
        Self::of(Airdock::start())
    }

    fn of(airdock: Airdock) -> Self {
        Self { airdock, tried: RefCell::default() }
    }

    /// Sends a request to the socket; `target` is what follows the version.
    fn send(&self, method: &str, target: &str, body: Option<&[u8]>) -> Response {
        let stream = UnixStream::connect(self.airdock.data().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let target = format!("/admin/v1/{target}");
        let parts = target.split('?').next().unwrap().split('/');
        let template: Vec<_> = parts.map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part }).collect();
        self.tried.borrow_mut().insert(format!("{method} {}", template.join("/")));
        let request = Request::new(method, &target);
        let request = if let Some(body) = body { request.body(body) } else { request };
        Connection::over(stream, "localhost").send(&request)
    }

    /// The one document of an answer.
    #[track_caller]
    fn document(&self, method: &str, target: &str) -> Value {
        let response = self.send(method, target, None).expect(200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        response.json()
    }

    /// The parts of a streamed answer, and its outcome.
    #[track_caller]
    fn lines(&self, method: &str, target: &str, body: Option<&[u8]>) -> (Vec<Value>, Value) {
        streamed(&self.send(method, target, body).expect(200))
    }

    /// The status and the code of an error.
    fn refused(&self, method: &str, target: &str, body: Option<&[u8]>) -> (u16, String) {
        let response = self.send(method, target, body);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let error = &response.json()["error"];
        assert!(!error["message"].as_str().unwrap().contains("airdock "), "it names a command: {error}");
        (response.status, error["code"].as_str().unwrap().to_owned())
    }

    fn bundle(&self, version: &str) -> PathBuf {
        bundle(self.airdock.directory(), version)
    }

    #[track_caller]
    fn ingest(&self, version: &str) -> Value {
        let body = json!({ "inputs": [self.bundle(version)] }).to_string();
        self.lines("POST", "ingest", Some(body.as_bytes())).1
    }
}

fn bundle(folder: &Path, version: &str) -> PathBuf {
    let path = folder.join(format!("{version}.tar"));
    let layer = Tarball::new().file("version", version.as_bytes()).end();
    let tags = ["team/app:current".to_owned(), format!("team/app:{version}")];
    save(&path, &tags, &[&layer]);
    path
}

#[track_caller]
fn streamed(response: &Response) -> (Vec<Value>, Value) {
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
    let text = response.text();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut last = lines.pop().unwrap();
    assert!(last.get("outcome").is_some(), "{last}");
    let parts = lines.iter_mut().map(|line| {
        assert!(line.get("part").is_some(), "{line}");
        line["part"].take()
    });
    (parts.collect(), last["outcome"].take())
}

#[test]
fn every_endpoint_of_the_document_answers_on_the_socket_as_it_is_described() {
    let site = Site::start();
    push_image(&site.airdock.client(), "own/app", "1", &[b"pushed"]);
    let own = json!({ "references": ["own/app:1"] }).to_string();

    let body = json!({ "inputs": [site.bundle("v1")], "options": { "strict": true } }).to_string();
    let (events, report) = site.lines("POST", "ingest", Some(body.as_bytes()));
    assert_eq!(events[0]["event"], "started");
    let advanced: u64 = events.iter().filter_map(|event| event["bytes"].as_u64()).sum();
    assert_eq!(Some(advanced), events[0]["total_bytes"].as_u64(), "every byte is reported");
    assert!(events.iter().all(|event| event["event"] != "finished"), "the report is the outcome alone");
    let first = report["release"].as_u64().unwrap();
    let second = site.ingest("v2")["release"].as_u64().unwrap();

    let (tags, listed) = site.lines("GET", "tags?pattern=docker.io/team&pattern=own%2Fapp", None);
    let names: Vec<_> =
        tags.iter().map(|row| format!("{}:{}", row["repository"], row["tag"]).replace('"', "")).collect();
    let expected = ["docker.io/team/app:current", "docker.io/team/app:v1", "docker.io/team/app:v2", "own/app:1"];
    assert_eq!(names, expected);
    assert_eq!(listed, json!({ "repositories": 2, "tags": 4 }));

    let found = site.document("GET", "inspect?reference=own/app:1");
    assert_eq!((&found["repository"], &found["layers"][0]["state"]), (&"own/app".into(), &"present".into()));
    assert_eq!(found["tag"]["provenance"]["pushed"]["by"], "anonymous");

    let (_, whole) = site.lines("POST", "verify", None);
    let (_, scoped) = site.lines("POST", "verify", Some(own.as_bytes()));
    assert_eq!((&whole["damaged"], &scoped["blobs"]), (&json!([]), &json!(3)), "{whole} {scoped}");

    testkit::push::start_upload(&site.airdock.client(), "own/app");
    let (uploads, counted) = site.lines("GET", "uploads", None);
    assert_eq!((&uploads[0]["repository"], counted), (&"own/app".into(), json!({ "uploads": 1, "bytes": 0 })));
    assert_eq!(site.document("DELETE", "uploads"), json!({ "removed": 1 }));

    let list = site.document("GET", "releases");
    assert_eq!((list["in_effect"].as_u64(), list["entries"].as_array().unwrap().len()), (Some(second), 2));
    let shown = site.document("GET", &format!("releases/{first}"));
    assert_eq!((shown["id"].as_u64(), &shown["kind"]), (Some(first), &"ingest".into()));
    let user = std::process::Command::new("id").arg("-un").output().unwrap();
    assert_eq!(shown["by"], String::from_utf8(user.stdout).unwrap().trim());
    assert!(shown.get("removed").is_none() && shown.get("former").is_none(), "what only the disk needs: {shown}");

    let pin = format!("releases/{second}/pin");
    assert_eq!(site.document("PUT", &pin), json!({ "id": second, "pinned": true }));
    let back = site.document("POST", "rollback");
    assert_eq!((back["in_effect"].as_u64(), &back["record"]["kind"]["rollback"]["to"]), (Some(first), &json!(first)));
    assert_eq!(site.refused("DELETE", &format!("releases/{second}"), None), (409, "release_pinned".into()));
    assert_eq!(site.document("DELETE", &pin), json!({ "id": second, "pinned": false }));
    let gone = site.document("DELETE", &format!("releases/{second}"));
    assert_eq!((gone["removed"].as_u64(), &gone["record"]["kind"]["removal"]["of"]), (Some(second), &json!(second)));

    let (removals, all) = site.lines("POST", "remove", Some(own.as_bytes()));
    assert_eq!((&removals[0]["tags"], &all), (&json!(["own/app:1"]), &json!({ "failed": 0 })));
    let rebuilt = site.document("POST", "rebuild");
    assert_eq!((&rebuilt["tags"], &rebuilt["problems"]), (&json!(2), &json!([])), "{rebuilt}");

    let sections = DOCUMENT.split("\n### `").skip(1);
    let described: BTreeSet<_> =
        sections.clone().map(|section| section.split('`').next().unwrap().to_owned()).collect();
    assert_eq!(*site.tried.borrow(), described);
    for section in sections {
        assert!(section.contains("--unix-socket $sock") && section.contains("```json"), "{section}");
    }
}

#[test]
fn an_error_has_a_status_a_code_and_a_sentence() {
    let site = Site::start();
    for (method, target, body, expected) in [
        ("GET", "nothing", None, (404, "no_such_endpoint")),
        ("GET", "rebuild", None, (405, "method_not_allowed")),
        ("GET", "inspect", None, (400, "invalid_request")),
        ("GET", "inspect?reference=a", None, (400, "invalid_reference")),
        ("GET", "inspect?reference=a:1", None, (404, "not_found")),
        ("GET", "tags?pattern=a@b", None, (400, "invalid_reference")),
        ("GET", "releases/7", None, (404, "release_unknown")),
        ("POST", "rollback", None, (409, "none_in_effect")),
        ("POST", "rollback?to=7", None, (404, "release_unknown")),
        ("POST", "rebuild", Some("{}"), (400, "invalid_request")),
        ("POST", "remove", Some("{}"), (400, "invalid_request")),
        ("POST", "remove", Some(r#"{"references":["a:1","b"]}"#), (400, "invalid_reference")),
        ("POST", "verify", Some(r#"{"reference":["a:1"]}"#), (400, "invalid_request")),
        ("POST", "verify", Some(r#"{"references":["a:1"]}"#), (404, "not_found")),
        ("POST", "ingest", Some(""), (400, "invalid_request")),
        ("POST", "ingest", Some(r#"{"inputs":["relative"]}"#), (400, "invalid_request")),
        ("POST", "ingest", Some(r#"{"inputs":["-","-"]}"#), (400, "invalid_request")),
        ("POST", "ingest", Some(r#"{"inputs":["/"],"options":{"stric":true}}"#), (400, "invalid_request")),
        ("POST", "ingest", Some("{\"inputs\":[\"/nowhere\"]}\nmore"), (400, "invalid_request")),
    ] {
        let (status, code) = site.refused(method, target, body.map(str::as_bytes));
        assert_eq!((status, code.as_str()), expected, "{method} {target} {body:?}");
    }
    let too_large = site.send("POST", "remove", Some(&vec![b' '; (4 << 20) + 1]));
    assert_eq!((too_large.status, &too_large.json()["error"]["code"]), (413, &"too_large".into()));
    assert_eq!(site.send("GET", "rebuild", None).header("allow"), Some("POST"));
    assert_eq!(site.document("GET", "releases")["entries"], json!([]), "nothing of it was ingested");
}

#[test]
fn a_bundle_can_follow_its_options_as_a_stream() {
    let site = Site::start();
    let mut body = br#"{"inputs":["-"],"options":{"name":"mine/app:1"}}"#.to_vec();
    body.push(b'\n');
    body.extend(std::fs::read(site.bundle("v1")).unwrap());
    let (_, report) = site.lines("POST", "ingest", Some(&body));
    assert_eq!(report["images"].as_array().unwrap().len(), 2, "{report}");
    let shown = site.document("GET", &format!("releases/{}", report["release"]));
    assert_eq!(shown["media"][0]["kind"], "stream");
}

#[test]
fn a_bundle_that_is_refused_is_an_error_with_what_was_wrong() {
    let site = Site::start();
    let torn = site.airdock.directory().join("torn.tar");
    let whole = std::fs::read(site.bundle("v1")).unwrap();
    std::fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    let body = json!({ "inputs": [torn], "options": { "strict": true } }).to_string();
    let response = site.send("POST", "ingest", Some(body.as_bytes())).expect(200);
    let last: Value = serde_json::from_str(response.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "refused");
    assert!(last["error"]["failures"][0]["file"].as_str().unwrap().contains("torn.tar"), "{last}");
}

/// Sends a request over TCP with this `Host` and perhaps an `Origin`.
fn over_tcp(address: SocketAddr, method: &str, target: &str, host: &str, origin: Option<&str>) -> Response {
    let request = Request::new(method, &format!("/admin/v1/{target}")).header("Host", host);
    Client::new(address).send(&if let Some(origin) = origin { request.header("Origin", origin) } else { request })
}

#[test]
fn it_listens_on_tcp_only_if_that_is_configured_and_keeps_web_pages_out() {
    let folder = tempfile::tempdir().unwrap();
    let airdock = Airdock::builder().variable("AIRDOCK__ADMIN__LISTEN", "127.0.0.1:0").start();
    let announced = "administration API on http://";
    airdock.wait_for_output(announced);
    let output = airdock.output();
    let line = output.lines().find_map(|line| line.strip_prefix(announced)).unwrap();
    let address: SocketAddr = line.trim_end_matches("/admin/v1/").parse().unwrap();
    let host = address.to_string();
    assert_eq!(over_tcp(address, "GET", "releases", &host, None).expect(200).json()["entries"], json!([]));
    let ingest =
        |body: &str| Client::new(address).send(&Request::new("POST", "/admin/v1/ingest").body(body.to_owned()));
    let path = bundle(folder.path(), "v1");
    // The server's user may read what another user of the machine may not.
    for paths in [
        json!({ "inputs": [path] }),
        json!({ "inputs": ["-"], "options": { "keys": [path] } }),
        json!({ "inputs": ["-"], "options": { "inventory": path } }),
    ] {
        let refused = ingest(&paths.to_string()).expect(403).json();
        assert!(refused["error"]["message"].as_str().unwrap().contains("give `-` as input"), "{refused}");
    }
    let mut sent = b"{\"inputs\":[\"-\"]}\n".to_vec();
    sent.extend(std::fs::read(&path).unwrap());
    let streaming = Request::new("POST", "/admin/v1/ingest").body(sent);
    let (_, report) = streamed(&Client::new(address).send(&streaming).expect(200));
    let shown = over_tcp(address, "GET", &format!("releases/{}", report["release"]), &host, None).json();
    assert!(shown.get("error").is_none(), "{shown}");
    assert_eq!(over_tcp(address, "POST", "rebuild", &host, Some(&format!("http://{host}"))).status, 200);
    let foreign = Some("http://example.com");
    assert_eq!(over_tcp(address, "POST", "rebuild", &host, foreign).expect(403).json()["error"]["code"], "forbidden");
    assert_eq!(over_tcp(address, "GET", "releases", "example.com", None).status, 403);
    over_tcp(address, "POST", &format!("rollback?to={}", report["release"]), &host, None).expect(200);

    let quiet = Airdock::start();
    quiet.client().get("/admin/v1/releases").expect(404);
    assert!(!quiet.output().contains(announced));
    std::fs::write(folder.path().join("airdock.toml"), "[admin]\nlisten = '0.0.0.0:5001'\n").unwrap();
    let open = run(folder.path(), ["serve"]);
    assert_eq!(open.status.code(), Some(78));
    let said = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(said.contains("`admin.listen`") && said.contains("no identities yet"), "{said}");
}

#[test]
fn who_asked_is_recorded_by_the_kernels_word_or_as_anonymous() {
    let airdock = Airdock::builder().variable("AIRDOCK__ADMIN__LISTEN", "127.0.0.1:0").start();
    airdock.wait_for_output("administration API on http://");
    let output = airdock.output();
    let line = output.lines().find_map(|line| line.strip_prefix("administration API on http://")).unwrap();
    let address: SocketAddr = line.trim_end_matches("/admin/v1/").parse().unwrap();
    let (v1, v2) = (bundle(airdock.directory(), "v1"), bundle(airdock.directory(), "v2"));
    let site = Site::of(airdock);
    let mut releases = Vec::new();
    for path in [&v1, &v2] {
        let body = json!({ "inputs": [path] }).to_string();
        releases.push(site.lines("POST", "ingest", Some(body.as_bytes())).1["release"].as_u64().unwrap());
    }
    let back = over_tcp(address, "POST", "rollback", &address.to_string(), None).expect(200).json();
    assert_eq!(
        (back["in_effect"].as_u64(), &back["record"]["by"]),
        (Some(releases[0]), &"anonymous at 127.0.0.1".into())
    );
}
