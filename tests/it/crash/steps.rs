//! An ingest killed, or cut off by a power cut, at each of its changes to a file in turn (A15).
//!
//! The changes are counted within the program (`testkit::changes`), so that no moment is left to chance.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::disk::Disk;
use super::random::Random;
use super::verify::verify_blobs;
use testkit::bundle::save;
use testkit::changes::Changes;
use testkit::content::noise;
use testkit::folder::in_memory;
use testkit::image::layer;
use testkit::process;

/// The image of both bundles, which is published under two names.
const IMAGE: &str = "zenmldocker/zenml";

/// Every tag with its digest.
type Table = BTreeSet<String>;

/// A data folder with one ingested bundle, a second bundle, and the library that kills the ingest.
struct Site {
    folder: tempfile::TempDir,
    changes: Changes,
    disk: Option<Disk>,
    before: Table,
    after: Table,
}

impl Site {
    fn new(disk: Option<Disk>) -> Self {
        let folder = in_memory();
        let changes = Changes::make(folder.path());
        let mut site = Self { folder, changes, disk, before: Table::new(), after: Table::new() };
        for version in 0..2 {
            let tags = [format!("{IMAGE}:v{version}"), format!("{IMAGE}:current")];
            let file = site.folder.path().join(format!("{version}.tar"));
            save(&file, &tags, &[&layer("content", &noise(3000 + version))]);
            succeeds(&mut site.ingest(version, &site.path("base")));
            (site.before, site.after) = (std::mem::take(&mut site.after), site.table(&site.path("base")));
            if version == 0 {
                succeeds(Command::new("cp").args(["-a", "base", "first"]).current_dir(site.folder.path()));
            }
        }
        assert_eq!((site.before.len(), site.after.len()), (4, 6));
        site
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn command(&self, arguments: &[&str], data: &Path) -> Command {
        let mut command = process::command(self.folder.path());
        command.args(arguments).arg("--data").arg(data).stdin(Stdio::null());
        command
    }

    fn ingest(&self, version: usize, data: &Path) -> Command {
        self.command(&["ingest", "--progress", "never", &format!("{version}.tar")], data)
    }

    fn table(&self, data: &Path) -> Table {
        let rows = succeeds(&mut self.command(&["ls", "--json"], data));
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(row.get("problem").is_none_or(serde_json::Value::is_null), "{row}");
            // A manifest whose tags were not reached yet stays until the ingest is run again.
            let tag = row["tag"].as_str()?;
            Some(format!("{}:{tag} {}", row["repository"], row["digest"]))
        };
        rows.lines().filter_map(row).collect()
    }

    /// Ends the ingest of the second bundle at its change number `step`. Checks that this leaves the tags from before or
    /// after, all of them complete, no unreferenced content, and a folder in which the ingest then succeeds. Returns whether
    /// it got that far.
    fn end_at(&mut self, step: usize) -> bool {
        let data = self.disk.as_ref().map_or(self.folder.path(), Disk::path).join("data");
        let _ = fs::remove_dir_all(&data);
        succeeds(Command::new("cp").arg("-a").arg(self.path("first")).arg(&data));
        if self.disk.is_some() {
            succeeds(Command::new("sync").arg("--file-system").arg(&data));
        }
        let mut ingest = self.ingest(1, &data);
        self.changes.kill_at(&mut ingest, step);
        let output = ingest.output().unwrap();
        if output.status.success() {
            return false;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "step {step}: it was ended by {}: {said}", output.status);
        if let Some(disk) = &mut self.disk {
            disk.cut();
            disk.recover();
        }
        succeeds(&mut self.command(&["verify"], &data));
        for staging in ["incoming", "uploads", "releases/pending"] {
            let left = fs::read_dir(data.join(staging)).unwrap().count();
            assert_eq!(left, 0, "step {step}: `{staging}` is not empty");
        }
        let seen = self.table(&data);
        assert!(seen == self.before || seen == self.after, "step {step}: {seen:?}");
        succeeds(&mut self.ingest(1, &data));
        assert_eq!(self.table(&data), self.after, "step {step}");
        succeeds(&mut self.command(&["verify"], &data));
        assert_eq!(verify_blobs(&data), Vec::<String>::new(), "step {step}");
        true
    }
}

/// Runs a command that must succeed; returns what it printed.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a15_an_ingest_killed_at_any_change_to_a_file_leaves_a_clean_store_and_goes_in_when_run_again() {
    let mut site = Site::new(None);
    let end = (1..).find(|step| !site.end_at(*step)).unwrap();
    println!("it makes {} changes", end - 1);
    assert!(end > 50, "it made {end} changes: they are not counted");
}

#[test]
fn a15_a_power_cut_at_changes_all_along_an_ingest_leaves_a_clean_store_and_it_goes_in_when_run_again() {
    /// A power cut is slow: only every n-th change, starting at a different one each time.
    const STRIDE: usize = 7;
    let Some(disk) = Disk::new(128) else { return };
    let first = 1 + Random::seeded("power cut at a step").below(STRIDE);
    let mut site = Site::new(Some(disk));
    let end = (first..).step_by(STRIDE).find(|step| !site.end_at(*step)).unwrap();
    assert!(end > 50, "it made {end} changes: they are not counted");
}
