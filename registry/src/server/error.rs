//! Why the server cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A server that cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No address is configured.
    #[error("no address to listen on is set; give at least one, such as `127.0.0.1:5000`")]
    NoAddress,
    /// The system refuses to listen on an address.
    #[error("cannot listen on `{address}`; another process may use it, or this machine does not have it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is not valid PEM.
    #[error("cannot read the TLS {what} from `{path}`")]
    Read {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The file has no PEM section of the expected kind.
    #[error("`{path}` holds no {what} in PEM (looked for `-----BEGIN {label}-----`)")]
    Absent {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The PEM label that was looked for.
        label: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not match, or rustls does not support them.
    #[error("the certificate in `{certificate}` and the key in `{key}` cannot be used together")]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}
