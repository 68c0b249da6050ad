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

/// Everything below a folder.
fn all(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn d14_a_command_on_a_data_folder_from_elsewhere_removes_makes_and_waits_for_nothing_outside() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (data, outside) = (folder.path().join("data"), folder.path().join("outside"));
    assert!(Airdock::over(&data).stop().success());
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    let list = || {
        let began = Instant::now();
        let output = process::command(Path::new("/")).args(["ls", "--data"]).arg(&data).output().unwrap();
        assert!(began.elapsed() < PATIENCE);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(list().0, Some(0));
    let (incoming, lock) = (data.join("incoming"), data.join("lock"));
    fs::remove_dir(&incoming).unwrap();
    symlink(&outside, &incoming).unwrap();
    let (code, error) = list();
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("data/incoming` is a symbolic link and no folder; move it away"), "{error}");
    assert!(outside.join("precious").exists());
    fs::remove_file(&incoming).unwrap();
    fs::remove_file(&lock).unwrap();
    symlink(outside.join("made"), &lock).unwrap();
    let (_, error) = list();
    assert!(error.contains("data/lock` is a symbolic link and no file"), "{error}");
    assert!(!outside.join("made").exists());
    fs::remove_file(&lock).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
    let (_, error) = list();
    assert!(error.contains("data/lock` is a named pipe and no file"), "{error}");
    fs::remove_file(&lock).unwrap();
    assert_eq!(list().0, Some(0));
}

#[test]
fn d21_nothing_in_a_data_folder_is_for_other_users_while_a_server_runs_and_after_it() {
    use std::os::unix::fs::PermissionsExt;
    let airdock = Airdock::start();
    let content = "x".repeat(100);
    let push = format!("/v2/a/blobs/uploads/?digest={}", testkit::content::digest(&content));
    airdock.client().send(&testkit::client::Request::new("POST", &push).body(content)).expect(201);
    airdock.client().send(&testkit::client::Request::new("POST", "/v2/a/blobs/uploads/")).expect(202);
    let data = airdock.data().to_owned();
    let open = |data: &Path| {
        let modes = all(data).into_iter().chain([data.to_owned()]);
        let others = |path: &std::path::PathBuf| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o077 != 0;
        // The database makes its own files, in a folder that is closed.
        modes
            .filter(|path| !path.starts_with(data.join("metadata/")) || *path == data.join("metadata"))
            .filter(others)
            .collect::<Vec<_>>()
    };
    assert_eq!(open(&data), Vec::<std::path::PathBuf>::new());
    assert_eq!(fs::metadata(data.join("metadata")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn d27_a_start_without_its_disk_is_refused_if_a_store_must_exist_and_warned_of_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mount-point");
    fs::create_dir(&data).unwrap();
    let serve = |must_exist| Airdock::builder().data(&data).variable("AIRDOCK__STORE__MUST_EXIST", must_exist);
    let mut command = process::command(Path::new("/"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).env("AIRDOCK__STORE__MUST_EXIST", "true");
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("one must be there already; is its disk mounted?"), "{error}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing is made in the mount point");
    // Nor does a command that only looks make one.
    let output = process::command(Path::new("/")).args(["ls", "--data"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    let airdock = serve("false").start();
    airdock.wait_for_log("a new store was made in it; if one was here, its disk is not mounted");
    assert!(airdock.stop().success());
    let airdock = serve("true").start();
    airdock.client().get("/v2/").expect(200);
    assert!(!airdock.log().contains("new store"), "{}", airdock.log());
}
