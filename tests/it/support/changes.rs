//! What a program changes in files, seen from outside it: a small library that is loaded into it before the C library. What
//! a program asks of the system without that library is not seen; the standard library asks through it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, made by the C compiler that the build needs anyway.
pub(crate) struct Changes {
    library: PathBuf,
    list: PathBuf,
}

impl Changes {
    /// Makes it in a folder of the test's.
    pub(crate) fn make(folder: &Path) -> Self {
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
    pub(crate) fn kill_at(&self, command: &mut Command, change: usize) {
        command.env("LD_PRELOAD", &self.library).env("KILL_AT", change.to_string());
    }

    /// Runs the program to its end; every path that it changed.
    pub(crate) fn of(&self, command: &mut Command) -> (std::process::Output, BTreeSet<PathBuf>) {
        let _ = fs::remove_file(&self.list);
        let output = command.env("LD_PRELOAD", &self.library).env("CHANGES", &self.list).output().unwrap();
        let list = fs::read_to_string(&self.list).unwrap();
        (output, list.lines().map(PathBuf::from).collect())
    }
}
