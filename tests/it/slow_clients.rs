//! Clients that do not read, that trickle, or that only hold a connection, and what others notice of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::client::{Connection, Request};
use testkit::content::{digest, noise};
use testkit::process::{Airdock, PATIENCE};
use testkit::push::{push_blob, push_image, put_manifest, start_upload};

/// One figure of `/proc/PID/status`, in MiB.
fn mebibytes(airdock: &Airdock, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", airdock.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

/// An HTTP/2 connection, frame by frame, whose client takes no byte of any body.
struct Deaf(TcpStream);

impl Deaf {
    fn connect(airdock: &Airdock) -> Self {
        let mut stream = TcpStream::connect(airdock.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut deaf = Self(stream);
        // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        deaf.frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        deaf
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _ = self.0.write_all(&frame);
    }

    /// A GET on the stream of this number.
    fn get(&mut self, number: u32, path: &str) {
        // `:method: GET`, `:scheme: http`, `:path` and `:authority` as text.
        let mut header = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        header.extend(path.as_bytes());
        header.extend([0x01, 1, b'x']);
        self.frame(1, 0x5, 2 * number + 1, &header);
    }

    fn ping(&mut self) {
        self.frame(6, 0, 0, &[0; 8]);
    }

    /// Reads until the server closes; says whether it did so in time.
    fn is_closed_within(&mut self, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        self.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut piece = [0; 4096];
        while Instant::now() < until {
            self.ping();
            match self.0.read(&mut piece) {
                Ok(0) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return true,
                _ => {}
            }
        }
        false
    }
}

/// Pushes a manifest of almost the largest size; gives its path.
fn push_large_manifest(airdock: &Airdock) -> String {
    let client = airdock.client();
    push_image(&client, "large", "small", &[b"layer"]);
    let manifest =
        testkit::manifest::image(&[b"layer"], &format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(4_100_000)));
    put_manifest(&client, "large", "v1", &manifest).expect(201);
    format!("/v2/large/manifests/{}", digest(manifest.as_bytes()))
}

/// The most that may be resident, in MiB, whatever clients leave unread.
const MOST: u64 = 128;

#[test]
fn d03_manifests_that_nobody_reads_take_little_memory_and_give_it_back() {
    let airdock = Airdock::start();
    let path = push_large_manifest(&airdock);
    let mut deaf: Vec<Deaf> = (0..4).map(|_| Deaf::connect(&airdock)).collect();
    for connection in &mut deaf {
        for stream in 0..128 {
            connection.get(stream, &path);
        }
    }
    // Meanwhile others are served.
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        airdock.client().get("/v2/large/manifests/small").expect(200);
        std::thread::sleep(Duration::from_millis(100));
    }
    let peak = mebibytes(&airdock, "VmHWM");
    assert!(peak <= MOST, "{peak} MiB");
    // The largest, too: those that hold memory and do not read give way.
    let began = Instant::now();
    let answer = airdock.client().get(&path);
    assert!(answer.status == 200, "{} after {:?}", answer.text(), began.elapsed());
    drop(deaf);
    let until = Instant::now() + PATIENCE;
    while mebibytes(&airdock, "VmRSS") > MOST / 2 {
        assert!(Instant::now() < until, "{} MiB stay", mebibytes(&airdock, "VmRSS"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(mebibytes(&airdock, "VmHWM") <= MOST);
}

#[test]
fn d03_blobs_that_nobody_reads_take_little_memory_on_many_connections() {
    let airdock = Airdock::start();
    let content = noise(4_000_000);
    let path = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &content));
    let mut deaf: Vec<Deaf> = (0..50).map(|_| Deaf::connect(&airdock)).collect();
    for connection in &mut deaf {
        for stream in 0..128 {
            connection.get(stream, &path);
        }
    }
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        let began = Instant::now();
        assert!(airdock.client().get(&path).expect(200).body == content);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    let peak = mebibytes(&airdock, "VmHWM");
    assert!(peak <= MOST, "{peak} MiB");
}

#[test]
fn d03_pings_do_not_keep_a_connection_whose_answers_are_not_read() {
    let airdock = Airdock::builder().variable("AIRDOCK__SERVER__LIMITS__STALL", "2s").start();
    let path = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &noise(1_000_000)));
    let mut deaf = Deaf::connect(&airdock);
    deaf.get(0, &path);
    assert!(deaf.is_closed_within(Duration::from_secs(20)));
}

#[test]
fn d06_manifests_that_trickle_keep_nobody_from_pushing() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let stop = Arc::new(AtomicBool::new(false));
    let trickling: Vec<_> = (0..17)
        .map(|number| {
            let (mut connection, stop) = (client.connect(), stop.clone());
            std::thread::spawn(move || {
                let head =
                    format!("PUT /v2/a/manifests/v{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
                let mut written = connection.write(head.as_bytes());
                while written.is_ok() && !stop.load(Ordering::Relaxed) {
                    written = connection.write(&[b' '; 512]);
                    std::thread::sleep(Duration::from_millis(250));
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let (send, sent) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        push_image(&client, "a", "real", &[b"layer"]);
        let _ = send.send(());
    });
    let pushed = sent.recv_timeout(Duration::from_secs(5));
    stop.store(true, Ordering::Relaxed);
    assert!(pushed.is_ok(), "no manifest can be pushed");
    for thread in trickling {
        thread.join().unwrap();
    }
}

/// The limits of open files of a process: now, and at most.
fn open_files(airdock: &Airdock) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", airdock.id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn d09_the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    let airdock = Airdock::builder().under(&["prlimit", "--nofile=256:2048"]).start();
    assert_eq!(open_files(&airdock), ("2048".to_owned(), "2048".to_owned()));
}

/// Opens connections and sends one request on each, so that they are idle after it.
fn idle(airdock: &Airdock, count: usize) -> Vec<Connection> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut connection = airdock.client().connect();
        connection.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        open.push(connection);
    }
    open
}

#[test]
fn d09_idle_connections_leave_descriptors_for_the_files_and_the_index() {
    let airdock = Airdock::builder().under(&["prlimit", "--nofile=512:512"]).start();
    airdock.wait_for_log("not 4096");
    let client = airdock.client();
    let layers: Vec<Vec<u8>> = (0..20).map(|index| noise(50_000 + index)).collect();
    let blobs: Vec<String> = layers.iter().map(|layer| push_blob(&client, "a", layer)).collect();
    push_image(&client, "a", "v1", &[b"layer"]);
    let held = idle(&airdock, 600);
    for blob in &blobs {
        airdock.client().get(&format!("/v2/a/blobs/{blob}")).expect(200);
    }
    let began = Instant::now();
    assert!(airdock.client().get("/v2/a/tags/list").expect(200).text().contains("v1"));
    push_image(&airdock.client(), "a", "v2", &[b"layer"]);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(!airdock.log().contains("the index failed"), "{}", airdock.log());
    drop(held);
}

#[test]
fn d10_a_client_that_takes_all_connections_gives_its_longest_idle_ones_to_others() {
    let airdock = Airdock::builder().variable("AIRDOCK__SERVER__LIMITS__CONNECTIONS", "100").start();
    push_image(&airdock.client(), "a", "v1", &[b"layer"]);
    let mut held = idle(&airdock, 100);
    for _ in 0..10 {
        let began = Instant::now();
        airdock.client().get("/v2/a/manifests/v1").expect(200);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    airdock.wait_for_log("all connections are in use");
    let log = airdock.log();
    assert!(log.contains("127.0.0.1") && log.matches("all connections are in use").count() == 1, "{log}");
    // The longest idle one went first, the youngest is still there.
    let mut oldest = held.remove(0);
    assert_eq!(oldest.read_response("GET").unwrap().status, 200);
    assert!(oldest.read_some(1).is_ok_and(|bytes| bytes.is_empty()), "still open");
    let youngest = held.last_mut().unwrap();
    youngest.read_response("GET").unwrap();
    assert_eq!(youngest.send(&Request::new("GET", "/v2/")).status, 200);
}

#[test]
fn d15_a_log_that_nobody_reads_stops_neither_requests_nor_the_end_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = testkit::process::command(folder.path());
    command.args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]).env("AIRDOCK__LOG__LEVEL", "debug");
    let piped = std::process::Stdio::piped;
    let child = command.stdin(std::process::Stdio::null()).stdout(piped()).stderr(piped()).spawn().unwrap();
    let mut process = testkit::process::Process(child);
    let mut announced = String::new();
    let mut stdout = std::io::BufReader::new(process.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut announced).unwrap();
    let address = announced.split("://").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // Standard error is open, and nobody reads it.
    let _unread = process.0.stderr.take().unwrap();
    let client = testkit::client::Client::new(address);
    for _ in 0..2000 {
        client.get("/v2/a/manifests/absent").expect(404);
    }
    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while process.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn d16_a_reader_above_the_minimum_rate_is_not_cut_whatever_is_in_the_send_buffer() {
    let airdock = Airdock::builder().variable("AIRDOCK__SERVER__LIMITS__STALL", "5s").start();
    let path = format!("/v2/a/blobs/{}", push_blob(&airdock.client(), "a", &noise(40_000_000)));
    let mut connection = airdock.client().connect();
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let until = Instant::now() + Duration::from_secs(22);
    // 48 KiB a second, of a minimum of 1 KiB.
    while Instant::now() < until {
        let read = connection.read_some(12 * 1024).expect("it is cut");
        assert!(!read.is_empty(), "it is cut");
        std::thread::sleep(Duration::from_millis(250));
    }
    // What was in the system's buffers would come in any case.
    let mut rest = 0;
    while let Ok(read) = connection.read_some(1 << 20) {
        rest += read.len();
        if read.is_empty() || rest > 30_000_000 {
            break;
        }
    }
    assert!(rest > 30_000_000, "it was cut: only {rest} more bytes came");
}

#[test]
fn c11_the_answer_to_a_body_that_stalls_names_the_settings() {
    let airdock = Airdock::builder().variable("AIRDOCK__SERVER__LIMITS__STALL", "1s").start();
    let location = start_upload(&airdock.client(), "a");
    let mut connection = airdock.client().connect();
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello");
    connection.write(head.as_bytes()).unwrap();
    let answer = connection.read_response("PATCH").unwrap();
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("server.limits.stall") && answer.text().contains("server.limits.minimum_rate"));
}

#[test]
fn c11_by_default_a_relay_may_pause_for_minutes() {
    let config = airdock_config::Config::default();
    assert!(config.server.limits.stall >= Duration::from_secs(180));
}
