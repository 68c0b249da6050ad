//! Sockets that listen, and the loop that takes connections from one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::error::ServerError;

/// Connections the system may hold for us. It takes less where its own limit is lower.
const BACKLOG: i32 = 1024;

/// How long to wait when the process has no descriptors left: first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A socket that listens on `address`, one of `all` that are listened on.
pub(super) fn listen(address: SocketAddr, all: &[SocketAddr], stall: Duration) -> Result<TcpListener, ServerError> {
    // `[::]` takes IPv4 as well, and could not stand beside `0.0.0.0`.
    let shared = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
    open(address, shared, stall).map_err(|source| ServerError::Listen { address, source })
}

fn open(address: SocketAddr, shared: bool, stall: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() && shared {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the process before.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these. Answers are written whole, so waiting for more of them only costs time.
    socket.set_tcp_nodelay(true)?;
    // Peers that are gone without a word, also while bytes of an answer lie in the system's buffers.
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(stall))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes connections until `stopping`, each with its permit. At the limit the next ones wait in the system's queue, and
/// so do all when the process has no descriptors left.
pub(super) async fn accept(
    listener: TcpListener,
    permits: Arc<Semaphore>,
    stopping: CancellationToken,
    mut connected: impl FnMut(TcpStream, OwnedSemaphorePermit),
) {
    let mut pause = PAUSE.0;
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(tcp, _)| (tcp, permit))
            } => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((tcp, permit)) => {
                pause = PAUSE.0;
                connected(tcp, permit);
            }
            // One that was gone before it was taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                if pause == PAUSE.0 {
                    tracing::error!(%error, "cannot take connections; trying again until it works");
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stopping.cancelled() => return,
                }
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}
