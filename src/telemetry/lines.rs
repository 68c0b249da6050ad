//! The lines of the log on their way to standard error.
//!
//! No thread that logs ever waits for a reader: lines go into a bounded queue, and a thread of their own writes them. What
//! does not fit is lost, counted, and told once there is room again. The same message again and again is limited.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata, callsite};
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that wait to be written.
const WAITING: usize = 1024 * 1024;

/// How many lines of one message are written in a window: a client that has each of its requests refused must not fill a
/// disk.
const MOST: u32 = 300;
const WINDOW: Duration = Duration::from_secs(10);

/// How long the end of the process waits for what is queued.
const FLUSH: Duration = Duration::from_secs(1);

/// The queue. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    waiting: usize,
    lost: u64,
    is_writing: bool,
    /// What each message has had of its window.
    messages: HashMap<callsite::Identifier, Window>,
}

struct Window {
    place: String,
    began: Instant,
    lines: u32,
}

impl Lines {
    /// Starts the thread that writes to `target`.
    pub(super) fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let shared = lines.0.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || shared.write(target))?;
        Ok(lines)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.waiting + line.len() > WAITING {
            state.lost += 1;
            return;
        }
        state.waiting += line.len();
        state.queue.push_back(line.to_vec());
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, or for a moment: nobody may be reading.
    pub(super) fn flush(&self) {
        let state = self.0.state();
        let is_behind = |state: &mut State| !state.queue.is_empty() || state.is_writing;
        drop(self.0.changed.wait_timeout_while(state, FLUSH, is_behind));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut target: impl Write) {
        loop {
            let mut state = self.state();
            state.is_writing = false;
            self.changed.notify_all();
            loop {
                let left_out = state.close_windows();
                if !left_out.is_empty() {
                    drop(state);
                    // Through the queue, like every other line.
                    for (place, count) in left_out {
                        tracing::warn!("{count} more lines like those of {place} were left out");
                    }
                    state = self.state();
                }
                if !state.queue.is_empty() {
                    break;
                }
                (state, _) = self.changed.wait_timeout(state, WINDOW).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = std::mem::take(&mut state.queue);
            let bytes = state.waiting;
            state.is_writing = true;
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            // A closed pipe must not end the process.
            for line in &lines {
                let _ = target.write_all(line);
            }
            self.state().waiting -= bytes;
            if lost > 0 {
                tracing::warn!("{lost} lines of the log were lost: standard error was not read fast enough");
            }
        }
    }
}

impl State {
    /// Whether a message may have one more line. What only developers turn on is not limited.
    fn admits(&mut self, metadata: &Metadata<'_>) -> bool {
        if *metadata.level() > Level::INFO {
            return true;
        }
        let now = Instant::now();
        let new = || Window {
            place: format!("{}:{}", metadata.target(), metadata.line().unwrap_or_default()),
            began: now,
            lines: 0,
        };
        let window = self.messages.entry(metadata.callsite()).or_insert_with(new);
        // One that left lines out is closed by the writer, which tells how many.
        if window.lines <= MOST && now - window.began >= WINDOW {
            (window.began, window.lines) = (now, 0);
        }
        window.lines = window.lines.saturating_add(1);
        window.lines <= MOST
    }

    /// The messages of windows that are over and how many lines each left out.
    fn close_windows(&mut self) -> Vec<(String, u32)> {
        let mut left_out = Vec::new();
        self.messages.retain(|_, window| {
            let is_over = window.began.elapsed() >= WINDOW;
            if is_over && window.lines > MOST {
                left_out.push((std::mem::take(&mut window.place), window.lines - MOST));
            }
            !is_over
        });
        left_out
    }
}

/// One line being written: the formatter writes each in one piece. Nothing for one that is left out.
pub(super) struct Line(Option<Lines>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &self.0 {
            lines.push(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Some(self.clone()))
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line(self.0.state().admits(metadata).then(|| self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Blocks in its first write until it is let go.
    struct Blocked(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Blocked {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn d15_nothing_waits_for_a_reader_and_what_is_lost_is_counted() {
        let (let_go, held) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let lines = Lines::start(Blocked(held, written.clone())).unwrap();
        lines.push(b"first\n");
        while !lines.0.state().is_writing {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        let long = vec![b'x'; 1000];
        for _ in 0..2000 {
            lines.push(&long);
        }
        lines.flush();
        assert!(began.elapsed() < Duration::from_secs(20), "it gives up on the reader");
        let lost = lines.0.state().lost;
        assert!((900..2000).contains(&lost), "{lost}");
        drop(let_go);
        while lines.0.state().is_writing || !lines.0.state().queue.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let written = written.lock().unwrap();
        assert!(written.starts_with(b"first\n"));
        assert_eq!((written.len() - 6) as u64, (2000 - lost) * 1000);
    }

    #[test]
    fn d15_the_same_message_again_and_again_is_limited_and_told() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..MOST + 50 {
                tracing::info!(number, "the same");
            }
            tracing::info!("another");
        });
        let mut state = lines.0.state();
        assert_eq!(state.queue.len() as u32, MOST + 1);
        for window in state.messages.values_mut() {
            window.began -= WINDOW;
        }
        let left_out = state.close_windows();
        assert!(matches!(left_out.as_slice(), [(place, 50)] if place.contains("lines")), "{left_out:?}");
    }
}
