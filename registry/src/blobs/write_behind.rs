//! Write-behind: a thread that hashes and writes pieces while the next ones are read or unpacked.
//!
//! Unpacking keeps one core busy, hashing and writing another; one after the other they take as long as both. Memory is
//! bounded by the number of pieces in flight.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::fs::Advice;

use crate::oci::{Digest, Hasher};

/// Size of a piece in bytes: small enough to be hot in the cache while it is hashed and written.
const PIECE: usize = 256 * 1024;

/// Pieces in flight at once.
const DEPTH: usize = 8;

/// How many bytes are written before their write-back is started.
const STEP: u64 = 8 * 1024 * 1024;

/// Starts the write-back of a growing file early, so that the sync at its end finds little left to do. Not durable before
/// that sync.
#[derive(Debug, Default)]
pub(crate) struct WriteBack {
    started: u64,
}

impl WriteBack {
    /// For a file whose first `size` bytes were taken care of.
    pub(crate) const fn after(size: u64) -> Self {
        Self { started: size }
    }

    /// To be called when the file has grown to `size` bytes. On this advice Linux starts to write dirty pages out and drops
    /// only clean ones; what was just written stays in memory until it is on the disk.
    pub(crate) fn grown(&mut self, file: &File, size: u64) {
        if size - self.started >= STEP {
            // It is only advice: failure does no harm.
            let _ = rustix::fs::fadvise(file, self.started, NonZeroU64::new(size - self.started), Advice::DontNeed);
            self.started = size;
        }
    }
}

/// The thread, for any number of files in turn. Dropping the last handle waits for its end: nothing is written once an
/// ingest is reported as over.
#[derive(Clone, Debug)]
pub(crate) struct WriteBehind(Arc<Thread>);

#[derive(Debug)]
struct Thread {
    /// `None` once the last handle is dropped.
    jobs: Option<SyncSender<Job>>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    running: Option<JoinHandle<()>>,
}

/// One file being written behind. [`Behind::finish`] reports failures.
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

    /// Hashes and writes the rest of a file behind, after its first `written` bytes, which `hasher` has seen.
    pub(crate) fn file(&self, file: File, written: u64, hasher: Hasher) -> Behind {
        let state = Mutex::new(Progress { hasher, written, write_back: WriteBack::after(written), failed: None });
        Behind { thread: self.clone(), file: Arc::new(Tail { file, state }), piece: self.spare() }
    }

    fn spare(&self) -> Vec<u8> {
        self.0.spare.lock().pop().unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    /// Queues a job; says whether the thread is still there.
    fn send(&self, job: Job) -> bool {
        self.0.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(running) = self.running.take() {
            // A panic was reported to the caller that waited for its file.
            let _ = running.join();
        }
    }
}

impl Behind {
    /// Appends bytes. Waits only when too many pieces are in flight.
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
        // If it cannot, `finish` reports it.
        self.thread.send(Job::Write(self.file.clone(), piece));
    }

    /// Waits until everything is written, and returns the digest of all of it.
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
            // The caller may be gone.
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
    fn what_is_dropped_before_its_end_is_not_written_after_the_thread_has_ended() {
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
    fn a_disk_that_refuses_is_reported_at_the_end() {
        let thread = WriteBehind::start().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut behind = thread.file(full, 0, Algorithm::Sha256.hasher());
        behind.write(&[0; 3 * PIECE]);
        assert_eq!(behind.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
