//! A16 with the binary and real `openssl`: a bundle's inventory, signing it, and what a trusted key refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testkit::bundle::save;
use testkit::content::zstd;
use testkit::image::layer;
use testkit::process::{Airdock, command, pipe, run, stderr};

/// A folder for bundles and keys, with a data folder in it.
struct Site {
    folder: tempfile::TempDir,
}

#[track_caller]
fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

impl Site {
    /// Has the keys `build` (P-256), `other` (P-256) and `edwards` (Ed25519), and an unsigned bundle.
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        for (name, kind) in [("build", &p256[..]), ("other", &p256), ("edwards", &["-algorithm", "ed25519"])] {
            let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
            openssl(site.path(), &[&["genpkey", "-out", &private], kind].concat());
            openssl(site.path(), &["pkey", "-in", &private, "-pubout", "-out", &public]);
        }
        std::fs::create_dir_all(site.path().join("bundle/images")).unwrap();
        site.image("app", b"app");
        site.image("tool", b"tool");
        site
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join("bundle").join(name)
    }

    fn image(&self, name: &str, content: &[u8]) {
        save(&self.file(&format!("images/{name}.tar")), &[format!("example/{name}:1")], &[&layer("hello", content)]);
    }

    /// Writes the bundle's inventory and signs it with the named key.
    #[track_caller]
    fn sign(&self, key: &str, expires: &[&str]) {
        for name in ["inventory.txt", "inventory.txt.sig"] {
            let _ = std::fs::remove_file(self.file(name));
        }
        let made = run(self.path(), [&["inventory", "--progress", "never"], expires, &["bundle"]].concat());
        assert!(made.status.success(), "{}", stderr(&made));
        std::fs::write(self.file("inventory.txt"), made.stdout).unwrap();
        self.sign_text(key);
    }

    #[track_caller]
    fn sign_text(&self, key: &str) {
        let (key, text, signature) = (format!("{key}.key"), "bundle/inventory.txt", "bundle/inventory.txt.sig");
        if key == "edwards.key" {
            let arguments = ["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", text, "-out", signature];
            openssl(self.path(), &arguments);
        } else {
            openssl(self.path(), &["dgst", "-sha256", "-sign", &key, "-out", signature, text]);
        }
    }

    fn ingest(&self, arguments: &[&str]) -> Output {
        run(self.path(), [&["ingest", "--data", "data", "--progress", "never"], arguments].concat())
    }

    /// Runs an ingest that must be refused with this message, and checks that nothing was ingested.
    #[track_caller]
    fn refused(&self, airdock: Option<&Airdock>, arguments: &[&str], sentence: &str) {
        let before = airdock.map(tags);
        let output = self.ingest(arguments);
        assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "`{sentence}` is not said:\n{}", stderr(&output));
        assert!(stderr(&output).contains("no tag was changed"), "{}", stderr(&output));
        assert_eq!(airdock.map(tags), before, "a tag moved");
        let releases = run(self.path(), ["releases", "--data", "data"]);
        assert!(String::from_utf8_lossy(&releases.stdout).contains("no release yet"), "a release appeared");
    }
}

/// The status of a request for each image of the bundle.
fn tags(airdock: &Airdock) -> Vec<u16> {
    let paths = ["app", "tool"].map(|name| format!("/v2/docker.io/example/{name}/manifests/1"));
    paths.iter().map(|path| airdock.client().get(path).status).collect()
}

#[test]
fn a16_what_openssl_signed_goes_in_and_the_release_says_who_signed_it() {
    for key in ["build", "edwards"] {
        let site = Site::new();
        site.sign(key, &["--expires", "90d"]);
        let text = std::fs::read_to_string(site.file("inventory.txt")).unwrap();
        assert!(text.starts_with("# airdock inventory 1\n# expires 20"), "{text}");
        assert!(
            text.contains("  docker.io/example/app:1\n") && text.contains("  docker.io/example/tool:1\n"),
            "{text}"
        );
        let public = format!("{key}.pub");
        let output = site.ingest(&["--key", "other.pub", "--key", &public, "bundle"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let der = openssl(site.path(), &["pkey", "-pubin", "-in", &public, "-outform", "DER"]);
        let fingerprint = testkit::content::digest(&der);
        let signed = format!("bundle/inventory.txt by {public} ({fingerprint})\n");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(report.contains("signed: ") && report.contains(&signed), "{report}");
        let shown = run(site.path(), ["release", "show", "1", "--data", "data"]);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("  signed    ") && shown.contains(&signed), "{shown}");
        let json = run(site.path(), ["release", "show", "1", "--data", "data", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["signatures"][0]["fingerprint"], fingerprint);
    }
}

#[test]
fn a16_a_server_with_a_key_ingests_only_signed_bundles_by_every_way_in() {
    let site = Site::new();
    let airdock = Airdock::builder()
        .data(site.path().join("data"))
        .argument("--key")
        .argument(site.path().join("build.pub"))
        .start();
    airdock.wait_for_log("only bundles signed by build.pub (sha256:");
    let refused = |arguments: &[&str], sentence: &str| site.refused(Some(&airdock), arguments, sentence);
    refused(&["bundle"], "no inventory");
    site.sign("other", &[]);
    refused(&["bundle"], "its signature is not by build.pub (sha256:");
    // Keys and settings of the command do not weaken those of the server.
    refused(&["--key", "other.pub", "bundle"], "its signature is not by build.pub (sha256:");
    site.sign("build", &[]);
    std::fs::remove_file(site.file("inventory.txt.sig")).unwrap();
    refused(&["bundle"], "it has no signature");
    let text = std::fs::read_to_string(site.file("inventory.txt")).unwrap();
    let expired = text.replacen('\n', "\n# expires 2020-01-01T00:00:00Z\n", 1);
    std::fs::write(site.file("inventory.txt"), expired).unwrap();
    site.sign_text("build");
    refused(&["bundle"], "it expired at 2020-01-01T00:00:00Z");
    // A layer that is not stored yet: stored content is not read again.
    site.image("tool", b"fresh");
    site.sign("build", &[]);
    let tool = std::fs::read(site.file("images/tool.tar")).unwrap();
    let mut swapped = tool.clone();
    // The content of the file in the layer, which fills a tar block of its own.
    let content = swapped.windows(5).position(|window| window == b"fresh").unwrap();
    swapped[content] ^= 1;
    std::fs::write(site.file("images/tool.tar"), &swapped).unwrap();
    refused(&["bundle"], "it was damaged or changed on the way");
    site.image("tool", b"another");
    refused(&["bundle"], "`docker.io/example/tool:1` is sha256:");
    std::fs::write(site.file("images/tool.tar"), &tool).unwrap();
    let output = site.ingest(&["bundle"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(tags(&airdock), [200, 200]);
}

#[test]
fn a16_a_command_can_ask_a_server_without_keys_for_a_signature_over_a_pipe() {
    let site = Site::new();
    let airdock = Airdock::over(&site.path().join("data"));
    site.refused(Some(&airdock), &["--key", "build.pub", "bundle"], "no inventory");
    site.sign("build", &[]);
    std::fs::rename(site.file("inventory.txt"), site.path().join("carried.txt")).unwrap();
    std::fs::rename(site.file("inventory.txt.sig"), site.path().join("carried.txt.sig")).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("bundle", site.path().join("bundle")).unwrap();
    let archive = zstd(&archive.into_inner().unwrap());
    let piped = |arguments: &[&str]| {
        let mut command = command(site.path());
        command.args(["ingest", "--data", "data", "--progress", "never", "--key"]).args(arguments).arg("-");
        pipe(&mut command, &archive)
    };
    let output = piped(&["build.pub"]);
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    let output = piped(&["other.pub", "--inventory", "carried.txt"]);
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    assert_eq!(tags(&airdock), [404, 404]);
    let output = piped(&["build.pub", "--inventory", "carried.txt"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(tags(&airdock), [200, 200]);
}

#[test]
fn a16_what_a_server_is_started_with_has_to_be_signed_too() {
    let site = Site::new();
    let key = site.path().join("build.pub");
    let start = |flag: &str| {
        let data = site.path().join("data");
        Airdock::builder()
            .data(data)
            .variable("AIRDOCK__INGEST__TRUST__KEYS", key.to_str().unwrap())
            .argument(flag)
            .argument(site.path().join("bundle"))
    };
    let airdock = start("--bundle").start();
    airdock.wait_for_log("the bundle did not go in");
    assert!(airdock.log().contains("no inventory"), "{}", airdock.log());
    assert_eq!(tags(&airdock), [404, 404]);
    assert!(airdock.stop().success());

    let mount = |arguments: &[&str]| {
        let serve = ["serve", "--data", "data", "--listen", "127.0.0.1:0", "--mount", "bundle"];
        run(site.path(), [&serve[..], arguments].concat())
    };
    let output = mount(&["--key", "build.pub"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot mount") && stderr(&output).contains("no inventory"),
        "{}",
        stderr(&output)
    );
    let output = mount(&["--key", "build.key"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("build.key` cannot be used: it holds a private key"), "{}", stderr(&output));

    site.sign("build", &[]);
    let airdock = start("--mount").argument("--copy").start();
    assert_eq!(tags(&airdock), [200, 200]);
    airdock.wait_for_output("served in place, signed by build.pub");
    airdock.wait_for_output("signed: ");
    assert!(airdock.stop().success());
}

#[test]
fn an_inventory_is_the_same_each_time_and_there_is_none_of_half_a_bundle() {
    let site = Site::new();
    let made = |arguments: &[&str]| run(site.path(), [&["inventory", "--progress", "never"], arguments].concat());
    let (one, two) = (made(&["bundle"]), made(&["bundle"]));
    assert!(one.status.success() && one.stdout == two.stdout, "{}", stderr(&one));
    assert!(!site.path().join("airdock-data").exists(), "it made a data folder");
    // An existing inventory does not list itself.
    std::fs::write(site.file("inventory.txt"), &one.stdout).unwrap();
    assert_eq!(made(&["bundle"]).stdout, one.stdout);
    let output = made(&["--expires", "yesterday", "bundle"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", stderr(&output));
    assert!(stderr(&output).contains("90d"), "{}", stderr(&output));
    let whole = std::fs::read(site.file("images/tool.tar")).unwrap();
    std::fs::write(site.file("images/tool.tar"), &whole[..whole.len() / 2]).unwrap();
    let output = made(&["bundle"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(65), 0), "{}", stderr(&output));
    assert!(stderr(&output).contains("tool.tar"), "{}", stderr(&output));
}
