//! The server with a real registry behind it, over real sockets, with limits short enough for a test to wait for them.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::api::Api;
use crate::oci::{Algorithm, Digest};
use crate::{Registry, Settings as RegistrySettings};

/// Longer than any of the limits below, and short enough that a hanging test is noticed.
const PATIENCE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits {
        first_byte: Duration::from_millis(300),
        header: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        stall: Duration::from_millis(1000),
        minimum_rate: 64 * 1024,
        drain: Duration::from_millis(800),
        ..Limits::default()
    }
}

struct Running {
    address: SocketAddr,
    registry: Registry,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), ServerError>>,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        Self::with(limits, None).await
    }

    async fn with(limits: Limits, tls: Option<TlsFiles>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let registry = Registry::open(RegistrySettings { data, ..RegistrySettings::default() }).await.unwrap();
        let api = Api::new(registry.clone(), limits.api());
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let server = Server::bind(Settings { listen, tls, limits, ..Settings::default() }).await.unwrap();
        let (address, shutdown) = (server.addresses()[0], CancellationToken::new());
        let serving = tokio::spawn(server.serve(api, shutdown.clone()));
        Self { address, registry, shutdown, serving, folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn push(&self, content: Vec<u8>) -> Digest {
        let digest = Algorithm::Sha256.digest(&content);
        let repository = self.registry.repository("a".parse().unwrap());
        let mut upload = repository.start_upload(Algorithm::Sha256).await.unwrap();
        upload.append(content.into()).await.unwrap();
        upload.finish(digest).await.unwrap();
        digest
    }
}

/// Sends, then reads to the end; fails if the server keeps the connection open.
async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    match tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection stays open") {
        // Aborted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        read => {
            read.unwrap();
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        received.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn r1_a_client_that_sends_nothing_is_closed() {
    let server = Running::start(limits()).await;
    let began = Instant::now();
    assert_eq!(rest(&mut server.connect().await).await, "");
    assert!(began.elapsed() >= limits().first_byte);
}

#[tokio::test]
async fn r1_a_partial_http_2_preface_is_closed() {
    let server = Running::start(limits()).await;
    assert_eq!(exchange(&mut server.connect().await, "PRI * HTTP/2.0\r\n").await, "");
}

#[tokio::test]
async fn r1_trickled_headers_are_closed_on_the_first_request_and_on_the_second() {
    let server = Running::start(limits()).await;
    for before in ["", "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let (mut reader, mut writer) = server.connect().await.into_split();
        writer.write_all(before.as_bytes()).await.unwrap();
        let trickling = tokio::spawn(async move {
            // Fails once the connection is closed.
            while writer.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut received = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut received)).await.expect("it stays open");
        trickling.abort();
        assert_eq!(received.is_empty(), before.is_empty());
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = Running::start(limits()).await;
    let mut stream = server.connect().await;
    let request = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let until = Instant::now() + 2 * limits().idle;
    while Instant::now() < until {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, "{}").await.starts_with("HTTP/1.1 200 OK\r\n"));
        tokio::time::sleep(limits().idle / 4).await;
    }
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn r1_a_client_that_stops_reading_is_closed() {
    let server = Running::start(limits()).await;
    // More than the system's buffers on both sides hold.
    let digest = server.push(vec![7; 64 * 1024 * 1024]).await;
    let mut stream = server.connect().await;
    stream.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    tokio::time::sleep(limits().stall * 3).await;
    let mut received = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("it stays open");
    assert!(ended.is_err() || received.len() < 64 * 1024 * 1024, "all of it came");
}

#[tokio::test]
async fn r1_a_body_that_stalls_is_408_and_its_upload_goes_on_where_it_stopped() {
    let server = Running::start(limits()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let started = read_until(&mut stream, "\r\n\r\n").await;
    let location = started.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();

    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello");
    let answer = exchange(&mut stream, &head).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n") && answer.contains("BLOB_UPLOAD_INVALID"), "{answer}");

    let mut stream = server.connect().await;
    let status = format!("GET {location} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(status.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.contains("range: 0-4\r\n"));
    let digest = Algorithm::Sha256.digest(b"hello world");
    let finish = format!(
        "PUT {location}?digest={digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n world"
    );
    assert!(exchange(&mut stream, &finish).await.starts_with("HTTP/1.1 201 Created\r\n"));
}

#[tokio::test]
async fn an_answer_before_the_body_arrives_although_the_client_still_sends() {
    let server = Running::start(Limits::default()).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 32 << 20);
        writer.write_all(head.as_bytes()).await?;
        for _ in 0..512 {
            writer.write_all(&[b' '; 64 * 1024]).await?;
        }
        io::Result::Ok(())
    });
    let mut received = vec![0; 64 * 1024];
    let read = tokio::time::timeout(PATIENCE, reader.read(&mut received)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&received[..read]);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close\r\n"), "{answer}");
    drop(reader);
    let _ = sending.await;
}

#[tokio::test]
async fn h31_a_body_that_is_refused_is_never_asked_for() {
    let server = Running::start(Limits::default()).await;
    let mut stream = server.connect().await;
    let request = "PUT /v2/a/manifests/.x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n";
    let answer = exchange(&mut stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let taken = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(taken.as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test]
async fn a_large_blob_comes_whole_over_plain_http_and_ranges_of_it_too() {
    let server = Running::start(Limits::default()).await;
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = server.push(content.clone()).await;
    let mut stream = server.connect().await;
    for (range, expected) in
        [("bytes=0-", &content[..]), ("bytes=1000000-", &content[1_000_000..]), ("bytes=5-99", &content[5..100])]
    {
        let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nRange: {range}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 206 "));
        let mut received = vec![0; expected.len()];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut received)).await.unwrap().unwrap();
        assert!(received == expected, "{range}");
    }
}

#[tokio::test]
async fn a_drain_lets_a_request_finish_and_ends_idle_connections() {
    let server = Running::start(Limits { drain: PATIENCE, ..Limits::default() }).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut idle, "{}").await;
    let mut busy = server.connect().await;
    busy.write_all(b"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await.unwrap();
    // Wait until the handler has it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.shutdown.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing listens any more");
    assert!(exchange(&mut busy, "}").await.starts_with("HTTP/1.1 400 "));
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish_in_time() {
    let server = Running::start(limits()).await;
    let mut busy = server.connect().await;
    busy.write_all(b"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.cancel();
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap().unwrap();
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_its_turn() {
    let server = Running::start(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    let request = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut second = server.connect().await;
    second.write_all(request.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_u8()).await;
    assert!(early.is_err(), "served beyond the limit");
    assert!(exchange(&mut first, request).await.starts_with("HTTP/1.1 200 "));
    assert!(rest(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn t12_plain_http_at_a_tls_port_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.path().join("c"), key: folder.path().join("k") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let server = Running::with(limits(), Some(files)).await;
    let answer = exchange(&mut server.connect().await, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("https://"), "{answer}");
    assert_eq!(exchange(&mut server.connect().await, "\0\0\0\0").await, "");
    assert_eq!(exchange(&mut server.connect().await, "\x16\x03\x01").await, "", "t01: a handshake that stops");
    assert_eq!(rest(&mut server.connect().await).await, "", "t01: nothing");
}

#[tokio::test]
async fn a_service_that_panics_answers_500_and_the_server_goes_on() {
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        assert!(request.uri().path() != "/panic", "the test wants a panic");
        Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(Bytes::from_static(b"fine"))))
    });
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(Settings { listen, ..Settings::default() }).await.unwrap();
    let address = server.addresses()[0];
    let serving = tokio::spawn(server.serve(service, CancellationToken::new()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut stream, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("\"code\":\"UNKNOWN\""), "{answer}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("fine"), "{answer}");
    serving.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = vec![taken.local_addr().unwrap()];
    let Err(error) = Server::bind(Settings { listen, ..Settings::default() }).await else { panic!("bound twice") };
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert!(matches!(
        Server::bind(Settings { listen: vec![], ..Settings::default() }).await,
        Err(ServerError::NoAddress)
    ));
}

#[tokio::test]
async fn s6_a_blob_whose_file_was_cut_ends_the_connection_early() {
    let server = Running::start(Limits::default()).await;
    let digest = server.push(vec![1; 3_000_000]).await;
    let file = server.folder.path().join("data/blobs/sha256").join(digest.encoded());
    let mut stream = server.connect().await;
    let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n");
    // The first pull opens the file and keeps it open at its full size.
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stream.read_exact(&mut vec![0; 3_000_000]).await.unwrap();
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1_000_000).unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.contains("content-length: 3000000\r\n"));
    assert_eq!(rest(&mut stream).await.len(), 1_000_000);
}

#[tokio::test]
async fn every_address_of_both_families_can_be_listened_on_at_one_port() {
    let bind = |listen: [&str; 2], port: u16| {
        let listen = listen.map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).to_vec();
        Server::bind(Settings { listen, ..Settings::default() })
    };
    // Another test may take the free port in the meantime, but not ten times in a row.
    for _ in 0..10 {
        let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        if bind(["0.0.0.0", "::"], port).await.is_ok() {
            return;
        }
    }
    panic!("`[::]` conflicts with `0.0.0.0`");
}

#[tokio::test]
async fn d26_a_request_has_exactly_one_host() {
    let server = Running::start(Limits::default()).await;
    for hosts in ["", "Host: x\r\nHost: y\r\n", "Host: x\r\nHost: x\r\n"] {
        let answer = exchange(&mut server.connect().await, &format!("GET /v2/ HTTP/1.1\r\n{hosts}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n") && answer.contains("`Host`"), "{answer}");
    }
    let old = exchange(&mut server.connect().await, "GET /v2/ HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
}

#[tokio::test]
async fn d26_what_is_no_request_is_refused_in_json() {
    let server = Running::start(Limits { max_header_bytes: 8192, ..Limits::default() }).await;
    let long = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(20_000));
    let fine = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, status) in [("GET /v2/ HTTP/9.1\r\n\r\n", "400"), ("\u{1} x\r\n\r\n", "400"), (&long, "431")] {
        for before in ["", fine] {
            let mut stream = server.connect().await;
            if !before.is_empty() {
                stream.write_all(before.as_bytes()).await.unwrap();
                assert!(read_until(&mut stream, "{}").await.starts_with("HTTP/1.1 200 OK\r\n"));
            }
            let answer = exchange(&mut stream, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(body["errors"][0]["message"].is_string(), "{body}");
        }
    }
}

#[tokio::test]
async fn d26_a_client_that_closed_its_side_is_answered() {
    let server = Running::start(Limits::default()).await;
    let content = vec![5; 3_000_000];
    let digest = server.push(content).await;
    let mut stream = server.connect().await;
    stream.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.len() > 3_000_000, "{} bytes", answer.len());
}

/// The bytes of an answer that look like one of hyper's own refusals are the blob's.
#[tokio::test]
async fn d26_a_blob_that_looks_like_a_refusal_is_sent_as_it_is() {
    let server = Running::start(Limits::default()).await;
    let content = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    let digest = server.push(content.clone()).await;
    let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        let mut received = vec![0; content.len()];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(received, content);
    }
}
