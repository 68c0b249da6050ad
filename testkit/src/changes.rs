//! What a program changes in files, seen from outside it: a small library that is loaded into it before the C library. What
//! a program asks of the system without that library is not seen; the standard library asks through it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library, made by the C compiler that the build needs anyway.
pub struct Changes {
    library: PathBuf,
    list: PathBuf,
}

impl Changes {
    /// Makes it in a folder of the test's.
    pub fn make(folder: &Path) -> Self {
        let source = folder.join("changes.c");
        let made = Self { library: folder.join("changes.so"), list: folder.join("changes") };
        fs::write(&source, include_str!("changes.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&made.library).arg(&source).arg("-ldl");
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        made
    }

    /// Kills the program, as `kill -9` does, at its change of this number; the first is 1.
    pub fn kill_at(&self, command: &mut Command, change: usize) {
        command.env("LD_PRELOAD", &self.library).env("KILL_AT", change.to_string());
    }

    /// Runs the program to its end; every path that it changed.
    pub fn of(&self, command: &mut Command) -> (Output, BTreeSet<PathBuf>) {
        let _ = fs::remove_file(&self.list);
        let output = command.env("LD_PRELOAD", &self.library).env("CHANGES", &self.list).output().unwrap();
        let list = fs::read_to_string(&self.list).unwrap();
        (output, list.lines().map(PathBuf::from).collect())
    }

    /// Runs the program to its end; every sync of a file or folder that it asked for.
    pub fn syncs_of(&self, command: &mut Command) -> (Output, Syncs) {
        let _ = fs::remove_file(&self.list);
        let output = command.env("LD_PRELOAD", &self.library).env("SYNCS", &self.list).output().unwrap();
        let mut syncs = Syncs::default();
        for line in fs::read_to_string(&self.list).unwrap().lines() {
            let (kind, path) = line.split_once(' ').unwrap();
            let counts = if kind == "folder" { &mut syncs.folders } else { &mut syncs.files };
            *counts.entry(path.into()).or_default() += 1;
        }
        (output, syncs)
    }
}

/// How often a program has asked for a sync (`fsync`, `fdatasync`), by what was synced.
#[derive(Debug, Default)]
pub struct Syncs {
    /// Folders.
    pub folders: BTreeMap<PathBuf, usize>,
    /// Files.
    pub files: BTreeMap<PathBuf, usize>,
}
