//! Reads a blob buffer by buffer without blocking the runtime: data in the page cache is copied at once, anything else is
//! read on a blocking thread.

use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use super::budget::{Held, Purse, RESERVE, Share};
use crate::Blob;
use crate::oci::ByteRange;

/// Size of a buffer in bytes: large enough to amortise system calls, small enough to stay in the CPU cache.
const BUFFER: usize = 64 * 1024;

/// The most unused buffers kept: 2 MiB in total.
const KEPT: usize = 32;

/// Reused: allocating fresh pages costs more than the read.
static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer of the pool, of which the first `len` bytes are filled. Returns to the pool when dropped.
#[derive(Debug)]
struct Buffer {
    // Empty only while it is being returned.
    bytes: Box<[u8]>,
    len: usize,
    /// What the client may leave unread, where that is counted.
    _held: Option<Held>,
}

impl Buffer {
    fn take(held: Option<Held>) -> Self {
        let bytes = match held.as_ref().filter(|held| held.is_reserve()) {
            Some(_) => vec![0; RESERVE].into_boxed_slice(),
            None => POOL.lock().pop().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice()),
        };
        Self { bytes, len: 0, _held: held }
    }

    /// The whole buffer, to read into.
    fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn filled(mut self, len: usize) -> Self {
        self.len = len.min(self.bytes.len());
        self
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() < BUFFER {
            return;
        }
        let mut pool = POOL.lock();
        if pool.len() < KEPT {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Reads one buffer at a time.
#[derive(Debug, Default)]
pub(super) struct Reader {
    waiting: Option<Waiting>,
    purse: Purse,
}

/// A buffer that another thread fills.
enum Waiting {
    Stored(JoinHandle<io::Result<Buffer>>),
    /// A medium may hang, so it has threads of its own.
    OnMedium(Pin<Box<dyn Future<Output = io::Result<Buffer>> + Send>>),
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Reader {
    /// A reader whose buffers count for a connection.
    pub(super) fn new(share: Option<Arc<Share>>) -> Self {
        Self { waiting: None, purse: Purse::new(share) }
    }

    /// The first bytes of `range`, at least one. If dropped while a blocking thread reads, the thread finishes and its
    /// buffer returns to the pool.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, blob: &Blob, range: ByteRange) -> Poll<io::Result<Bytes>> {
        let read = std::task::ready!(self.poll_piece(cx, blob, range));
        if let Err(error) = &read
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            blob.broken_off(range.start, error);
        }
        Poll::Ready(read)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>, blob: &Blob, range: ByteRange) -> Poll<io::Result<Bytes>> {
        let wanted = usize::try_from(range.len()).unwrap_or(BUFFER).min(BUFFER);
        if self.waiting.is_none() {
            let held = std::task::ready!(self.purse.poll_take(cx, BUFFER));
            let mut buffer = Buffer::take(held);
            let wanted = wanted.min(buffer.space().len());
            match read_now(blob, range.start, &mut buffer.space()[..wanted]) {
                Some(read) => return Poll::Ready(whole(blob, read?, buffer)),
                None => {
                    let blob = blob.clone();
                    self.waiting = Some(match blob.medium().cloned() {
                        None => Waiting::Stored(tokio::task::spawn_blocking(move || {
                            read_waiting(&blob, range.start, wanted, buffer)
                        })),
                        Some(medium) => Waiting::OnMedium(Box::pin(async move {
                            let read = move |_: &_| Ok(read_waiting(&blob, range.start, wanted, buffer));
                            medium.ask(read).await.map_err(io::Error::other).flatten()
                        })),
                    });
                }
            }
        }
        let read = match &mut self.waiting {
            None => return Poll::Pending,
            Some(Waiting::Stored(read)) => {
                std::task::ready!(Pin::new(read).poll(cx)).map_err(io::Error::other).flatten()
            }
            Some(Waiting::OnMedium(read)) => std::task::ready!(read.as_mut().poll(cx)),
        };
        self.waiting = None;
        Poll::Ready(read.map(Bytes::from_owner))
    }
}

/// Reads from the page cache; `None` when the data is not there, or the file system cannot tell.
fn read_now(blob: &Blob, offset: u64, space: &mut [u8]) -> Option<io::Result<usize>> {
    loop {
        return match preadv2(
            blob.file(),
            &mut [io::IoSliceMut::new(space)],
            blob.offset() + offset,
            ReadWriteFlags::NOWAIT,
        ) {
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => None,
            read => Some(read.map_err(io::Error::from)),
        };
    }
}

fn read_waiting(blob: &Blob, offset: u64, wanted: usize, mut buffer: Buffer) -> io::Result<Buffer> {
    loop {
        match blob.file().read_at(&mut buffer.space()[..wanted], blob.offset() + offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(cut_short(blob)),
            read => return Ok(buffer.filled(read?)),
        }
    }
}

fn whole(blob: &Blob, read: usize, buffer: Buffer) -> io::Result<Bytes> {
    if read == 0 { Err(cut_short(blob)) } else { Ok(Bytes::from_owner(buffer.filled(read))) }
}

/// The file was truncated while it was being served. The connection has to fail, so that the client does not take what
/// it received for the blob.
pub(crate) fn cut_short(blob: &Blob) -> io::Error {
    tracing::error!(digest = %blob.digest(), size = blob.size(), "a blob's file is shorter than the blob; serving it was broken off");
    io::ErrorKind::UnexpectedEof.into()
}
