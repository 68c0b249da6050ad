//! Bundles that lack some of the content they name: what is served of them, and what is reported.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::bundle::save_layout;
use testkit::content::{digest, noise};
use testkit::manifest::{image, index};
use testkit::process::{Airdock, run};

const NAME: &str = "registry.example/team/app";

/// Standard output and error of the command, after checking its exit code.
#[track_caller]
fn ingest(airdock: &Airdock, archive: &Path, code: i32) -> String {
    let arguments = ["ingest", "--progress", "never", "--data"].map(std::ffi::OsStr::new);
    let output =
        run(airdock.directory(), arguments.into_iter().chain([airdock.data().as_os_str(), archive.as_os_str()]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn a12_the_pull_of_a_platform_that_did_not_come_is_answered_at_once_with_manifest_unknown() {
    let (here, absent) = (image(&[b"amd64"], ""), image(&[b"arm64"], ""));
    let list = index(&[&here, &absent]);
    let airdock = Airdock::start();
    let archive = airdock.directory().join("sparse.tar");
    save_layout(&archive, &format!("{NAME}:1"), &list, &[here.as_bytes(), b"{}", b"amd64"]);
    let report = ingest(&airdock, &archive, 0);
    assert!(report.contains(&digest(&absent)), "it says what did not come: {report}");
    let client = airdock.client();
    let path = |reference: &str| format!("/v2/{NAME}/manifests/{reference}");
    assert_eq!(client.get(&path("1")).expect(200).text(), list);
    assert_eq!(client.get(&path(&digest(&here))).expect(200).text(), here);
    let asked = Instant::now();
    let answer = client.get(&path(&digest(&absent))).expect(404);
    assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
    client.head(&path(&digest(&absent))).expect(404);
    assert!(asked.elapsed() < Duration::from_secs(10), "a node would wait");
    // A later bundle completes it.
    let rest = airdock.directory().join("rest.tar");
    save_layout(&rest, &format!("{NAME}:arm64"), &absent, &[b"{}", b"arm64"]);
    ingest(&airdock, &rest, 0);
    assert_eq!(client.get(&path(&digest(&absent))).expect(200).text(), absent);
}

#[test]
fn a20_a_delta_whose_base_is_absent_lists_what_it_lacks_and_changes_no_tag() {
    let base: Vec<Vec<u8>> = (1..4).map(|part| noise(part * 1000)).collect();
    let layers: Vec<&[u8]> = base.iter().map(Vec::as_slice).chain([&b"new"[..]]).collect();
    let (old, new) = (image(&[b"old"], ""), image(&layers, ""));
    let airdock = Airdock::start();
    let whole = airdock.directory().join("old.tar");
    save_layout(&whole, &format!("{NAME}:current"), &old, &[b"{}", b"old"]);
    ingest(&airdock, &whole, 0);
    let delta = airdock.directory().join("delta.tar");
    save_layout(&delta, &format!("{NAME}:current"), &new, &[b"{}", b"new"]);
    let said = ingest(&airdock, &delta, 65);
    for layer in &base {
        assert!(said.contains(&digest(layer)), "{said}");
    }
    assert!(!said.contains(&digest("new")), "what it has is not listed: {said}");
    let client = airdock.client();
    assert_eq!(client.get(&format!("/v2/{NAME}/manifests/current")).expect(200).text(), old);
    client.get(&format!("/v2/{NAME}/manifests/{}", digest(&new))).expect(404);
    // Once its base is there, it is ingested.
    let full = airdock.directory().join("base.tar");
    save_layout(&full, &format!("{NAME}:base"), &image(&layers[..3], ""), &[&[&b"{}"[..]], &layers[..3]].concat());
    ingest(&airdock, &full, 0);
    ingest(&airdock, &delta, 0);
    assert_eq!(client.get(&format!("/v2/{NAME}/manifests/current")).expect(200).text(), new);
}
