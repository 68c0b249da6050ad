//! Writing beside reading: a thread that hashes pieces and puts them on the disk while the next ones are read or unpacked.
//!
//! On its own, unpacking keeps a core busy, and hashing and writing another; in turn they take as long as both. Memory is
//! bounded by the pieces under way.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::write_back::WriteBack;
use crate::oci::{Digest, Hasher};

/// Size of a piece in bytes: small enough to be hot in the cache while it is hashed and written.
const PIECE: usize = 256 * 1024;

/// Pieces under way at once.
const DEPTH: usize = 8;

/// The thread, for as many files in turn as one likes. When the last handle is dropped it has ended: nothing is written
/// once an ingest is said to be over.
#[derive(Clone, Debug)]
pub(crate) struct WriteBehind(Arc<Thread>);

#[derive(Debug)]
struct Thread {
    /// `None` once no more can come.
    jobs: Option<SyncSender<Job>>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    running: Option<JoinHandle<()>>,
}

/// One file being written behind. What fails is said by [`Behind::finish`].
#[derive(Debug)]
pub(crate) struct Behind {
    thread: WriteBehind,
    file: Arc<Tail>,
    piece: Vec<u8>,
}

#[derive(Debug)]
struct Tail {
    file: File,
    state: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    hasher: Hasher,
    written: u64,
    write_back: WriteBack,
    failed: Option<io::Error>,
}

enum Job {
    Write(Arc<Tail>, Vec<u8>),
    Reached(SyncSender<()>),
}

impl WriteBehind {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = sync_channel(DEPTH);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let returned = spare.clone();
        let running = std::thread::Builder::new().name("blob write".into()).spawn(move || run(&queue, &returned))?;
        Ok(Self(Arc::new(Thread { jobs: Some(jobs), spare, running: Some(running) })))
    }

    /// Goes on hashing and writing a file behind, after its `written` bytes, which `hasher` has taken in.
    pub(crate) fn file(&self, file: File, written: u64, hasher: Hasher) -> Behind {
        let state = Mutex::new(Progress { hasher, written, write_back: WriteBack::after(written), failed: None });
        Behind { thread: self.clone(), file: Arc::new(Tail { file, state }), piece: self.spare() }
    }

    fn spare(&self) -> Vec<u8> {
        self.0.spare.lock().pop().unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    /// Whether the thread will do it: it lives as long as a handle does.
    fn send(&self, job: Job) -> bool {
        self.0.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(running) = self.running.take() {
            // A panic of it was met by whoever waited for its file.
            let _ = running.join();
        }
    }
}

impl Behind {
    /// Takes in bytes. Waits only when too many pieces are under way.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let piece = std::mem::replace(&mut self.piece, self.thread.spare());
        // If it cannot, the end of the file says so.
        self.thread.send(Job::Write(self.file.clone(), piece));
    }

    /// Waits until everything is written, and gives the digest of the whole, or says why it is not.
    pub(crate) fn finish(mut self) -> io::Result<Digest> {
        if !self.piece.is_empty() {
            self.send();
        }
        let (reached, wait) = sync_channel(1);
        if !self.thread.send(Job::Reached(reached)) || wait.recv().is_err() {
            return Err(io::Error::other("the writing thread ended"));
        }
        let mut state = self.file.state.lock();
        state.failed.take().map_or_else(|| Ok(state.hasher.clone().finish()), Err)
    }
}

fn run(queue: &Receiver<Job>, spare: &Mutex<Vec<Vec<u8>>>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Write(tail, mut piece) => {
                let mut state = tail.state.lock();
                if state.failed.is_none() {
                    state.hasher.update(&piece);
                    match (&tail.file).write_all(&piece) {
                        Ok(()) => {
                            state.written += piece.len() as u64;
                            let written = state.written;
                            state.write_back.grown(&tail.file, written);
                        }
                        Err(error) => state.failed = Some(error),
                    }
                }
                piece.clear();
                let mut spare = spare.lock();
                if spare.len() < DEPTH {
                    spare.push(piece);
                }
            }
            // Whoever asked may have gone.
            Job::Reached(reached) => drop(reached.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn files_written_behind_in_turn_hold_what_was_given_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let thread = WriteBehind::start().unwrap();
        for (number, size) in [0, 1, PIECE, PIECE + 1, 5 * PIECE + 7, 20 * PIECE].into_iter().enumerate() {
            let content: Vec<u8> = (0..size).map(|at| (at / 1000 + at + number) as u8).collect();
            let path = folder.path().join(number.to_string());
            let mut behind = thread.file(File::create(&path).unwrap(), 0, Algorithm::Sha256.hasher());
            for piece in content.chunks(100_001) {
                behind.write(piece);
            }
            assert_eq!(behind.finish().unwrap(), Algorithm::Sha256.digest(&content), "{size} bytes");
            assert!(std::fs::read(&path).unwrap() == content, "{size} bytes");
        }
    }

    #[test]
    fn what_is_dropped_before_its_end_is_written_no_more_once_the_thread_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let thread = WriteBehind::start().unwrap();
        let mut behind = thread.file(File::create(&path).unwrap(), 0, Algorithm::Sha256.hasher());
        behind.write(&vec![7; DEPTH * PIECE]);
        let file = Arc::downgrade(&behind.file);
        drop(behind);
        drop(thread);
        assert_eq!(file.strong_count(), 0, "the thread still has the file");
    }

    #[test]
    fn a_disk_that_refuses_is_said_at_the_end() {
        let thread = WriteBehind::start().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut behind = thread.file(full, 0, Algorithm::Sha256.hasher());
        behind.write(&[0; 3 * PIECE]);
        assert_eq!(behind.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
