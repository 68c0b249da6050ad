//! A data folder that cannot be used is refused with a clear error, and no new one is created (S09, S10).

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::process::{self, Airdock, PATIENCE, Process};

/// Starts a server that must refuse; returns its exit code and standard error.
fn refused(data: &Path) -> (Option<i32>, String) {
    let mut command = process::command(Path::new("/"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).stdin(Stdio::null());
    let mut server = Process(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let patience = Instant::now() + PATIENCE;
    let status = loop {
        match server.0.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < patience, "it serves `{}`", data.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut message = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    (status.code(), message)
}

#[test]
fn s10_a_second_process_on_a_data_folder_is_refused_and_the_first_goes_on() {
    let airdock = Airdock::start();
    let (code, message) = refused(airdock.data());
    assert_eq!(code, Some(75), "{message}");
    assert!(message.contains("is in use by another airdock process"), "{message}");
    airdock.client().get("/v2/").expect(200);
    let data = airdock.data().to_owned();
    // The lock of a killed process is released.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("data");
    let first = Airdock::over(&copy);
    first.kill();
    assert!(copy.join("lock").exists());
    Airdock::over(&copy).client().get("/v2/").expect(200);
    assert_ne!(copy, data);
}

#[test]
fn s09_a_folder_that_is_not_a_data_folder_is_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "x").unwrap();
    let (code, message) = refused(folder.path());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("not a store of ours") && message.contains("is the volume mounted?"), "{message}");
    assert!(!folder.path().join("blobs").exists());
}

#[test]
fn s09_a_store_that_lost_a_part_is_refused_and_works_when_it_is_back() {
    for part in ["blobs", "repositories", "releases", "store.json"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let airdock = Airdock::over(&data);
        let content = "x".repeat(100);
        let digest = testkit::content::digest(&content);
        let push = format!("/v2/a/blobs/uploads/?digest={digest}");
        airdock.client().send(&testkit::client::Request::new("POST", &push).body(content)).expect(201);
        assert!(airdock.stop().success());

        fs::rename(data.join(part), folder.path().join("away")).unwrap();
        let (code, message) = refused(&data);
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains(part), "it names `{part}`: {message}");
        assert!(!data.join(part).exists(), "nothing is made in the place of `{part}`");

        fs::rename(folder.path().join("away"), data.join(part)).unwrap();
        let airdock = Airdock::over(&data);
        airdock.client().get(&format!("/v2/a/blobs/{digest}")).expect(200);
    }
}
