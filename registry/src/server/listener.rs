//! Listening sockets, and the loop that accepts connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Place};
use super::deadlines::Activity;
use super::error::ServerError;

/// How many connections the system may queue. The system may enforce a lower limit.
const BACKLOG: i32 = 1024;

/// How long to wait when accepting fails, as when the process has no file descriptors left: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A socket that listens on `address`, one of `all` configured addresses.
pub(super) fn listen(address: SocketAddr, all: &[SocketAddr], stall: Duration) -> Result<TcpListener, ServerError> {
    // `[::]` would accept IPv4 as well, and so conflict with `0.0.0.0` at the same port.
    let shared = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
    open(address, shared, stall).map_err(|source| ServerError::Listen { address, source })
}

fn open(address: SocketAddr, shared: bool, stall: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() && shared {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the previous process.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these options. Responses are written whole, so Nagle's algorithm would only add delay.
    socket.set_tcp_nodelay(true)?;
    // Detects peers that vanished, also while unacknowledged bytes are in the system's buffers.
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(stall))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until `stopping`, each with a place. At the connection limit, and when the process has no file
/// descriptors left, further connections wait in the system's queue.
pub(super) async fn accept(
    listener: TcpListener,
    places: Arc<Connections>,
    stopping: CancellationToken,
    mut connected: impl FnMut(TcpStream, Arc<Activity>, Place),
) {
    let mut pause = PAUSE.0;
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let (tcp, from) = listener.accept().await?;
                let activity = Arc::new(Activity::default());
                let place = places.place(from.ip(), &activity).await;
                io::Result::Ok((tcp, activity, place))
            } => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((tcp, activity, Some(place))) => {
                pause = PAUSE.0;
                connected(tcp, activity, place);
            }
            // Its address has more than its part.
            Ok((_, _, None)) => pause = PAUSE.0,
            // The client closed before the connection was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                if pause == PAUSE.0 {
                    tracing::error!(%error, "cannot accept connections; retrying");
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
