//! A disk that becomes full at any step, or turns read-only: the request fails with a clear error, stored content is still
//! served, and work continues without a restart once there is space (A14, S05, S08, S09).

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bundle::Bundles;
use super::disk::Disk;
use super::ledger::OpenUpload;
use super::pusher::{Gone, Pusher, append, connect, finish};
use super::random::Random;
use super::verify::{self, After, get, verify};
use testkit::client::{Connection, Request, Response};
use testkit::content::digest;
use testkit::manifest::{MANIFEST, image};
use testkit::process::{self, Airdock, PATIENCE};

const MIB: u64 = 1 << 20;
const KEEP_FREE: &str = "AIRDOCK__INGEST__LIMITS__KEEP_FREE";

/// A server on a disk of its own, with content that must survive, and free space to fill.
struct Site {
    airdock: Airdock,
    pushers: Vec<Pusher>,
    bundles: Bundles,
    folder: tempfile::TempDir,
    random: Random,
    disk: Disk,
}

impl Site {
    fn new(test: &str, disk: Disk) -> Self {
        let mut random = Random::seeded(test);
        let mut pushers = Pusher::several(2, &mut random);
        // The disk is to become full while writing; `room.rs` tests the check before writing.
        let airdock = Airdock::builder().data(disk.path().join("data")).variable(KEEP_FREE, "0B").start();
        for pusher in &mut pushers {
            pusher.work_for(airdock.address(), 30);
            pusher.ledger.uploads.clear();
        }
        let folder = tempfile::tempdir().unwrap();
        Self { airdock, pushers, bundles: Bundles::default(), folder, random, disk }
    }

    fn address(&self) -> SocketAddr {
        self.airdock.address()
    }

    /// Checks that everything acknowledged is served.
    fn check(&mut self) {
        verify(&mut self.pushers, self.airdock.address(), &self.disk.path().join("data"), After::PowerCut);
        // What a refused ingest had written is removed in the background.
        let incoming = || fs::read_dir(self.disk.path().join("data/incoming")).unwrap().count();
        let patience = Instant::now() + PATIENCE;
        while incoming() > 0 {
            assert!(Instant::now() < patience, "{} files that nothing writes any more", incoming());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ingests the next version of the bundle.
    fn ingest(&mut self, layer: usize) -> Output {
        let bundle = self.bundles.make(&mut self.random, self.folder.path(), layer);
        let mut ingest = process::command(self.folder.path());
        ingest.env(KEEP_FREE, "0B");
        ingest.args(["ingest", "--progress", "never", "--data"]).arg(self.disk.path().join("data")).arg(bundle);
        ingest.output().unwrap()
    }
}

#[test]
fn a14_an_ingest_that_fills_the_disk_at_any_mib_says_so_and_changes_nothing() {
    let Some(disk) = Disk::new(160) else { return };
    let mut site = Site::new("full while ingesting", disk);
    assert!(site.ingest(100_000).status.success());
    site.bundles.acknowledge();
    let mut refused = 0;
    let mut succeeded = 0;
    for free in 0..=10 {
        let ballast = site.disk.fill(free * MIB);
        // Four layers that are not stored yet: about six MiB.
        let output = site.ingest(1_500_000);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            succeeded += 1;
            site.bundles.acknowledge();
        } else {
            refused += 1;
            assert!(said.contains("No space left on device"), "with {free} MiB: {said}");
        }
        site.bundles.settle(site.airdock.address());
        site.check();
        site.disk.give_back(ballast);
    }
    assert!(refused >= 5 && succeeded >= 1, "{refused} refused, {succeeded} not");
    let output = site.ingest(1_500_000);
    assert!(output.status.success(), "with room again: {}", String::from_utf8_lossy(&output.stderr));
    site.bundles.acknowledge();
    site.bundles.settle(site.airdock.address());
    // The same without a server.
    site.airdock.signal("KILL");
    site.airdock.wait();
    let ballast = site.disk.fill(2 * MIB);
    let output = site.ingest(1_500_000);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    site.disk.give_back(ballast);
    site.airdock = Airdock::over(&site.disk.path().join("data"));
    site.bundles.settle(site.airdock.address());
    site.check();
}

#[test]
fn s05_an_upload_that_fills_the_disk_at_any_mib_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new(64) else { return };
    let mut site = Site::new("full while uploading", disk);
    for free in 0..=5 {
        let content: Arc<[u8]> = site.random.bytes(6 << 20).into();
        let mut connection = connect(site.address()).unwrap();
        let started = connection.send(&Request::new("POST", "/v2/full/blobs/uploads/")).expect(202);
        let location = started.header("location").unwrap().to_owned();
        let repository = "full".to_owned();
        let mut upload = OpenUpload { repository, location, content, size: 0, finishing: false };
        let ballast = site.disk.fill(free * MIB);
        let gone = loop {
            assert!(upload.size < upload.content.len(), "6 MiB do not fit into {free}");
            match append(&mut connection, &mut upload, 1 << 20) {
                Ok(()) => {}
                Err(gone) => break gone,
            }
        };
        assert!(matches!(gone, Gone::Failed { status: 507, .. }), "with {free} MiB: {gone:?}");
        site.check();

        // A part of a refused chunk may be stored; the client asks for the upload's size and resumes there.
        site.disk.give_back(ballast);
        let mut connection = connect(site.address()).unwrap();
        let status = connection.send(&Request::new("GET", &upload.location)).expect(204);
        let last: usize = status.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
        let size = if last == 0 { 0 } else { last + 1 };
        assert!((upload.size..upload.size + (1 << 20)).contains(&size), "{size}, acknowledged {}", upload.size);
        upload.size = size;
        finish(&mut connection, &mut upload).unwrap();
        let path = format!("full/blobs/{}", digest(&upload.content));
        let served = get(&mut connection, &path).unwrap();
        assert_eq!(served.as_deref(), Some(&*upload.content), "with {free} MiB");
        // The next round needs the space.
        connection.send(&Request::new("DELETE", &format!("/v2/{path}"))).expect(202);
        fs::remove_file(site.disk.path().join("data/blobs/sha256").join(&path[path.len() - 64..])).unwrap();
    }
}

#[test]
fn s05_tags_of_which_the_disk_takes_only_some_are_listed_as_they_are_served() {
    let Some(disk) = Disk::new(48) else { return };
    let mut site = Site::new("full between tags", disk);
    let mut connection = connect(site.address()).unwrap();
    push_config(&mut connection);
    let mut in_part = 0;
    for blocks in 0..=16 {
        let tags: Vec<_> = (0..8).map(|tag| format!("{blocks}-{tag}")).collect();
        let manifest = manifest(blocks);
        let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let target = format!("{}?{}", digest(&manifest), query.join("&"));
        let ballast = site.disk.fill(blocks as u64 * 4096);
        let answer = push(&mut connection, &manifest, &target);
        assert!(matches!(answer.status, 201 | 507), "{} {}", answer.status, answer.text());
        // None of these tags was acknowledged: each may be there or not, but lists and pulls must agree.
        let mut served = |tag: &String| get(&mut connection, &format!("full/manifests/{tag}")).unwrap().is_some();
        let served: BTreeSet<_> = tags.iter().filter(|tag| served(tag)).cloned().collect();
        let listed = verify::tags(&mut connection, "full").unwrap();
        let listed: BTreeSet<_> = listed.into_iter().filter(|tag| tags.contains(tag)).collect();
        assert_eq!(listed, served, "with {blocks} blocks");
        in_part += usize::from(answer.status == 507 && !served.is_empty());
        site.disk.give_back(ballast);
    }
    assert!(in_part > 0, "no push met the end of the disk between two tags");
    site.check();
}

fn push_config(connection: &mut Connection) {
    let upload = format!("/v2/full/blobs/uploads/?digest={}", digest(b"{}"));
    connection.send(&Request::new("POST", &upload).body("{}")).expect(201);
}

/// A manifest of a few disk blocks, so that every step of its push can hit the full disk.
fn manifest(number: usize) -> Arc<[u8]> {
    let padding = "x".repeat(10_000);
    image(&[], &format!(r#","annotations":{{"number":"{number}","padding":"{padding}"}}"#)).into_bytes().into()
}

fn push(connection: &mut Connection, manifest: &[u8], reference: &str) -> Response {
    let request = Request::new("PUT", &format!("/v2/full/manifests/{reference}"));
    connection.send(&request.header("Content-Type", MANIFEST).body(manifest))
}

#[test]
fn s05_a_manifest_that_does_not_fit_on_the_disk_leaves_its_tag_where_it_was() {
    let Some(disk) = Disk::new(48) else { return };
    let mut site = Site::new("full while pushing manifests", disk);
    let mut connection = connect(site.address()).unwrap();
    push_config(&mut connection);
    let old = manifest(0);
    push(&mut connection, &old, "1").expect(201);
    push(&mut connection, &old, "2").expect(201);
    let mut now = old.clone();
    let (mut refused, mut taken) = (0, 0);
    for number in 1..=24 {
        let ballast = site.disk.fill(number as u64 / 2 * 4096);
        let new = manifest(number);
        let answer = push(&mut connection, &new, "1");
        match answer.status {
            201 => (taken, now) = (taken + 1, new),
            507 => {
                refused += 1;
                assert!(answer.text().contains("disk is full"), "{}", answer.text());
            }
            status => panic!("{status} {}", answer.text()),
        }
        assert_eq!(get(&mut connection, "full/manifests/1").unwrap().as_ref(), Some(&now), "step {number}");
        assert_eq!(get(&mut connection, "full/manifests/2").unwrap().as_ref(), Some(&old), "step {number}");
        site.check();
        site.disk.give_back(ballast);
    }
    assert!(refused >= 3 && taken >= 3, "{refused} refused, {taken} taken");
    // Deleting needs no space.
    let ballast = site.disk.fill(0);
    connection.send(&Request::new("DELETE", "/v2/full/manifests/2")).expect(202);
    assert_eq!(get(&mut connection, "full/manifests/2").unwrap(), None);
    site.disk.give_back(ballast);
    push(&mut connection, &manifest(99), "1").expect(201);
    // And a restart finds the same.
    site.airdock.kill();
    site.airdock = Airdock::over(&site.disk.path().join("data"));
    let mut connection = connect(site.airdock.address()).unwrap();
    assert_eq!(get(&mut connection, "full/manifests/1").unwrap(), Some(manifest(99)));
    assert_eq!(get(&mut connection, "full/manifests/2").unwrap(), None);
    verify(&mut site.pushers, site.airdock.address(), &site.disk.path().join("data"), After::PowerCut);
}

#[test]
fn s05_a_server_started_on_a_full_disk_serves_what_is_there() {
    let Some(disk) = Disk::new(48) else { return };
    let mut site = Site::new("started on a full disk", disk);
    // Its metadata must be rebuilt, and there is no space for it.
    site.airdock.kill();
    fs::remove_dir_all(site.disk.path().join("data/metadata")).unwrap();
    let ballast = site.disk.fill(0);
    site.airdock = Airdock::over(&site.disk.path().join("data"));
    let address = site.airdock.address();
    verify(&mut site.pushers, address, &site.disk.path().join("data"), After::Fault);
    let answer = site.airdock.client().send(&Request::new("POST", "/v2/full/blobs/uploads/").body("x"));
    assert!(matches!(answer.status, 202 | 507), "{}", answer.text());
    site.disk.give_back(ballast);
    for pusher in &mut site.pushers {
        pusher.work_for(address, 20);
    }
    verify(&mut site.pushers, address, &site.disk.path().join("data"), After::Kill);
    assert!(site.airdock.stop().success());
    site.airdock = Airdock::over(&site.disk.path().join("data"));
    verify(&mut site.pushers, site.airdock.address(), &site.disk.path().join("data"), After::Kill);
}

#[test]
fn s09_a_disk_without_inodes_is_a_full_disk() {
    let Some(disk) = Disk::with(48, &["-N", "2048"]) else { return };
    let mut site = Site::new("no inodes", disk);
    let fillers = site.disk.path().join("fillers");
    fs::create_dir(&fillers).unwrap();
    let mut number = 0;
    while fs::write(fillers.join(number.to_string()), "").is_ok() {
        number += 1;
    }
    let mut connection = connect(site.address()).unwrap();
    // The upload gets its file with its first byte.
    let begun = connection.send(&Request::new("POST", "/v2/full/blobs/uploads/")).expect(202);
    let location = begun.header("location").unwrap().to_owned();
    let answer = connection.send(&Request::new("PATCH", &location).body("x"));
    assert_eq!(answer.status, 507, "{}", answer.text());
    site.check();
    fs::remove_dir_all(&fillers).unwrap();
    let address = site.address();
    site.pushers[0].work_for(address, 20);
    site.check();
}

#[test]
fn s08_a_disk_that_turns_read_only_under_pushes_is_still_read() {
    let Some(disk) = Disk::new(128) else { return };
    let mut site = Site::new("read-only", disk);
    let address = site.address();
    std::thread::scope(|scope| {
        let working: Vec<_> = site.pushers.iter_mut().map(|pusher| scope.spawn(move || pusher.work(address))).collect();
        std::thread::sleep(Duration::from_millis(150));
        site.disk.turn_read_only();
        for pusher in working {
            let gone = pusher.join().unwrap();
            assert!(matches!(gone, Gone::Failed { status: 500..=599, .. }), "{gone:?}");
        }
    });
    verify(&mut site.pushers, address, &site.disk.path().join("data"), After::Fault);
    // Once it is writable again, the same is served: the errors leave nothing behind in the folder.
    site.airdock.kill();
    site.disk.recover();
    site.airdock = Airdock::over(&site.disk.path().join("data"));
    let address = site.airdock.address();
    verify(&mut site.pushers, address, &site.disk.path().join("data"), After::PowerCut);
    site.pushers[0].work_for(address, 20);
    site.check();
}
