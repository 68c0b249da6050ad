//! A share that can stop answering, as a file server does that was switched off.
//!
//! A file system in user space with one file, spoken over `/dev/fuse` as the kernel does. While it is stopped, every call about
//! the file waits in the kernel.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// The file's name on the share.
const NAME: &str = "app.tar";

/// What of the protocol is needed: operations and their numbers.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const FORGET_MANY: u32 = 42;

const ROOT: u64 = 1;
const THE_FILE: u64 = 2;

/// Errors as the protocol has them.
const NOT_THERE: i32 = -2;
const NOT_KNOWN: i32 = -38;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Answers,
    Stopped,
    Ended,
}

/// A share that is mounted until it is dropped. Needs the rights for that.
pub struct Share {
    folder: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Share {
    /// Serves the content of `file` on `folder`, which is made. `None` where nothing can be mounted.
    pub fn of(file: &Path, folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).ok()?;
        let (content, kernel) =
            (File::open(file).ok()?, File::options().read(true).write(true).open("/dev/fuse").ok()?);
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other\0", kernel.as_raw_fd());
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).ok()?;
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount("share", folder, "fuse", flags, options).ok()?;
        let state = Arc::new((Mutex::new(State::Answers), Condvar::new()));
        let shared = state.clone();
        std::thread::spawn(move || serve(kernel, &content, &shared));
        Some(Self { folder: folder.to_owned(), state })
    }

    /// The file on it.
    pub fn file(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// From now on nothing is answered.
    pub fn stop(&self) {
        self.set(State::Stopped);
    }

    /// Everything that waits is answered.
    pub fn go_on(&self) {
        self.set(State::Answers);
    }

    fn set(&self, state: State) {
        *self.state.0.lock().unwrap() = state;
        self.state.1.notify_all();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The thread closes its end, which fails every call that waits.
        self.set(State::Ended);
        let _ = unmount(&self.folder, UnmountFlags::DETACH | UnmountFlags::FORCE);
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn serve(mut kernel: File, content: &File, state: &(Mutex<State>, Condvar)) {
    let mut request = vec![0; 1024 * 1024];
    loop {
        // Ends when the share is unmounted.
        let Ok(length) = kernel.read(&mut request) else { return };
        let asked = &request[..length];
        let guard = state.0.lock().unwrap();
        let guard = state.1.wait_while(guard, |state| *state == State::Stopped).unwrap();
        if *guard == State::Ended {
            return;
        }
        drop(guard);
        let (operation, unique) = (half(asked, 4), number(asked, 8));
        if matches!(operation, FORGET | FORGET_MANY | INTERRUPT) {
            continue;
        }
        let (error, answer) = match answer(operation, asked, content) {
            Ok(answer) => (0, answer),
            Err(error) => (error, Vec::new()),
        };
        let mut reply = u32::try_from(16 + answer.len()).unwrap().to_le_bytes().to_vec();
        reply.extend(error.to_le_bytes());
        reply.extend(unique.to_le_bytes());
        reply.extend(answer);
        // A request that was given up is not to be answered.
        let _ = kernel.write(&reply);
    }
}

/// The answer to one request, or the error.
fn answer(operation: u32, asked: &[u8], content: &File) -> Result<Vec<u8>, i32> {
    let (node, argument) = (number(asked, 16), asked.get(40..).unwrap_or_default());
    match operation {
        INIT => {
            let mut answer = Vec::new();
            for value in [7_u32, 31, 128 * 1024, 0] {
                answer.extend(value.to_le_bytes());
            }
            answer.extend(64_u16.to_le_bytes());
            answer.extend(48_u16.to_le_bytes());
            answer.extend((128 * 1024_u32).to_le_bytes());
            answer.resize(64, 0);
            Ok(answer)
        }
        LOOKUP if node == ROOT && argument.strip_suffix(b"\0") == Some(NAME.as_bytes()) => {
            let mut answer = THE_FILE.to_le_bytes().to_vec();
            // No time for which it is believed: the kernel asks each time.
            answer.resize(40, 0);
            answer.extend(attributes(THE_FILE, content));
            Ok(answer)
        }
        LOOKUP => Err(NOT_THERE),
        GETATTR => {
            let mut answer = vec![0; 16];
            answer.extend(attributes(node, content));
            Ok(answer)
        }
        OPEN => Ok(vec![0; 16]),
        READ => {
            let (at, size) = (number(argument, 8), half(argument, 16) as usize);
            let mut piece = vec![0; size];
            let read = content.read_at(&mut piece, at).unwrap();
            piece.truncate(read);
            Ok(piece)
        }
        STATFS => Ok(vec![0; 80]),
        RELEASE | FLUSH => Ok(Vec::new()),
        _ => Err(NOT_KNOWN),
    }
}

fn attributes(node: u64, content: &File) -> Vec<u8> {
    let metadata = content.metadata().unwrap();
    let (mode, size) = if node == ROOT { (0o40755_u32, 0) } else { (0o100_444, metadata.len()) };
    let mut attributes = Vec::new();
    let seconds = metadata.mtime().cast_unsigned();
    for value in [node, size, size.div_ceil(512), seconds, seconds, seconds] {
        attributes.extend(value.to_le_bytes());
    }
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap();
    for value in [nanoseconds, nanoseconds, nanoseconds, mode, 1, 0, 0, 0, 4096, 0] {
        attributes.extend(value.to_le_bytes());
    }
    attributes
}
