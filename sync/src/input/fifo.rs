//! Reading a named pipe so that a cancelled ingest ends, although no writer opens the pipe or the writer pauses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::time::Timespec;

use crate::problem::Halt;
use crate::progress::Cancel;

/// How long a cancelled ingest goes on waiting, at most.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The reading end of a named pipe.
pub(crate) struct Fifo {
    file: File,
    cancel: Cancel,
    /// Before the first writer has come, a read would report the end.
    waits: bool,
}

impl Fifo {
    /// Opens the pipe at `path` without waiting for a writer; the first read does that.
    pub(crate) fn open(path: &Path, cancel: &Cancel) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { file, cancel: cancel.clone(), waits: true })
    }

    fn wait(&self) -> io::Result<()> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(Halt::Cancelled.into());
            }
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Fifo {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if std::mem::take(&mut self.waits) {
                self.wait()?;
            }
            match self.file.read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.waits = true,
                other => return other,
            }
        }
    }
}
