//! The background verification pass while clients pull.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{blob, get, mounting};
use testkit::content::{digest, noise};
use testkit::process::{Airdock, PATIENCE};

/// More bytes than the pass can read during the test.
const HOLE: u64 = 64 << 30;

fn entry(name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// An archive as `docker save` writes it, with a layer and a sparse hole.
fn save_with_a_hole(folder: &Path, layer: &[u8]) -> PathBuf {
    let path = folder.join("app.tar");
    let mut file = File::create(&path).unwrap();
    file.write_all(entry("0.tar", layer.len() as u64).as_bytes()).unwrap();
    file.write_all(layer).unwrap();
    file.write_all(&vec![0; layer.len().next_multiple_of(512) - layer.len()]).unwrap();
    file.write_all(entry("1.tar", HOLE).as_bytes()).unwrap();
    let behind = file.metadata().unwrap().len() + HOLE;
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [digest(layer), digest("a hole that is never read to its end")] },
    });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": ["app:v1"], "Layers": ["0.tar", "1.tar"] }]);
    let mut rest = tar::Builder::new(Vec::new());
    for (name, content) in [("config.json", config.to_string()), ("manifest.json", manifest.to_string())] {
        rest.append(&entry(name, content.len() as u64), content.as_bytes()).unwrap();
    }
    file.write_all_at(&rest.into_inner().unwrap(), behind).unwrap();
    path
}

/// The `/proc` folder of the pass's thread, after checking its priority.
fn task_of_the_pass(airdock: &Airdock) -> PathBuf {
    let until = Instant::now() + PATIENCE;
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", airdock.id())).unwrap();
        for task in tasks.map(|task| task.unwrap().path()) {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
            let Some((_, fields)) = stat.split_once("(medium check) ") else { continue };
            // The 19th field as proc(5) counts them; the name is the second.
            if fields.split(' ').nth(19 - 3) == Some("19") {
                return task;
            }
        }
        assert!(Instant::now() < until, "no thread that reads the medium has the lowest priority");
        std::thread::yield_now();
    }
}

/// How many bytes a thread has read.
fn read_by(task: &Path) -> u64 {
    let told = std::fs::read_to_string(task.join("io")).unwrap();
    told.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn the_pass_gives_way_to_what_is_sent_from_its_file_and_has_the_lowest_priority() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(20_000_000);
    let airdock = mounting(&save_with_a_hole(folder.path(), &layer)).start();
    // This pull, or the pass, has verified it by now.
    assert!(airdock.client().get(&blob(&layer)).expect(200).body == layer);
    let mut connection = airdock.client().connect();
    connection.write(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", blob(&layer)).as_bytes()).unwrap();
    let (status, headers) = connection.read_head().unwrap();
    assert_eq!(status, 200);
    assert!(headers.iter().any(|(name, _)| name == "accept-ranges"), "it is not sent as what is verified: {headers:?}");
    // The client stops reading, so the pass reads no more than 1 MiB per second.
    let (task, began) = (task_of_the_pass(&airdock), Instant::now());
    let before = read_by(&task);
    std::thread::sleep(Duration::from_secs(3));
    let (read, seconds) = (read_by(&task) - before, began.elapsed().as_secs());
    assert!(read >> 20 <= seconds + 2, "it read {read} bytes beside an answer, in {seconds} s");
    let ranged = airdock.client().send(&get(&blob(&layer)).header("Range", "bytes=7-8")).expect(206);
    assert!(ranged.body == layer[7..9]);
    drop(connection);
}
