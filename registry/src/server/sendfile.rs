//! Blobs from the page cache to a plain connection without passing through this process.
//!
//! hyper is handed one frame whose address stands for a file ([`FileWindows`]); here, at the socket, the address is
//! recognised and the kernel sends the file. The pages behind the address are never touched on this way.
//!
//! This is the one place of the crate with `unsafe`, and it is the mapping: memory that another process could change or
//! cut would be no memory Rust knows. It is sound here because a blob's file is written once, under another name, and
//! then only ever unlinked; an operator who cuts a blob's file under a running server gets a signal rather than wrong
//! bytes, and only if the look-up of the address failed as well. A file on a mounted medium is not ours and may well be
//! cut or pulled out: sending it by its number then fails, and so does, should the look-up fail, handing its address to the
//! kernel, which answers `EFAULT`. Neither raises a signal, because nothing in this process reads a lent address: a blob on a
//! medium is hashed, and copied for TLS, through ordinary reads.

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
use tokio::task::JoinHandle;

use crate::Blob;
use crate::api::body::{FileWindows, cut_short};

/// Most bytes of one system call: more is not faster, and holds a runtime thread (measured). The socket is not corked:
/// at this size the short segment at the end of each call costs less than corking does (measured, one stream and many).
const WINDOW: usize = 1024 * 1024;

/// Files are sent in pages of this size, whatever larger ones the machine may have.
const PAGE: u64 = 4096;

/// What is read ahead when a window is not in memory, so that the disk is asked for more than one window at a time.
const READ_AHEAD: u64 = 2 * 1024 * 1024;

/// After so many windows in a row other connections get their turn.
const TURN: u32 = 4;

/// An address for every byte of a blob in its file, or `None` when the system has none to give.
#[allow(unsafe_code, reason = "blobs are immutable files; see the head of this module")]
pub(super) fn map(file: &File, offset: u64, size: u64) -> Option<Bytes> {
    let len = usize::try_from(size).ok()?;
    // SAFETY: the file is a blob's: never written again, never truncated, whoever else has it open. On a medium it may
    // be, and then nobody in this process touches the memory: see the head of this module.
    let mapping = unsafe { memmap2::MmapOptions::new().offset(offset).len(len).map(file) };
    mapping.ok().map(Bytes::from_owner)
}

/// A plain connection that sends files by itself.
pub(super) struct SendfileStream {
    tcp: TcpStream,
    windows: Arc<FileWindows>,
    /// Windows sent since another connection had its turn.
    turn: u32,
    /// A thread is waiting for the disk.
    reading: Option<JoinHandle<io::Result<()>>>,
    /// The next window has been waited for.
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

    fn poll_send_file(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                // Sending would wait for the same disk once more, and on a thread of the runtime.
                read.map_err(io::Error::other).flatten()?;
                self.in_memory = true;
            }
            ready!(self.tcp.poll_write_ready(cx))?;
            let (tcp, in_memory) = (&self.tcp, self.in_memory);
            let attempt = self.windows.find(bytes, |window| {
                let (blob, offset) = window.locate(bytes.as_ptr() as usize);
                // To the end of a page: a call that begins within one, as the layers of a tar do, would end in a scrap of
                // the next, and so would every call after it.
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
                    self.reading = Some(tokio::task::spawn_blocking(move || read_ahead(&blob, offset, len)));
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
                // A header before a file: the file's first bytes go into the same segment.
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

/// Whether reading the byte at `offset` would not wait for the disk. Where the file system cannot tell, sending may wait
/// for the store's disk, but not for a medium: discs, sticks and shares have just those file systems, and take their time.
fn is_in_memory(blob: &Blob, offset: u64) -> bool {
    let mut byte = [0];
    match preadv2(blob.file(), &mut [io::IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
        Ok(_) => true,
        Err(Errno::AGAIN) => false,
        Err(_) => !blob.is_on_medium(),
    }
}

/// Whether sending failed for a reason that is no file's.
const fn is_of_the_socket(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected,
        TimedOut, WouldBlock,
    };
    matches!(
        kind,
        BrokenPipe
            | ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | TimedOut
            | WouldBlock
    )
}

/// Brings a window into memory and starts on what comes after it.
///
/// # Errors
/// When it cannot be read; that is in the log then.
fn read_ahead(blob: &Blob, offset: u64, len: usize) -> io::Result<()> {
    // Only advice: what it cannot do, the reading does.
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

/// What a client receives over a real socket, and by which of the two ways it came.
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

    /// An address for the file with bytes the file does not have, so that it shows which of the two was sent.
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

    /// Writes a header and a lent frame the way hyper does; says what arrives.
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
        let mut body = Body::blob(blob.clone(), range, &Arrival { windows: Some(windows.clone()), request: None });
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
    async fn an_address_nobody_lent_is_sent_from_the_mapping() {
        let (_file, blob, content) = blob(300_000);
        let frame = map(blob.file(), 0, blob.size()).unwrap();
        // Something else is lent, so that the look-up is made and fails.
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
        // Advice, but on a local disk it is taken.
        fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        let windows = Arc::new(FileWindows::new(not_the_file));
        let (written, received) = sent(windows.clone(), lent(&windows, &blob, 0, content.len()).await).await;
        written.unwrap();
        assert!(received[7..] == content[..]);
    }

    #[tokio::test]
    async fn a_medium_s_file_that_cannot_be_read_fails_the_connection_and_is_looked_at_anew() {
        let (file, of, content) = blob(2 * 1024 * 1024);
        let medium = Arc::new(MediumFile::new(file.as_file(), file.path(), "disc/layer.tar".into()).unwrap());
        let medium = Arc::new(MediumBlob::located(of.digest(), medium, 0, of.size(), true));
        // Opened for writing only it cannot be read, as one of a medium that was pulled out.
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
