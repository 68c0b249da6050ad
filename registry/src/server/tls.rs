//! TLS from PEM files, and the response to a client that sends plain HTTP to the TLS port.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::error::TlsError;
use super::settings::TlsFiles;

/// The first byte of every TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// The response to plain HTTP. Docker and Go show its message to the user.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 96\r\n\r\n{\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":\"this port speaks HTTPS; use https:// to reach it\"}]}";

/// Reads certificate and key, and checks that they match.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let certificates = certificates(&files.certificate)?;
    let key = key(&files.key)?;
    let refused = |source| TlsError::Refused { certificate: files.certificate.clone(), key: files.key.clone(), source };
    // Set explicitly: a program that embeds the registry may have installed another process-wide provider.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |source| TlsError::Read { what: "certificate", path: path.into(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if found.is_empty() {
        return Err(TlsError::Absent { what: "certificate", label: "CERTIFICATE", path: path.into() });
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| match source {
        pem::Error::NoItemsFound => {
            TlsError::Absent { what: "unencrypted private key", label: "PRIVATE KEY", path: path.into() }
        }
        source => TlsError::Read { what: "key", path: path.into(), source },
    })
}

/// Performs the handshake. `None` if the client does not speak TLS.
pub(super) async fn accept(acceptor: &TlsAcceptor, mut tcp: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        if first[0].is_ascii_alphabetic() {
            tcp.write_all(NOT_TLS).await?;
            tcp.shutdown().await?;
            // Closing with the request unread would reset the connection before the client has read the response.
            let mut rest = vec![0; 16 * 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut tcp, &mut rest).await;
        }
        return Ok(None);
    }
    acceptor.accept(tcp).await.map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pair(folder: &Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn refusal(files: &TlsFiles) -> String {
        let Err(error) = acceptor(files) else { panic!("taken") };
        error.to_string()
    }

    #[test]
    fn each_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = pair(folder.path());
        assert!(acceptor(&good).is_ok());

        let absent = TlsFiles { certificate: folder.path().join("absent.crt"), ..good.clone() };
        assert!(refusal(&absent).contains("absent.crt"));

        let swapped = TlsFiles { certificate: good.key.clone(), key: good.certificate.clone() };
        assert!(refusal(&swapped).contains("tls.key` holds no certificate"), "{}", refusal(&swapped));
        let no_key = TlsFiles { key: good.certificate.clone(), ..good.clone() };
        assert!(refusal(&no_key).contains("tls.crt` holds no unencrypted private key"), "{}", refusal(&no_key));

        let other = folder.path().join("other");
        fs::create_dir(&other).unwrap();
        let mismatched = TlsFiles { key: pair(&other).key, ..good.clone() };
        assert!(refusal(&mismatched).contains("cannot be used together"), "{}", refusal(&mismatched));

        fs::write(&good.certificate, "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n").unwrap();
        assert!(refusal(&good).contains("tls.crt"), "{}", refusal(&good));
    }

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let text = std::str::from_utf8(NOT_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
