//! Who a request comes from, and whether it may do what it asks.
//!
//! There are no identities yet. The administration socket has mode 0600, so the kernel admits only the user of the server
//! and root. A TCP listener is bound to loopback and admits every user of the machine; what it has to keep out is a web page
//! in a browser on that machine.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use super::endpoint::{Access, Endpoint};
use super::wire::Ingest;
use crate::exit::{Code, Failure};

/// How much of the system's list of users is read, in bytes.
const MAX_USERS: u64 = 4 << 20;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// A process on the administration socket, with the user the kernel reports for it.
    Local(Option<u32>),
    /// A TCP client.
    Remote(SocketAddr),
}

impl Peer {
    /// The user this process runs as; the environment is not asked.
    pub(crate) fn own() -> Self {
        Self::Local(Some(rustix::process::geteuid().as_raw()))
    }

    /// The caller, for the records.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Local(Some(id)) => user(*id),
            Self::Local(None) => "unknown".to_owned(),
            Self::Remote(address) => format!("anonymous at {}", address.ip()),
        }
    }
}

/// The name of a user, or its number.
fn user(id: u32) -> String {
    let mut users = String::new();
    let read = std::fs::File::open("/etc/passwd").and_then(|file| file.take(MAX_USERS).read_to_string(&mut users));
    let found = read.ok().and_then(|_| find(&users, id));
    found.map_or_else(|| format!("user {id}"), str::to_owned)
}

fn find(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

/// Whether a request may do what its endpoint does.
pub(super) fn authorise(peer: Peer, headers: &HeaderMap, endpoint: &Endpoint) -> Result<(), Failure> {
    if let Peer::Local(_) = peer {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A page that rebinds its own name to 127.0.0.1 is same-origin to the browser, and still sends its own name.
    if !is_loopback(host) {
        let message = format!("the Host `{host}` is not this machine's loopback address");
        return Err(Failure::new(Code::Forbidden, message));
    }
    // A browser does not show a page the answer to a foreign GET, but it does send a foreign POST.
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    if endpoint.access() == Access::Change && origin.is_some_and(|origin| origin != format!("http://{host}").as_bytes())
    {
        return Err(Failure::new(Code::Forbidden, "a page of another origin may change nothing here"));
    }
    Ok(())
}

/// Whether the server may open the files that an ingest names. It opens them as its own user: on the socket that is the
/// caller's user, or root asks. Any user of the machine can ask over TCP.
pub(super) fn authorise_paths(peer: Peer, asked: &Ingest) -> Result<(), Failure> {
    let named = asked.inputs.iter().any(|input| input != Path::new("-"))
        || !asked.options.keys.is_empty()
        || asked.options.inventory.is_some();
    if named && matches!(peer, Peer::Remote(_)) {
        let message =
            "over TCP the server opens no file by its path: give `-` as input and send the archive, or use the socket";
        return Err(Failure::new(Code::Forbidden, message));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, origin: Option<&str>, endpoint: &Endpoint) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
        let peer = Peer::Remote("127.0.0.1:4000".parse().unwrap());
        authorise(peer, &headers, endpoint).is_ok()
    }

    #[test]
    fn a_web_page_of_another_origin_changes_nothing_over_tcp() {
        for host in ["127.0.0.1:5001", "localhost:5001", "[::1]:5001", "localhost"] {
            assert!(asked(host, None, &Endpoint::Rebuild), "{host}");
            assert!(asked(host, Some(&format!("http://{host}")), &Endpoint::Rebuild), "{host}");
            assert!(!asked(host, Some("http://example.com"), &Endpoint::Rebuild), "{host}");
            assert!(asked(host, Some("http://example.com"), &Endpoint::ListReleases), "{host}");
        }
        for host in ["example.com", "example.com:5001", "127.0.0.1.example.com", "10.0.0.1:5001", ""] {
            assert!(!asked(host, None, &Endpoint::ListReleases), "{host}");
        }
    }

    #[test]
    fn a_user_has_a_name_or_at_least_a_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\n# a note\n:x:7:\nops:x:1000:1000::/home/ops:/bin/sh\n";
        assert_eq!(find(users, 1000), Some("ops"));
        assert_eq!((find(users, 7), find(users, 100)), (None, None));
        assert_eq!(user(u32::MAX - 7), format!("user {}", u32::MAX - 7));
    }

    #[test]
    fn the_administration_socket_is_guarded_by_its_mode() {
        assert!(authorise(Peer::Local(Some(0)), &HeaderMap::new(), &Endpoint::Rebuild).is_ok());
        assert_eq!(Peer::Local(None).name(), "unknown");
        assert_eq!(Peer::Remote("[::1]:9".parse().unwrap()).name(), "anonymous at ::1");
    }
}
