//! Releases through the binary: what a bundle does to the tags, rollback and going forward, and the conflict rules.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use testkit::bundle::save;
use testkit::client::Client;
use testkit::image::layer;
use testkit::process::{Airdock, command, pipe, said, stdout};
use testkit::pull::tags;
use testkit::push::push_image;

const UPSTREAM: &str = "docker.io/zenmldocker/zenml";
const INTERNAL: &str = "zenml/zenml";

/// A data folder and commands on it, with or without a server.
struct Site {
    folder: tempfile::TempDir,
    airdock: Option<Airdock>,
}

impl Site {
    fn new(with_server: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let airdock = with_server.then(|| Airdock::over(&folder.path().join("data")));
        Self { folder, airdock }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.folder.path());
        command.args(arguments).arg("--data").arg(self.data());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it prints.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        self.ends(arguments, 0)
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let error = said(&output, code);
        if code == 0 { stdout(&output) } else { error }
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Ingests a version of one image under its own tag and a shared one; returns the last line of the report.
    #[track_caller]
    fn ingest(&self, version: &str, more: &[&str]) -> serde_json::Value {
        let bundle = self.bundle(version);
        let arguments = [&["ingest", "--json", "--progress", "never"], more, &[bundle.to_str().unwrap()]].concat();
        serde_json::from_str(self.text(&arguments).lines().last().unwrap()).unwrap()
    }

    fn bundle(&self, version: &str) -> PathBuf {
        let bundle = self.folder.path().join(format!("bundle-{version}"));
        std::fs::create_dir_all(bundle.join("images")).unwrap();
        let tags = ["zenmldocker/zenml:current".to_owned(), format!("zenmldocker/zenml:{version}")];
        save(&bundle.join("images/client.tar"), &tags, &[&layer("version", version.as_bytes())]);
        bundle
    }

    /// Runs `look` against a server, which is started for it if none is running.
    fn look<T>(&self, look: impl FnOnce(&Client) -> T) -> T {
        match &self.airdock {
            Some(airdock) => look(&airdock.client()),
            None => {
                let airdock = Airdock::over(&self.data());
                let seen = look(&airdock.client());
                assert!(airdock.stop().success());
                seen
            }
        }
    }

    fn tags(&self) -> Vec<String> {
        self.look(|client| tags(client, INTERNAL))
    }
}

/// Where a tag came from, as its manifest's header says.
fn provenance(client: &Client, repository: &str, reference: &str) -> Option<String> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let (get, head) = (client.get(&path).expect(200), client.head(&path).expect(200));
    assert_eq!(get.header("airdock-provenance"), head.header("airdock-provenance"));
    get.header("airdock-provenance").map(str::to_owned)
}

#[test]
fn releases_are_listed_shown_and_gone_back_from_here_and_by_the_server() {
    for with_server in [false, true] {
        let site = Site::new(with_server);
        assert!(site.text(&["releases"]).starts_with("no release yet"));
        let first = site.ingest("v1", &[])["release"].as_u64().unwrap();
        let second = site.ingest("v2", &[])["release"].as_u64().unwrap();
        assert_eq!(site.ingest("v2", &[])["release"], serde_json::Value::Null, "the same again makes none");

        let table = site.text(&["releases"]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("ID") && lines[0].ends_with("STATE"), "{table}");
        assert!(lines[1].starts_with(&first.to_string()) && lines[1].ends_with("earlier"), "{table}");
        assert!(lines[2].contains("bundle-v2") && lines[2].ends_with("in effect"), "{table}");

        let shown = site.json(&["release", "show", &second.to_string()]);
        assert_eq!((shown["kind"].as_str(), shown["parent"].as_u64()), (Some("ingest"), Some(first)));
        let bundle = site.folder.path().join("bundle-v2").canonicalize().unwrap();
        assert_eq!(shown["media"][0]["path"], bundle.to_str().unwrap());
        assert_eq!(shown["media"][0]["kind"], "folder");
        assert_eq!(shown["images"].as_array().unwrap().len(), 4, "two tags under two names");
        assert_eq!(shown["images"][0]["platforms"][0], "linux/amd64");
        let user = std::process::Command::new("id").arg("-un").output().unwrap();
        assert_eq!(shown["by"], String::from_utf8(user.stdout).unwrap().trim());
        let text = site.text(&["release", "show", &second.to_string()]);
        assert!(text.contains(&format!("{INTERNAL}:v2")) && text.contains("checksum  sha256:"), "{text}");

        let said = site.text(&["release", "rollback"]);
        assert!(said.ends_with(&format!("release {first} is in effect: 4 tags changed\n")), "{said}");
        assert_eq!(site.tags(), ["current", "v1"]);
        site.look(|client| {
            let expected = Some(format!("ingested from bundle-v1; release={first}"));
            assert_eq!(provenance(client, UPSTREAM, "current"), expected);
            let digest = client.get(&format!("/v2/{UPSTREAM}/manifests/current")).header("etag").unwrap().to_owned();
            assert_eq!(provenance(client, UPSTREAM, digest.trim_matches('"')), None, "a digest comes from anywhere");
        });
        let nothing = site.ends(&["release", "rollback"], 1);
        assert!(
            nothing.contains(&format!("no release before {first}")) && nothing.contains("airdock release rm"),
            "{nothing}"
        );

        let forward = site.json(&["release", "rollback", &second.to_string()]);
        assert_eq!(forward["in_effect"], second);
        assert_eq!(site.tags(), ["current", "v1", "v2"]);
        assert!(
            site.ends(&["release", "rm", &second.to_string()], 1).contains("is in effect; go back to another first")
        );
        site.text(&["release", "pin", &first.to_string()]);
        assert!(site.text(&["releases"]).contains("earlier, pinned"));
        assert!(site.ends(&["release", "rm", &first.to_string()], 1).contains("is pinned"));
        site.text(&["release", "unpin", &first.to_string()]);
        let said = site.text(&["release", "rm", &first.to_string()]);
        assert!(said.contains("its blobs stay on the disk"), "{said}");
        assert_eq!(site.tags(), ["current", "v2"]);
        assert!(site.ends(&["release", "show", &first.to_string()], 1).contains("there is no release"));
        let list = site.json(&["releases"]);
        assert_eq!((list["in_effect"].as_u64(), list["entries"].as_array().unwrap().len()), (Some(second), 4));
    }
}

#[test]
fn a_pushed_tag_survives_and_what_becomes_of_it_can_be_chosen() {
    let site = Site::new(true);
    site.ingest("v1", &[]);
    let client = site.airdock.as_ref().unwrap().client();
    push_image(&client, INTERNAL, "current", &[b"own"]);
    assert_eq!(provenance(&client, INTERNAL, "current"), Some("pushed by anonymous".into()));

    let report = site.ingest("v2", &[]);
    assert_eq!(report["kept"].as_array().unwrap().len(), 1, "{report}");
    let kept = &report["kept"][0];
    let expected = (Some("zenml/zenml:current"), Some("pushed by anonymous"), Some("precedence"));
    assert_eq!((kept["tag"].as_str(), kept["by"].as_str(), kept["why"].as_str()), expected);
    let shown = site.text(&["release", "show", &report["release"].to_string()]);
    assert!(shown.contains("kept: `zenml/zenml:current` stays `sha256:"), "{shown}");

    let bundle = site.bundle("v3");
    let refused = site.ends(&["ingest", "--on-conflict", "fail", bundle.to_str().unwrap()], 65);
    assert!(refused.contains("conflict: `zenml/zenml:current` stays"), "{refused}");
    assert_eq!(site.tags(), ["current", "v1", "v2"]);

    site.text(&["release", "rollback"]);
    assert_eq!(provenance(&client, INTERNAL, "current"), Some("pushed by anonymous".into()));
    let report = site.ingest("v3", &["--on-conflict", "replace"]);
    assert_eq!(report["kept"].as_array().unwrap().len(), 0);
    let release = format!("ingested from bundle-v3; release={}", report["release"]);
    assert_eq!(provenance(&client, INTERNAL, "current"), Some(release));
    site.text(&["release", "rollback"]);
    assert_eq!(provenance(&client, INTERNAL, "current"), Some("pushed by anonymous".into()), "it is back");
}

#[test]
fn a_server_protects_prefixes_and_follows_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = [("AIRDOCK__INGEST__PROTECT", "zenml/"), ("AIRDOCK__INGEST__ON_CONFLICT", "replace")];
    let airdock = settings
        .iter()
        .fold(Airdock::builder().data(&data), |builder, (name, value)| builder.variable(name, value))
        .start();
    push_image(&airdock.client(), INTERNAL, "current", &[b"own"]);
    push_image(&airdock.client(), UPSTREAM, "current", &[b"own"]);
    let site = Site { folder, airdock: Some(airdock) };
    let report = site.ingest("v1", &[]);
    let kept = report["kept"].as_array().unwrap();
    assert_eq!(kept.len(), 1, "{report}");
    assert_eq!((kept[0]["tag"].as_str(), kept[0]["why"].as_str()), (Some("zenml/zenml:current"), Some("protected")));
    let client = site.airdock.as_ref().unwrap().client();
    assert_eq!(provenance(&client, INTERNAL, "current"), Some("pushed by anonymous".into()));
    assert!(provenance(&client, UPSTREAM, "current").unwrap().starts_with("ingested from bundle-v1"));
    assert_eq!(site.tags(), ["current", "v1"], "what was not there comes");
    // The command's own word goes before the server's settings.
    push_image(&client, UPSTREAM, "current", &[b"again"]);
    assert_eq!(site.ingest("v2", &["--on-conflict", "keep"])["kept"].as_array().unwrap().len(), 2);
}

#[test]
fn the_record_says_how_large_a_file_was_and_that_a_stream_has_no_size() {
    let site = Site::new(false);
    let file = site.bundle("v1").join("images/client.tar");
    let report = site.text(&["ingest", "--json", file.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    let shown = site.json(&["release", "show", &report["release"].to_string()]);
    assert_eq!(shown["media"][0]["kind"], "file");
    assert_eq!(shown["media"][0]["size"].as_u64(), Some(Path::new(&file).metadata().unwrap().len()));

    let stream = std::fs::read(site.bundle("v2").join("images/client.tar")).unwrap();
    let mut ingest = command(site.folder.path());
    let output = pipe(ingest.args(["ingest", "--json", "-", "--data"]).arg(site.data()), &stream);
    let text = String::from_utf8(output.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let shown = site.json(&["release", "show", &report["release"].to_string()]);
    let medium = &shown["media"][0];
    assert_eq!((medium["path"].as_str(), medium["kind"].as_str()), (Some("standard input"), Some("stream")));
    assert!(medium["size"].is_null());
}
