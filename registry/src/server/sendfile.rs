//! Sends blobs from the page cache to a plain HTTP/1.1 connection with `sendfile`, without copying them into this process.
//!
//! hyper gets one frame whose address stands for a file ([`FileWindows`]). At the socket the address is recognised, and the
//! kernel sends the file. The mapped pages are never touched.
//!
//! This is the only module of the crate with `unsafe`, for a question to the socket ([`queued`]) and for the mapping: Rust's rules do not allow memory that another
//! process may change or truncate. It is sound for stored blobs because a blob's file is written once, under another name,
//! and after that only unlinked. If an operator truncates one under a running server, and the address look-up fails as
//! well, the process gets a signal rather than wrong bytes. A file on a mounted medium is not ours and may be truncated or
//! removed: then `sendfile` fails, and so would, if the look-up failed, writing from its address (`EFAULT`). Neither raises
//! a signal, because nothing in this process reads a lent address: a blob on a medium is hashed, and copied for TLS, with
//! ordinary reads.

use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise, sendfile};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::Blob;
use crate::api::body::{FileWindows, cut_short};

/// The most bytes per system call: more is not faster and holds a runtime thread (measured). The socket is not corked: at
/// this size the short segment at the end of each call costs less than corking (measured, with one stream and many).
const WINDOW: usize = 1024 * 1024;

/// The page size that windows are aligned to, in bytes.
const PAGE: u64 = 4096;

/// How many bytes to read ahead when a window is not cached, so that the disk gets more than one window at a time.
const READ_AHEAD: u64 = 2 * 1024 * 1024;

/// After this many consecutive windows the task yields to other connections.
const TURN: u32 = 4;

/// Maps a range of a blob's file, or `None` if the system refuses.
#[allow(unsafe_code, reason = "blobs are immutable files; see the head of this module")]
pub(super) fn map(file: &File, offset: u64, size: u64) -> Option<Bytes> {
    let len = usize::try_from(size).ok()?;
    // SAFETY: a stored blob's file is never written or truncated once it has its name. A file on a medium may be, and
    // then nothing in this process touches the memory: see the head of this module.
    let mapping = unsafe { memmap2::MmapOptions::new().offset(offset).len(len).map(file) };
    mapping.ok().map(Bytes::from_owner)
}

/// How many bytes of what was written to a socket the other side has not acknowledged.
#[allow(unsafe_code, reason = "the system's own call for it; see the head of this module")]
pub(super) fn queued(tcp: &TcpStream) -> u64 {
    /// `SIOCOUTQ`.
    const QUEUED: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: this operation writes an `int` and takes nothing.
    let question = unsafe { rustix::ioctl::Getter::<QUEUED, std::ffi::c_int>::new() };
    // SAFETY: the operation is one of TCP sockets, and this is one.
    let queued = unsafe { rustix::ioctl::ioctl(tcp, question) };
    queued.ok().and_then(|queued| u64::try_from(queued).ok()).unwrap_or(0)
}

/// A plain TCP connection that sends lent files with `sendfile`.
pub(super) struct SendfileStream {
    tcp: TcpStream,
    windows: Arc<FileWindows>,
    /// Windows sent since the task last yielded.
    turn: u32,
    /// A blocking thread that reads the next window from the disk.
    reading: Option<Reading>,
    /// The next window was just read, so it is in the page cache.
    in_memory: bool,
}

enum Attempt {
    Sent(usize),
    NotInMemory(Blob, u64, usize),
}

impl SendfileStream {
    pub(super) const fn new(tcp: TcpStream, windows: Arc<FileWindows>) -> Self {
        Self { tcp, windows, turn: 0, reading: None, in_memory: false }
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn poll_send_file(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                // On an error do not send: `sendfile` would wait for the same disk again, on a runtime thread.
                read?;
                self.in_memory = true;
            }
            ready!(self.tcp.poll_write_ready(cx))?;
            let (tcp, in_memory) = (&self.tcp, self.in_memory);
            let attempt = self.windows.find(bytes, |window| {
                let (blob, offset) = window.locate(bytes.as_ptr() as usize);
                // End at a page boundary: a range that begins within a page, as layers in a tar do, would otherwise leave
                // every call unaligned.
                let len = bytes.len().min(WINDOW - (offset % PAGE) as usize);
                if !in_memory && !is_in_memory(blob, offset + len as u64 - 1) {
                    return Ok(Attempt::NotInMemory(blob.clone(), offset, len));
                }
                match tcp.try_io(Interest::WRITABLE, || Ok(sendfile(tcp, blob.file(), Some(&mut { offset }), len)?)) {
                    Ok(0) => Err(cut_short(blob)),
                    Ok(sent) => Ok(Attempt::Sent(sent)),
                    Err(error) => {
                        if !is_of_the_socket(error.kind()) {
                            blob.broken_off(offset - blob.offset(), &error);
                        }
                        Err(error)
                    }
                }
            });
            match attempt {
                Some(Ok(Attempt::Sent(sent))) => {
                    self.in_memory = false;
                    self.turn += 1;
                    return Poll::Ready(Ok(sent));
                }
                Some(Ok(Attempt::NotInMemory(blob, offset, len))) => {
                    self.reading = Some(Box::pin(read_elsewhere(blob, offset, len)));
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Pin::new(&mut self.tcp).poll_write(cx, bytes),
            }
        }
    }
}

impl AsyncRead for SendfileStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for SendfileStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.windows.is_empty() {
            return Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        }
        let bufs = &bufs[bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0)..];
        match bufs.iter().position(|buf| this.windows.find(buf, |_| ()).is_some()) {
            None => Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs),
            Some(0) => this.poll_send_file(cx, &bufs[0]),
            Some(plain) => {
                // Headers before a file: `MORE` lets the file's first bytes share their segment.
                loop {
                    ready!(this.tcp.poll_write_ready(cx))?;
                    let sent = this.tcp.try_io(Interest::WRITABLE, || {
                        let mut none = SendAncillaryBuffer::default();
                        Ok(sendmsg(&this.tcp, &bufs[..plain], &mut none, SendFlags::MORE | SendFlags::NOSIGNAL)?)
                    });
                    match sent {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        sent => return Poll::Ready(sent),
                    }
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Whether the byte at `offset` is in the page cache. Some file systems cannot tell: then sending may wait for the store's
/// disk, but not for a medium, since optical discs, USB sticks and network shares have such file systems and are slow.
fn is_in_memory(blob: &Blob, offset: u64) -> bool {
    let mut byte = [0];
    match preadv2(blob.file(), &mut [io::IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
        Ok(_) => true,
        Err(Errno::AGAIN) => false,
        Err(_) => !blob.is_on_medium(),
    }
}

/// Whether sending failed because of the socket rather than the file.
fn is_of_the_socket(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected,
        TimedOut, WouldBlock,
    };
    let of_connection = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, WouldBlock];
    of_connection.contains(&kind) || [HostUnreachable, NetworkDown, NetworkUnreachable].contains(&kind)
}

/// A window that another thread reads.
type Reading = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// As [`read_ahead`], on a thread that may block: a medium has its own, since it may hang.
async fn read_elsewhere(blob: Blob, offset: u64, len: usize) -> io::Result<()> {
    match blob.medium().cloned() {
        None => {
            let read = tokio::task::spawn_blocking(move || read_ahead(&blob, offset, len)).await;
            read.map_err(io::Error::other).flatten()
        }
        Some(medium) => {
            let read = medium.ask(move |_| Ok(read_ahead(&blob, offset, len))).await;
            read.map_err(io::Error::other).flatten()
        }
    }
}

/// Reads a window into the page cache and starts reading ahead. A failure is recorded with the blob.
fn read_ahead(blob: &Blob, offset: u64, len: usize) -> io::Result<()> {
    // Only a hint: the reads below do the work if it fails.
    let _ = fadvise(blob.file(), offset, std::num::NonZeroU64::new(READ_AHEAD), Advice::WillNeed);
    let mut space = vec![0; 64 * 1024];
    let (mut offset, end) = (offset, offset + len as u64);
    while offset < end {
        match pread(blob.file(), &mut space[..], offset) {
            Ok(0) => break,
            Ok(read) => offset += read as u64,
            Err(Errno::INTR) => {}
            Err(error) => {
                let error = error.into();
                blob.broken_off(offset - blob.offset(), &error);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// What a client receives over a real socket, and by which of the two ways it was sent.
#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::{Arrival, Body};
    use crate::blobs::{MediumBlob, MediumFile};
    use crate::oci::{Algorithm, ByteRange};

    /// Stands in for a mapping, with bytes that are not the file's, so that a test sees which of the two was sent.
    fn not_the_file(_: &File, _: u64, size: u64) -> Option<Bytes> {
        Some(vec![0xEE; size as usize].into())
    }

    fn blob(size: usize) -> (tempfile::NamedTempFile, Blob, Vec<u8>) {
        let content: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let blob = Blob::of(file.reopen().unwrap(), Algorithm::Sha256.digest(&content), size as u64);
        (file, blob, content)
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    /// Writes a header and a lent frame as hyper does; returns what arrives.
    async fn sent(windows: Arc<FileWindows>, frame: Bytes) -> (io::Result<()>, Vec<u8>) {
        let (mut client, server) = pair().await;
        let mut stream = SendfileStream::new(server, windows);
        let write = async move {
            let (mut header, mut frame) = (Bytes::from_static(b"header\n"), frame);
            while !frame.is_empty() {
                let bufs = [IoSlice::new(&header), IoSlice::new(&frame)];
                let written = stream.write_vectored(&bufs).await?;
                assert!(written > 0);
                let of_header = written.min(header.len());
                header = header.slice(of_header..);
                frame = frame.slice(written - of_header..);
            }
            stream.flush().await?;
            stream.shutdown().await
        };
        let mut received = Vec::new();
        let (written, _) = tokio::join!(write, client.read_to_end(&mut received));
        (written, received)
    }

    async fn lent(windows: &Arc<FileWindows>, blob: &Blob, start: usize, end: usize) -> Bytes {
        let range = ByteRange { start: start as u64, end: end as u64 };
        let mut body =
            Body::blob(blob.clone(), range, &Arrival { windows: Some(windows.clone()), ..Arrival::default() });
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn a_lent_frame_is_sent_from_the_file() {
        let (_file, blob, content) = blob(3 * 1024 * 1024 + 17);
        let windows = Arc::new(FileWindows::new(not_the_file));
        for (start, end) in [(0, content.len()), (1000, 200_000), (content.len() - 70_000, content.len())] {
            let (written, received) = sent(windows.clone(), lent(&windows, &blob, start, end).await).await;
            written.unwrap();
            assert_eq!(received[..7], *b"header\n");
            assert!(received[7..] == content[start..end], "{start}-{end}");
        }
    }

    #[tokio::test]
    async fn an_address_that_was_not_lent_is_sent_from_the_mapping() {
        let (_file, blob, content) = blob(300_000);
        let frame = map(blob.file(), 0, blob.size()).unwrap();
        // Another blob is lent, so that the look-up runs and fails.
        let windows = Arc::new(FileWindows::new(not_the_file));
        let (_other_file, other, _) = self::blob(100_000);
        let _lent = lent(&windows, &other, 0, 100_000).await;
        let (written, received) = sent(windows, frame).await;
        written.unwrap();
        assert!(received[7..] == content[..]);
    }

    #[tokio::test]
    async fn what_is_not_in_memory_is_read_first_and_sent_the_same() {
        let (file, blob, content) = blob(2 * 1024 * 1024);
        file.as_file().sync_all().unwrap();
        // Only a hint, but local file systems follow it.
        fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        let windows = Arc::new(FileWindows::new(not_the_file));
        let (written, received) = sent(windows.clone(), lent(&windows, &blob, 0, content.len()).await).await;
        written.unwrap();
        assert!(received[7..] == content[..]);
    }

    #[tokio::test]
    async fn a_medium_s_file_that_cannot_be_read_fails_the_connection_and_is_probed_again() {
        let (file, of, content) = blob(2 * 1024 * 1024);
        let medium = Arc::new(MediumFile::new(file.as_file(), file.path(), "disc/layer.tar".into()).unwrap());
        let medium = Arc::new(MediumBlob::located(of.digest(), medium, 0, of.size(), true));
        // A file opened for writing only cannot be read, like one on a medium that was removed.
        let stale = File::options().write(true).open(file.path()).unwrap();
        let stale = Blob::on_medium(stale, 0, medium.clone());
        let windows = Arc::new(FileWindows::new(not_the_file));
        let frame = lent(&windows, &stale, 0, content.len()).await;
        let (written, received) = sent(windows, frame).await;
        assert!(written.is_err() && received == b"header\n", "{written:?}");
        assert!(stale.check().is_err() && Blob::open_on_medium(&medium).unwrap().check().is_ok());
    }

    #[tokio::test]
    async fn s6_a_file_that_was_cut_fails_the_connection() {
        let (file, blob, content) = blob(2 * 1024 * 1024);
        let windows = Arc::new(FileWindows::new(not_the_file));
        let frame = lent(&windows, &blob, 0, content.len()).await;
        file.as_file().set_len(300_000).unwrap();
        let (written, received) = sent(windows, frame).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(received[7..] == content[..300_000]);
        assert!(file.as_file().read_at(&mut [0], 300_000).unwrap() == 0);
    }
}
