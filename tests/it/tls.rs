//! The registry over TLS with HTTP/1.1 and HTTP/2, and clients that speak another protocol.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use testkit::client::{Connection, Request};
use testkit::content::{digest, noise};
use testkit::manifest::image;
use testkit::process::{Airdock, Builder, run};

pub(crate) struct Certificate {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Configures a server with this certificate.
    pub(crate) fn arguments(&self, builder: Builder) -> Builder {
        builder
            .argument("--tls-certificate")
            .argument(self.file("tls.crt"))
            .argument("--tls-key")
            .argument(self.file("tls.key"))
    }

    fn start(&self) -> Airdock {
        let airdock = self.arguments(Airdock::builder()).start();
        assert_eq!(airdock.scheme(), "https");
        airdock
    }

    fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) fn connect(&self, airdock: &Airdock) -> Connection {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(self.client(&["http/1.1"]), name).unwrap();
        Connection::over(StreamOwned::new(tls, TcpStream::connect(airdock.address()).unwrap()), "127.0.0.1")
    }
}

#[test]
fn a_push_and_a_pull_over_tls() {
    let certificate = Certificate::new();
    let airdock = certificate.start();
    let mut connection = certificate.connect(&airdock);
    let layer = noise(5_000_000);
    for content in [&layer[..], b"{}"] {
        let target = format!("/v2/a/blobs/uploads/?digest={}", digest(content));
        let pushed = connection.send(&Request::new("POST", &target).body(content)).expect(201);
        assert!(pushed.header("location").unwrap().starts_with("/v2/a/blobs/"), "a path, whatever the scheme");
    }
    let manifest = image(&[&layer], "");
    connection.send(&Request::new("PUT", "/v2/a/manifests/v1").body(manifest.clone())).expect(201);
    assert_eq!(connection.send(&Request::new("GET", "/v2/a/manifests/v1")).expect(200).text(), manifest);
    let target = format!("/v2/a/blobs/{}", digest(&layer));
    assert!(connection.send(&Request::new("GET", &target)).expect(200).body == layer);
    let part = Request::new("GET", &target).header("Range", "bytes=1000000-4000000");
    assert!(connection.send(&part).expect(206).body == layer[1_000_000..=4_000_000]);
}

#[tokio::test]
async fn h2_is_spoken_where_it_is_offered_and_many_requests_share_a_connection() {
    let certificate = Certificate::new();
    let airdock = certificate.start();
    let layer = noise(3_000_000);
    let target = format!("/v2/a/blobs/uploads/?digest={}", digest(&layer));
    certificate.connect(&airdock).send(&Request::new("POST", &target).body(&layer[..])).expect(201);

    let tcp = tokio::net::TcpStream::connect(airdock.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(certificate.client(&["h2", "http/1.1"]));
    let tls = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls));
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let ask = |method: &str, path: String, range: Option<&str>, body: Vec<u8>| {
        let mut client = client.clone();
        let mut request = http::Request::builder().method(method).uri(format!("https://127.0.0.1{path}"));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
        async move {
            let response = client.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
        }
    };
    let blob = format!("/v2/a/blobs/{}", digest(&layer));
    let gets = (0..20).map(|_| ask("GET", blob.clone(), None, Vec::new()));
    for (status, _, body) in futures_util::future::join_all(gets).await {
        assert!(status == 200 && body == layer);
    }
    let (status, headers, body) = ask("GET", blob.clone(), Some("bytes=5-9,1-2"), Vec::new()).await;
    assert_eq!((status, headers["content-length"].to_str().unwrap()), (206, &*body.len().to_string()));
    let (status, headers, body) = ask("HEAD", blob, None, Vec::new()).await;
    assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (200, "3000000", 0));
    // A response before the whole body was sent: refused by its size, and the connection stays open.
    let (status, ..) = ask("PUT", "/v2/a/manifests/v1".into(), None, vec![b' '; (4 << 20) + 1]).await;
    assert_eq!(status, 413);
    let pushed = format!("/v2/a/blobs/uploads/?digest={}", digest("pushed over h2"));
    assert_eq!(ask("POST", pushed, None, b"pushed over h2".to_vec()).await.0, 201);
}

#[test]
fn t12_plain_http_at_a_tls_port_is_told_and_tls_at_a_plain_port_is_closed() {
    let certificate = Certificate::new();
    let airdock = certificate.start();
    let told = airdock.client().get("/v2/").expect(400);
    assert!(told.text().contains("https://"), "{}", told.text());
    certificate.connect(&airdock).send(&Request::new("GET", "/v2/")).expect(200);

    let plain = Airdock::start();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = ClientConnection::new(certificate.client(&[]), name).unwrap();
    let mut stream = StreamOwned::new(tls, TcpStream::connect(plain.address()).unwrap());
    assert!(stream.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").is_err(), "no handshake");
    plain.client().get("/v2/").expect(200);
}

#[test]
fn a_certificate_of_no_use_ends_the_start_and_is_named() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let start = |crt: PathBuf, key: PathBuf| {
        let data = certificate.file("data");
        let arguments = ["serve".into(), "--listen".into(), "127.0.0.1:0".into(), "--data".into(), data];
        let tls = ["--tls-certificate".into(), crt, "--tls-key".into(), key];
        let ended = run(certificate.folder.path(), arguments.into_iter().chain(tls));
        assert!(!ended.status.success());
        String::from_utf8(ended.stderr).unwrap()
    };
    let absent = certificate.file("absent.crt");
    assert!(start(absent.clone(), certificate.file("tls.key")).contains(absent.to_str().unwrap()));
    let swapped = start(certificate.file("tls.key"), certificate.file("tls.crt"));
    assert!(swapped.contains("holds no certificate"), "{swapped}");
    let mixed = start(certificate.file("tls.crt"), other.file("tls.key"));
    assert!(mixed.contains("cannot be used together"), "{mixed}");
}
