//! Block devices.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file as a block device until it is dropped. Needs the rights for that.
pub struct Loop(pub PathBuf);

impl Loop {
    /// `None` where no loop device can be had.
    pub fn over(file: &Path) -> Option<Self> {
        Self::with(&["--read-only"], file)
    }

    fn with(options: &[&str], file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).args(options).arg(file).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !path.trim().is_empty()).then(|| Self(path.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

/// A stick in exFAT, mounted by FUSE until it is dropped. This file system has no inodes: a file gets another number each
/// time the cache was dropped.
pub struct Stick {
    /// Where it is mounted.
    pub root: PathBuf,
    _device: Loop,
}

impl Stick {
    /// A stick of `size` bytes below `folder`, filled and then mounted read-only. `None`, with a word, where that needs
    /// rights or programs that are not there.
    #[allow(clippy::print_stderr, reason = "what was not run is said")]
    pub fn new(folder: &Path, size: u64, fill: impl FnOnce(&Path)) -> Option<Self> {
        let stick = Self::mounted(folder, size, fill);
        if stick.is_none() {
            eprintln!("NOT RUN: exFAT by FUSE needs root, /dev/fuse, a loop device, exfat-fuse and exfatprogs");
        }
        stick
    }

    fn mounted(folder: &Path, size: u64, fill: impl FnOnce(&Path)) -> Option<Self> {
        let (image, root) = (folder.join("stick.img"), folder.join("stick"));
        std::fs::File::create(&image).ok()?.set_len(size).ok()?;
        std::fs::create_dir(&root).ok()?;
        let device = Loop::with(&[], &image)?;
        run(Command::new("mkfs.exfat").arg(&device.0))?;
        run(Command::new("mount.exfat-fuse").arg(&device.0).arg(&root))?;
        fill(&root);
        run(Command::new("umount").arg(&root))?;
        run(Command::new("mount.exfat-fuse").args(["-o", "ro"]).arg(&device.0).arg(&root))?;
        Some(Self { root, _device: device })
    }

    /// Drops what the kernel remembers of files that are not open, as it does when memory gets short.
    pub fn drop_caches() {
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.root));
    }
}

fn run(command: &mut Command) -> Option<()> {
    command.output().ok().filter(|output| output.status.success()).map(drop)
}
