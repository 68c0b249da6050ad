//! The command line as a user sees it: what is printed, what is refused, and the exit codes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use testkit::bundle::{example, example_tar};
use testkit::process::{Airdock, PATIENCE, command, pipe, printed, run, stderr, stdout};
use testkit::push::push_image;

const REPORTED: &str = "zenml/zenml:0.93.2";
const MANIFEST: &str = "/v2/zenml/zenml/manifests/0.93.2";

/// Ingests `paths` into the data folder `data` of `folder`.
fn ingest(folder: &Path, data: &Path, arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = command(folder);
    command.args(["ingest", "--data"]).arg(data).args(arguments).args(paths);
    command.stdin(Stdio::null()).output().unwrap()
}

/// A bundle with a sound image and a torn one.
fn torn_bundle(folder: &Path) -> PathBuf {
    let bundle = folder.join("torn");
    std::fs::create_dir_all(bundle.join("images")).unwrap();
    let sound = example().join("images/zenml-client.tar");
    std::fs::copy(sound, bundle.join("images/zenml-client.tar")).unwrap();
    let whole = std::fs::read(example().join("images/zenml-pro-api.tar")).unwrap();
    std::fs::write(bundle.join("images/zenml-pro-api.tar"), &whole[..whole.len() / 2]).unwrap();
    bundle
}

#[test]
fn with_nothing_said_the_data_folder_is_in_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = run(folder.path(), ["config", "check"]);
    printed(&settings, 0);
    assert!(stdout(&settings).contains("\nlisten = [\"127.0.0.1:5000\"]\n"), "{}", stdout(&settings));
    assert!(stdout(&settings).contains("\npath = \"airdock-data\"\n"), "{}", stdout(&settings));
    assert!(!folder.path().join("airdock-data").exists(), "looking at settings makes nothing");

    let rebuilt = run(folder.path(), ["rebuild"]);
    printed(&rebuilt, 0);
    assert!(folder.path().join("airdock-data").is_dir());
}

#[test]
fn a_file_in_the_working_directory_is_read_and_a_flag_wins_over_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("airdock.toml"), "[store]\npath = 'from-file'\n").unwrap();
    let settings = run(folder.path(), ["config", "check"]);
    assert!(stdout(&settings).starts_with("# in effect, with `airdock.toml`\n"), "{}", stdout(&settings));
    assert!(stdout(&settings).contains("\npath = \"from-file\"\n"), "{}", stdout(&settings));
    printed(&run(folder.path(), ["rebuild", "--data", "from-flag"]), 0);
    assert!(folder.path().join("from-flag").is_dir() && !folder.path().join("from-file").exists());
}

#[test]
fn every_wrong_setting_is_listed_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my.toml"), "[server]\nlisen = []\n[log]\nlevel = 'loud'\n").unwrap();
    for verb in [&["config", "check"][..], &["serve"], &["rebuild"], &["ingest", "x"]] {
        let mut command = command(folder.path());
        command.args(verb).args(["--config", "my.toml"]).env("AIRDOCK__STORE__UPLOAD_EXPIRY", "1");
        let output = command.output().unwrap();
        printed(&output, 78);
        let said = stderr(&output);
        assert!(said.starts_with("airdock: 3 settings cannot be used:\n"), "{said}");
        assert!(said.contains("`server.lisen` in `my.toml`: no such key; did you mean `server.listen`?"), "{said}");
        assert!(said.contains("`log.level` in `my.toml`: `loud`"), "{said}");
        assert!(said.contains("`AIRDOCK__STORE__UPLOAD_EXPIRY`: `1` is not a duration"), "{said}");
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in
        [&["serve", "--lisen", "x"][..], &["ingest"], &["serve", "--tls-key", "x"], &["serve", "--listen", "x"]]
    {
        printed(&run(folder.path(), wrong), 2);
    }
}

#[test]
fn each_listener_is_announced_with_its_real_port() {
    let airdock = Airdock::builder().listen("127.0.0.1:0").listen("[::1]:0").start();
    assert_eq!(airdock.addresses().len(), 2);
    for address in airdock.addresses() {
        assert_ne!(address.port(), 0);
        TcpStream::connect(address).unwrap();
    }
    let first = airdock.output().lines().next().unwrap().to_owned();
    assert_eq!(first, format!("airdock serves http://{} from {}", airdock.address(), airdock.data().display()));
}

#[test]
fn a_signal_to_stop_ends_it_with_0_and_leaves_no_socket() {
    for signal in ["TERM", "INT"] {
        let mut airdock = Airdock::start();
        airdock.client().get("/v2/").expect(200);
        let socket = airdock.data().join("control.sock");
        let metadata = socket.metadata().unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "only the owner may connect");
        airdock.signal(signal);
        assert_eq!(airdock.wait().code(), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn an_answer_under_way_is_waited_for_and_a_second_signal_does_not_wait() {
    let mut airdock = Airdock::start();
    let mut half = TcpStream::connect(airdock.address()).unwrap();
    // An upload in progress: the drain waits for it.
    half.write_all(b"POST /v2/a/blobs/uploads/?digest=sha256:00 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        .unwrap();
    airdock.client().get("/v2/").expect(200);
    airdock.signal("TERM");
    airdock.wait_for_log("a second signal stops at once");
    std::thread::sleep(Duration::from_millis(300));
    assert!(airdock.is_running(), "the upload is under way");
    let asked = Instant::now();
    airdock.signal("TERM");
    assert_eq!(airdock.wait().code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_folder_has_one_server_and_the_second_says_so() {
    let airdock = Airdock::start();
    let second =
        run(airdock.directory(), ["serve", "--listen", "127.0.0.1:0", "--data", airdock.data().to_str().unwrap()]);
    printed(&second, 75);
    assert!(stderr(&second).contains("in use by another airdock process"), "{}", stderr(&second));
    airdock.client().get("/v2/").expect(200);
    assert!(airdock.data().join("control.sock").exists(), "the second one keeps its hands off the socket");
}

#[test]
fn a_running_server_does_the_ingest() {
    let airdock = Airdock::start();
    airdock.client().get(MANIFEST).expect(404);
    let first = ingest(airdock.directory(), airdock.data(), &[], &[&example()]);
    printed(&first, 0);
    assert!(stdout(&first).starts_with("IMAGE"), "{}", stdout(&first));
    assert!(stdout(&first).contains(REPORTED), "{}", stdout(&first));
    assert!(stdout(&first).contains("6 images and charts went in"), "{}", stdout(&first));
    assert!(stderr(&first).starts_with("ingesting "), "progress in lines: {}", stderr(&first));
    airdock.client().get(MANIFEST).expect(200);

    let second = ingest(airdock.directory(), airdock.data(), &[], &[&example()]);
    printed(&second, 0);
    assert!(stdout(&second).contains("nothing was written"), "{}", stdout(&second));
}

#[test]
fn without_a_server_the_command_does_the_ingest_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = ingest(folder.path(), &data, &["--progress", "never"], &[&example()]);
    printed(&output, 0);
    assert!(stdout(&output).contains(REPORTED), "{}", stdout(&output));
    assert_eq!(stderr(&output), "", "nothing was asked to be told");
    assert!(!data.join("control.sock").exists());
    let airdock = Airdock::over(&data);
    airdock.client().get(MANIFEST).expect(200);
    airdock.wait_for_output("zenml/zenml: 0.93.2");
}

/// The example's client as `docker save <id>` writes it: without a name.
fn unnamed_image(folder: &Path) -> PathBuf {
    let whole = std::fs::read(example().join("images/zenml-client.tar")).unwrap();
    let mut unnamed = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&*whole).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if path == Path::new("manifest.json") {
            let mut images: serde_json::Value = serde_json::from_slice(&content).unwrap();
            images[0]["RepoTags"] = serde_json::Value::Null;
            content = images.to_string().into_bytes();
        }
        if path == Path::new("index.json") || path == Path::new("oci-layout") || content.is_empty() {
            continue;
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        unnamed.append_data(&mut header, path, &*content).unwrap();
    }
    let path = folder.join("unnamed.tar");
    std::fs::write(&path, unnamed.into_inner().unwrap()).unwrap();
    path
}

#[test]
fn a_name_given_to_what_has_none_reaches_the_ingest_here_and_by_the_server() {
    let airdock = Airdock::start();
    let folder = tempfile::tempdir().unwrap();
    let (image, own) = (unnamed_image(folder.path()), folder.path().join("own"));
    for data in [airdock.data(), &own] {
        let output = ingest(folder.path(), data, &["--name", "zenml/mine:1"], &[&image]);
        printed(&output, 0);
        assert!(stdout(&output).contains("zenml/mine:1"), "{}", stdout(&output));
    }
    airdock.client().get("/v2/zenml/mine/manifests/1").expect(200);
    let bad = ingest(folder.path(), &own, &["--base-name", "zenml/mine:1"], &[&image]);
    printed(&bad, 1);
    assert!(stderr(&bad).contains("has a tag"), "{}", stderr(&bad));
}

#[test]
fn a_path_is_relative_to_the_command_and_not_to_the_server() {
    let airdock = Airdock::start();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(example().join("images/zenml-client.tar"), elsewhere.path().join("client.tar")).unwrap();
    let output = ingest(elsewhere.path(), airdock.data(), &[], &[Path::new("client.tar")]);
    printed(&output, 0);
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn a13_standard_input_is_ingested_here_and_by_the_server() {
    let tar = example_tar();
    let airdock = Airdock::start();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    for data in [airdock.data(), &own] {
        let mut ingest = command(folder.path());
        ingest.args(["ingest", "--progress", "never", "-", "--data"]).arg(data);
        let output = pipe(&mut ingest, &tar);
        printed(&output, 0);
        assert!(stdout(&output).contains(REPORTED), "{}", stdout(&output));
    }
    airdock.client().get(MANIFEST).expect(200);
    Airdock::over(&own).client().get(MANIFEST).expect(200);
}

#[test]
fn json_is_one_event_a_line_and_the_last_is_the_report() {
    let airdock = Airdock::start();
    let own = airdock.directory().join("own");
    for data in [airdock.data(), &own] {
        let output = ingest(airdock.directory(), data, &["--json"], &[&example()]);
        printed(&output, 0);
        assert_eq!(stderr(&output), "");
        let text = stdout(&output);
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events[0]["event"], "started");
        assert!(events.iter().any(|event| event["event"] == "item"));
        let total = events[0]["total_bytes"].as_u64().unwrap();
        let advanced: u64 = events.iter().filter_map(|event| event["bytes"].as_u64()).sum();
        assert_eq!(advanced, total, "every byte is accounted for");
        let last = events.last().unwrap();
        assert_eq!(last["event"], "finished");
        assert_eq!(last["images"].as_array().unwrap().len(), 6);
        assert_eq!(last["wrote"], true);
    }
}

#[test]
fn what_is_refused_is_named_and_the_rest_goes_in() {
    let airdock = Airdock::start();
    let own = airdock.directory().join("own");
    let bundle = torn_bundle(airdock.directory());
    for data in [airdock.data(), &own] {
        let output = ingest(airdock.directory(), data, &[], &[&bundle]);
        printed(&output, 65);
        assert!(stdout(&output).contains("\nrefused: "), "{}", stdout(&output));
        assert!(stdout(&output).contains("zenml-pro-api.tar"), "{}", stdout(&output));
        assert!(stdout(&output).contains(REPORTED), "{}", stdout(&output));
    }
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn strict_takes_all_or_nothing() {
    let airdock = Airdock::start();
    let bundle = torn_bundle(airdock.directory());
    let output = ingest(airdock.directory(), airdock.data(), &["--strict"], &[&bundle]);
    printed(&output, 65);
    assert!(stderr(&output).contains("refused: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("zenml-pro-api.tar"), "{}", stderr(&output));
    airdock.client().get(MANIFEST).expect(404);
    printed(&ingest(airdock.directory(), airdock.data(), &[], &[&bundle]), 65);
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn a_path_that_is_not_there_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), ["ingest", "no-such-bundle"]);
    printed(&output, 1);
    assert!(stderr(&output).contains("cannot read `no-such-bundle`"), "{}", stderr(&output));
}

#[test]
fn a_bundle_that_is_not_there_any_more_keeps_no_server_from_serving() {
    let airdock = Airdock::builder().argument("--bundle").argument("taken-out").start();
    airdock.wait_for_log("the bundle did not go in");
    airdock.wait_for_log("taken-out");
    airdock.client().get("/v2/").expect(200);
}

#[test]
fn an_ingest_whose_command_is_interrupted_stops_and_leaves_nothing() {
    let airdock = Airdock::start();
    let mut child = command(airdock.directory())
        .args(["ingest", "--progress", "never", "-", "--data"])
        .arg(airdock.data())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let tar = example_tar();
    stdin.write_all(&tar[..tar.len() - 2048]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    airdock.client().get(MANIFEST).expect(404);
    // The server is free for the next ingest, which would otherwise wait.
    let output = ingest(airdock.directory(), airdock.data(), &[], &[&example()]);
    printed(&output, 0);
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn an_ingest_whose_command_is_gone_stops_reading() {
    // Far more than is read before even a busy machine notices; it is written only if this test fails.
    const ENOUGH: usize = 2 << 30;
    let airdock = Airdock::start();
    let pipe = airdock.directory().join("bundle.tar");
    testkit::folder::fifo(&pipe);
    let mut child = command(airdock.directory())
        .args(["ingest", "bundle.tar", "--progress", "never", "--data"])
        .arg(airdock.data())
        .spawn()
        .unwrap();
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let mut layer = tar::Header::new_ustar();
    layer.set_path("layer.tar").unwrap();
    layer.set_size(4 << 30);
    layer.set_mode(0o644);
    layer.set_cksum();
    writer.write_all(layer.as_bytes()).unwrap();
    writer.write_all(&[1; 4096]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut written = 0;
    while written < ENOUGH && writer.write_all(&[1; 65536]).is_ok() {
        written += 65536;
    }
    assert!(written < ENOUGH, "the server has read on although the client is gone");
    printed(&ingest(airdock.directory(), airdock.data(), &[], &[&example()]), 0);
}

#[test]
fn d02_an_ingest_of_a_pipe_that_nobody_writes_to_ends_with_its_command() {
    let airdock = Airdock::start();
    testkit::folder::fifo(&airdock.directory().join("bundle.tar"));
    let mut child = command(airdock.directory())
        .args(["ingest", "bundle.tar", "--data"])
        .arg(airdock.data())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 9];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"ingesting");
    child.kill().unwrap();
    child.wait().unwrap();
    // Would wait for the first one for ever.
    printed(&ingest(airdock.directory(), airdock.data(), &[], &[&example()]), 0);
}

#[test]
fn a_server_that_stops_breaks_off_its_ingest_and_the_command_says_so() {
    let mut airdock = Airdock::start();
    let mut child = command(airdock.directory())
        .args(["ingest", "-", "--data"])
        .arg(airdock.data())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&example_tar()[..4096]).unwrap();
    let mut said = child.stderr.take().unwrap();
    let mut first = [0; 9];
    said.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"ingesting");
    airdock.signal("TERM");
    assert_eq!(airdock.wait().code(), Some(0));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(rest.contains("the server ended before the ingest did"), "{rest}");
    Airdock::over(airdock.data()).client().get(MANIFEST).expect(404);
}

#[test]
fn a_stale_socket_from_a_crash_does_not_prevent_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Airdock::over(&data).kill();
    assert!(data.join("control.sock").exists(), "a crash leaves it");
    printed(&ingest(folder.path(), &data, &[], &[&example()]), 0);
    let airdock = Airdock::over(&data);
    airdock.client().get(MANIFEST).expect(200);
    let by_the_server = ingest(folder.path(), &data, &[], &[&example()]);
    printed(&by_the_server, 0);
}

#[test]
fn a_data_folder_too_deep_for_a_socket_address_works_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("d".repeat(100)).join("e".repeat(100));
    let airdock = Airdock::over(&data);
    let output = ingest(folder.path(), &data, &[], &[&example()]);
    printed(&output, 0);
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn d23_a_second_server_is_refused_though_the_lock_file_was_removed() {
    let airdock = Airdock::start();
    push_image(&airdock.client(), "a", "1", &[b"layer"]);
    std::fs::remove_file(airdock.data().join("lock")).unwrap();
    let mut second = command(airdock.directory());
    let output = second.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(airdock.data()).output().unwrap();
    printed(&output, 75);
    assert!(stderr(&output).contains("in use by another airdock process"), "{}", stderr(&output));
    // A command is done by the server, as before.
    let mut command = command(airdock.directory());
    let listed = printed(&command.args(["ls", "--data"]).arg(airdock.data()).output().unwrap(), 0);
    assert!(listed.contains("a:1"), "{listed}");
}

#[test]
fn d23_a_server_that_was_stopped_does_not_hang_a_command() {
    let mut airdock = Airdock::start();
    airdock.signal("STOP");
    for verb in [&["ls"][..], &["releases"]] {
        let mut command = command(airdock.directory());
        let output = command.args(verb).arg("--data").arg(airdock.data()).output().unwrap();
        printed(&output, 75);
        let said = stderr(&output);
        assert!(said.contains("no server answers") && said.contains("did not answer within"), "{said}");
    }
    airdock.signal("CONT");
    let mut command = command(airdock.directory());
    printed(&command.args(["ls", "--data"]).arg(airdock.data()).output().unwrap(), 0);
    assert!(airdock.is_running());
}

#[test]
fn a_folder_locked_by_a_process_that_does_not_answer_ends_with_75() {
    let airdock = Airdock::start();
    std::fs::remove_file(airdock.data().join("control.sock")).unwrap();
    for verb in [&["ingest", "."][..], &["rebuild"]] {
        let mut command = command(airdock.directory());
        let output = command.args(verb).arg("--data").arg(airdock.data()).output().unwrap();
        printed(&output, 75);
        assert!(stderr(&output).contains("no server answers for the data folder"), "{}", stderr(&output));
    }
}

#[test]
fn rebuild_counts_what_is_there_here_and_by_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    printed(&ingest(folder.path(), &data, &[], &[&example()]), 0);
    let here = run(folder.path(), ["rebuild", "--data", "data"]);
    printed(&here, 0);
    assert!(stdout(&here).starts_with("rebuilt from disk: "), "{}", stdout(&here));
    assert!(!stdout(&here).contains(" 0 tags"), "{}", stdout(&here));
    let airdock = Airdock::over(&data);
    let there = run(folder.path(), ["rebuild", "--data", "data"]);
    printed(&there, 0);
    assert_eq!(stdout(&there), stdout(&here));
    airdock.client().get(MANIFEST).expect(200);
}

#[test]
fn a_bundle_given_to_serve_is_reported_and_its_pull_commands_printed() {
    let airdock = Airdock::builder().argument("--bundle").argument(example()).start();
    let host = airdock.address();
    airdock.wait_for_output("6 images and charts went in");
    airdock.wait_for_output(&format!("  docker pull {host}/zenml/zenml"));
    airdock.wait_for_output(&format!("  helm pull --plain-http oci://{host}/charts/zenml --version 0.93.2"));
    airdock.wait_for_output(&format!("  helm repo add airdock http://{host}/charts"));
    airdock.wait_for_output(&format!("  docker pull {host}/715803424590.dkr.ecr."));
    airdock.wait_for_output(&format!("  ctr images pull --plain-http {host}/zenml/"));
    // Each printed name is served.
    for line in airdock.output().lines().filter(|line| line.starts_with("  docker pull ")) {
        let (name, tag) = line.rsplit_once(':').unwrap();
        let name = name.split_once(&format!("{host}/")).unwrap().1;
        airdock.client().get(&format!("/v2/{name}/manifests/{tag}")).expect(200);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--bundle"])
        .arg(example())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut first).unwrap();
    drop(pipe);
    let socket = folder.path().join("airdock-data/control.sock");
    let end = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(10));
    }
    // This waits for the bundle's ingest to end, so the server has printed the table by then.
    let output = ingest(folder.path(), &folder.path().join("airdock-data"), &[], &[&example()]);
    printed(&output, 0);
    assert!(child.try_wait().unwrap().is_none(), "still serving");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn commands_at_the_same_time_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    printed(&ingest(folder.path(), &data, &[], &[&example()]), 0);
    let start = |_| {
        let mut command = command(folder.path());
        command.args(["rebuild", "--data", "data"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..3).map(start).collect();
    for child in children {
        printed(&child.wait_with_output().unwrap(), 0);
    }
}
