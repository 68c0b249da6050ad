//! A disk of our own whose power can be cut: an ext4 file system on a loop device over a file in memory.
//!
//! The power cut is the file system's own shutdown (`FS_IOC_SHUTDOWN`, by `xfs_io`): unsynced data and the journal's open
//! transaction are lost, and further I/O fails with EIO. Mounting again replays the journal, as after a real power cut.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// If this variable is set, tests that need a disk of their own are skipped.
const SKIP: &str = "AIRDOCK_SKIP_POWER_CUTS";

/// A mounted disk. Unmounted, detached and deleted when dropped.
pub(super) struct Disk {
    // The mounts to undo at the end, inner one first.
    memory: Mount,
    disk: Option<Mount>,
    options: String,
    _folder: TempDir,
}

struct Mount(PathBuf);

impl Disk {
    /// An empty disk of `mib` MiB, or `None` if these tests are skipped. Fails if a disk cannot be made: a test without a
    /// power cut proves nothing.
    pub(super) fn new(mib: u64) -> Option<Self> {
        Self::with(mib, &[])
    }

    /// As [`Disk::new`], with more arguments for `mkfs.ext4`.
    pub(super) fn with(mib: u64, arguments: &[&str]) -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            println!("left out, because {SKIP} is set");
            return None;
        }
        assert!(
            rustix::process::geteuid().is_root() && Path::new("/dev/loop-control").exists(),
            "this test makes disks of its own and cuts their power: it needs root and loop devices; \
             set {SKIP}=1 to leave such tests out"
        );
        let folder = tempfile::tempdir().unwrap();
        let (memory, disk) = (folder.path().join("memory"), folder.path().join("disk"));
        std::fs::create_dir(&memory).unwrap();
        std::fs::create_dir(&disk).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={}m", mib + 8), "airdock-test", text(&memory)]);
        let memory = Mount(memory);
        let mut made = Self { memory, disk: None, options: "loop,errors=remount-ro".into(), _folder: folder };
        let image = made.image();
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &[&["-q", "-F", "-m", "0"], arguments, &[text(&image)]].concat());
        made.mount(disk);
        Some(made)
    }

    fn image(&self) -> PathBuf {
        self.memory.0.join("image")
    }

    fn mount(&mut self, at: PathBuf) {
        run("mount", &["-o", &self.options, text(&self.image()), text(&at)]);
        self.disk = Some(Mount(at));
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        &self.disk.as_ref().expect("mounted").0
    }

    /// Cuts the power. From now on all I/O on the disk fails.
    pub(super) fn cut(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", text(self.path())]);
    }

    /// Restores the power. No process may have the disk open.
    pub(super) fn recover(&mut self) {
        let at = self.path().to_owned();
        drop(self.disk.take());
        self.mount(at);
    }

    /// Makes the file system detect an error in itself and turn read-only, as on a failing disk.
    pub(super) fn turn_read_only(&self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let device = mounts.lines().find(|line| line.split(' ').nth(1) == Some(text(self.path()))).unwrap();
        let device = device.split(' ').next().unwrap().rsplit('/').next().unwrap();
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test's").unwrap();
    }

    /// Remounts it read-only, as a medium is.
    pub(super) fn remount_read_only(&self) {
        run("mount", &["-o", "remount,ro", text(self.path())]);
    }

    /// The free space in bytes.
    pub(super) fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Fills the disk until only about `free` bytes are left. [`Disk::give_back`] frees the space again.
    pub(super) fn fill(&self, free: u64) -> PathBuf {
        let ballast = self.path().join("ballast");
        let file = std::fs::File::create(&ballast).unwrap();
        let (mut size, mut piece) = (0, self.free().saturating_sub(free));
        // The file system reserves some blocks and does not report how many.
        while piece >= 4096 && self.free() > free {
            piece = piece.min(self.free() - free);
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), size, piece) {
                Ok(()) => size += piece,
                Err(_) => piece /= 2,
            }
        }
        ballast
    }

    /// Frees the space again. Freed blocks are usable only after the journal's commit: until then some operations, such as
    /// growing a folder, still fail.
    pub(super) fn give_back(&self, ballast: PathBuf) {
        std::fs::remove_file(ballast).unwrap();
        rustix::fs::syncfs(std::fs::File::open(self.path()).unwrap()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.disk.take());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that was just killed may still have it open.
        for _ in 0..100 {
            if succeeds("umount", &[text(&self.0)]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // At least detached, and released when the last process closes it.
        succeeds("umount", &["--lazy", text(&self.0)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    // These programs are for administrators, and not on every user's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(arguments).env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(std::process::Stdio::null());
    command
}

fn run(program: &str, arguments: &[&str]) {
    let output = command(program, arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{program}` cannot be run ({error}); tests/provision.sh installs it, {SKIP}=1 leaves these tests out")
    });
    assert!(
        output.status.success(),
        "`{program} {}` failed: {}; where disks cannot be mounted, {SKIP}=1 leaves these tests out",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments).output().is_ok_and(|output| output.status.success())
}
