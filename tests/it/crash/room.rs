//! A disk with too little space for a bundle: this is reported before anything is written, with figures to act on, and
//! nothing that fits is refused (A13, A14).

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Instant;

use super::bundle::Bundles;
use super::disk::Disk;
use super::random::Random;
use testkit::process::{self, Airdock, PATIENCE, stderr};

const MIB: u64 = 1 << 20;
const KEEP_FREE: u64 = 8 * MIB;
const LAYER: usize = 3_000_000;
/// The size of four layers, each a tar of one file: header, content in whole blocks, end marker.
const LAYERS: u64 = 4 * (512 + (LAYER as u64).next_multiple_of(512) + 1024);

/// A data folder on a small disk, and a bundle for it.
struct Scene {
    disk: Disk,
    folder: tempfile::TempDir,
    bundle: std::path::PathBuf,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        let disk = Disk::new(96)?;
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundles::default().make(&mut Random::seeded(test), folder.path(), LAYER);
        // The folder is created before the disk is filled.
        let empty = folder.path().join("empty.tar");
        fs::write(&empty, [0; 1024]).unwrap();
        let scene = Self { disk, folder, bundle };
        assert_eq!(scene.ingest(&empty).status.code(), Some(65));
        Some(scene)
    }

    fn command(&self) -> std::process::Command {
        let mut ingest = process::command(self.folder.path());
        ingest.env("AIRDOCK__INGEST__LIMITS__KEEP_FREE", "8MiB");
        ingest.args(["ingest", "--progress", "never", "--data"]).arg(self.disk.path().join("data"));
        ingest
    }

    fn ingest(&self, what: &Path) -> Output {
        self.command().arg(what).stdin(Stdio::null()).output().unwrap()
    }

    fn blobs(&self) -> BTreeSet<std::ffi::OsString> {
        let blobs = fs::read_dir(self.disk.path().join("data/blobs/sha256")).unwrap();
        blobs.map(|blob| blob.unwrap().file_name()).collect()
    }
}

/// The number of MiB in front of `what`.
fn mib(told: &str, what: &str) -> f64 {
    let before = told.split(what).next().unwrap().trim_end();
    let number = before.strip_suffix(" MiB").and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no MiB before `{what}`: {told}"))
}

fn check_refusal(scene: &Scene, output: &Output) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("the disk of `{}`", scene.disk.path().join("data").display())), "{told}");
    let in_mib = |bytes: u64| bytes as f64 / MIB as f64;
    let near = |said: f64, is: f64| assert!((said - is).abs() < 0.3, "{said} for {is}: {told}");
    near(mib(&told, " needed"), in_mib(LAYERS));
    near(mib(&told, " to be kept free"), in_mib(KEEP_FREE));
    near(mib(&told, " are free"), in_mib(scene.disk.free()));
    near(mib(&told, " are missing"), in_mib(LAYERS + KEEP_FREE - scene.disk.free()));
}

#[test]
fn a14_what_cannot_fit_is_refused_before_anything_is_written_and_goes_in_once_there_is_room() {
    let Some(scene) = Scene::new("no room") else { return };
    let before = scene.blobs();
    let ballast = scene.disk.fill(KEEP_FREE + 7 * MIB);
    check_refusal(&scene, &scene.ingest(&scene.bundle));
    assert_eq!(scene.blobs(), before, "something was written");
    // The same through a server, which keeps running.
    let data = scene.disk.path().join("data");
    let airdock = Airdock::builder().data(&data).variable("AIRDOCK__INGEST__LIMITS__KEEP_FREE", "8MiB").start();
    // The list comes from the index, whose file is on that disk, too.
    airdock.client().get("/v2/_catalog").expect(200);
    check_refusal(&scene, &scene.ingest(&scene.bundle));
    assert_eq!(scene.blobs(), before, "something was written");
    scene.disk.give_back(ballast);
    let output = scene.ingest(&scene.bundle);
    assert!(output.status.success(), "with room: {}", stderr(&output));
    assert!(airdock.stop().success());
}

#[test]
fn a14_what_fits_exactly_beside_what_is_kept_free_goes_in_and_what_is_there_needs_nothing() {
    let Some(scene) = Scene::new("exactly") else { return };
    // A little for the configs, and for what a start writes before the check.
    let ballast = scene.disk.fill(LAYERS + KEEP_FREE + 2 * MIB);
    let size: u64 =
        fs::read_dir(scene.bundle.join("images")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size > scene.disk.free() - KEEP_FREE, "the bundle's own size says nothing of what fits");
    let output = scene.ingest(&scene.bundle);
    assert!(output.status.success(), "{}", stderr(&output));
    scene.disk.give_back(ballast);
    scene.disk.fill(2 * MIB);
    let output = scene.ingest(&scene.bundle);
    assert!(output.status.success(), "again: {}", stderr(&output));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("already there") && !report.contains("new"), "{report}");
}

#[test]
fn a13_a_stream_that_declares_more_than_there_is_room_for_is_refused_before_it_comes() {
    let Some(scene) = Scene::new("declared") else { return };
    let free = scene.disk.free();
    let mut ingest = scene.command().arg("-").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stream = ingest.stdin.take().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("blobs/sha256/{}", "a".repeat(64))).unwrap();
    header.set_size(200 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    stream.write_all(header.as_bytes()).unwrap();
    // Sends a part, if it is still read. The rest never comes, and the pipe stays open.
    let _ = stream.write_all(&[0; 64 * 1024]);
    let patience = Instant::now() + PATIENCE;
    while ingest.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "it waits for what cannot fit");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(stream);
    let output = ingest.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("aaaa` does not fit") && told.contains("200.0 GiB needed"), "{told}");
    assert!(scene.disk.free() + MIB > free, "room was taken for what was declared");
}
