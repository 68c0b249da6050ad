//! Block devices.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file as a block device until it is dropped. Needs the rights for that.
pub struct Loop(pub PathBuf);

impl Loop {
    /// `None` where no loop device can be had.
    pub fn over(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show", "--read-only"]).arg(file).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !path.trim().is_empty()).then(|| Self(path.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}
