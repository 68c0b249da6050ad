//! One keep-alive HTTP/1.1 connection, plain or TLS 1.3, with blocking sockets.
//!
//! There is no pipelining, so nothing is left over between two responses and one buffer serves all connections of a
//! thread. A response must have `Content-Length`, as the compared servers send for files.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The longest wait for the next byte: a server that stalls is an error and not a hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// Responses with a longer header, in bytes, are refused.
const HEAD_LIMIT: usize = 16 * 1024;
/// Ciphertext bytes per read from the socket: rustls alone would read 4 KiB at a time.
const CIPHERTEXT: usize = 128 * 1024;

/// `http://` or `https://`, an address, a path.
pub struct Url {
    pub tls: bool,
    pub authority: String,
    pub address: SocketAddr,
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not http(s)://ADDRESS:PORT/PATH");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
        Ok(Self {
            tls: match scheme {
                "http" => false,
                "https" => true,
                _ => return Err(wrong()),
            },
            authority: authority.into(),
            address: authority.parse().map_err(|_| wrong())?,
            path: format!("/{path}"),
        })
    }
}

/// The trusted certificate, and a single cipher suite, so that all servers use the same encryption.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    pub fn from_pem_file(path: &str) -> Result<Self, String> {
        let explain = |error: &dyn std::fmt::Display| format!("cannot trust `{path}`: {error}");
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(path).map_err(|e| explain(&e))?;
        roots.add(certificate).map_err(|e| explain(&e))?;
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites = vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| explain(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(config.into()))
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<ClientConnection>, BufReader<TcpStream>),
}

pub struct Connection(Wire);

impl Connection {
    /// Connects and, with TLS, finishes the handshake.
    pub fn open(url: &Url, trust: Option<&Trust>) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&url.address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        if !url.tls {
            return Ok(Self(Wire::Plain(socket)));
        }
        let trust = trust.ok_or_else(|| io::Error::other("https needs `--trust`"))?;
        let name = ServerName::IpAddress(url.address.ip().into());
        let mut session = ClientConnection::new(trust.0.clone(), name).map_err(io::Error::other)?;
        let mut socket = BufReader::with_capacity(CIPHERTEXT, socket);
        while session.is_handshaking() {
            if session.wants_write() {
                session.write_tls(socket.get_mut())?;
            } else {
                more(&mut session, &mut socket)?;
            }
        }
        while session.wants_write() {
            session.write_tls(socket.get_mut())?;
        }
        Ok(Self(Wire::Tls(Box::new(session), socket)))
    }

    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Wire::Plain(socket) => socket.write_all(request),
            Wire::Tls(session, socket) => {
                session.writer().write_all(request)?;
                while session.wants_write() {
                    session.write_tls(socket.get_mut())?;
                }
                Ok(())
            }
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Wire::Plain(socket) => socket.read(into),
            Wire::Tls(session, socket) => loop {
                match session.reader().read(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => more(session, socket)?,
                    done => return done,
                }
            },
        }
    }

    /// Reads one response to its last byte, or until `body`, which gets each piece, returns `false`.
    /// Returns the status, or `None` if `body` stopped it.
    pub fn receive(&mut self, buffer: &mut [u8], mut body: impl FnMut(&[u8]) -> bool) -> io::Result<Option<u16>> {
        let mut filled = 0;
        let head = loop {
            let got = self.read(&mut buffer[filled..])?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += got;
            if let Some(end) = buffer[..filled.min(HEAD_LIMIT)].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if filled >= HEAD_LIMIT {
                return Err(io::Error::other("the head of the answer is too long"));
            }
        };
        let (status, length) = parse_head(&buffer[..head])?;
        let mut left = length
            .checked_sub((filled - head) as u64)
            .ok_or_else(|| io::Error::other("more came than `Content-Length` said"))?;
        if !body(&buffer[head..filled]) {
            return Ok(None);
        }
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.read(&mut buffer[..room])?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= got as u64;
            if !body(&buffer[..got]) {
                return Ok(None);
            }
        }
        Ok(Some(status))
    }
}

/// Reads ciphertext from the socket and decrypts the complete records.
fn more(session: &mut ClientConnection, socket: &mut BufReader<TcpStream>) -> io::Result<()> {
    if session.read_tls(socket)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    session.process_new_packets().map_err(io::Error::other)?;
    Ok(())
}

/// Status and `Content-Length`.
fn parse_head(head: &[u8]) -> io::Result<(u16, u64)> {
    let wrong = || io::Error::other(format!("unusable answer: {}", String::from_utf8_lossy(head)));
    let text = std::str::from_utf8(head).map_err(|_| wrong())?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(wrong)?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(wrong)?;
    Ok((status, length))
}
