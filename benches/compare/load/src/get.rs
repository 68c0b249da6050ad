//! Closed-loop load on one URL, and the check that the response is the expected content.

use std::fmt::Write as _;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

use crate::connection::Connection;
use crate::{Asked, cpu};

/// One buffer per thread, larger than any small response and small enough to stay in the CPU cache.
const BUFFER: usize = 256 * 1024;
/// A thread that has seen this many errors stops: the target is broken and numbers would mean nothing.
const ERRORS: u64 = 20;

#[derive(Default)]
struct Seen {
    requests: u64,
    bytes: u64,
    errors: u64,
    first_error: Option<String>,
    /// Microseconds from each request to the end of its response.
    latencies: Vec<u32>,
}

/// Sends requests on `connections` connections for `seconds` seconds. Connecting and handshakes are not measured.
pub fn load(asked: &Asked, connections: usize, threads: usize, seconds: f64, pids: &[u32]) -> Result<String, String> {
    if threads == 0 || connections < threads || connections > 4096 || !(0.01..=600.0).contains(&seconds) {
        return Err("needs 1 <= threads <= connections <= 4096 and 0.01 <= seconds <= 600".into());
    }
    let ready = Barrier::new(threads + 1);
    let me = [std::process::id()];
    let (seen, elapsed, server_cpu, client_cpu) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|at| {
                let share = connections / threads + usize::from(at < connections % threads);
                let ready = &ready;
                scope.spawn(move || {
                    let opened: Result<Vec<_>, _> =
                        (0..share).map(|_| Connection::open(&asked.url, asked.trust.as_ref())).collect();
                    ready.wait();
                    match opened {
                        Ok(opened) => go_round(asked, opened, Duration::from_secs_f64(seconds)),
                        Err(error) => {
                            Seen { errors: 1, first_error: Some(format!("connect: {error}")), ..Seen::default() }
                        }
                    }
                })
            })
            .collect();
        ready.wait();
        let (start, server, client) = (Instant::now(), cpu::seconds(pids), cpu::seconds(&me));
        let end = start + Duration::from_secs_f64(seconds);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let server = cpu::seconds(pids) - server;
        let client = cpu::seconds(&me) - client;
        let elapsed = start.elapsed().as_secs_f64();
        let seen: Vec<Seen> = workers.into_iter().filter_map(|worker| worker.join().ok()).collect();
        (seen, elapsed, server, client)
    });
    if let Some(error) = seen.iter().find_map(|seen| seen.first_error.as_ref()) {
        eprintln!("load: first error: {error}");
    }
    let mut latencies: Vec<u32> = seen.iter().flat_map(|seen| seen.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0);
    let (requests, bytes) = (seen.iter().map(|s| s.requests).sum::<u64>(), seen.iter().map(|s| s.bytes).sum::<u64>());
    let errors = seen.iter().map(|s| s.errors).sum::<u64>() + (threads - seen.len()) as u64;
    let mut line = String::new();
    let _ = write!(
        line,
        "{{\"requests\":{requests},\"bytes\":{bytes},\"errors\":{errors},\"seconds\":{elapsed:.6},\
         \"server_cpu\":{server_cpu:.2},\"client_cpu\":{client_cpu:.2},\"p50_us\":{},\"p99_us\":{}}}",
        at(0.50),
        at(0.99)
    );
    Ok(line)
}

/// One request is in flight on every connection; the thread reads the responses in turn and sends the next request at once.
///
/// This needs no readiness call: while it waits for one connection the server can serve all the others.
fn go_round(asked: &Asked, mut connections: Vec<Connection>, length: Duration) -> Seen {
    let mut buffer = vec![0; BUFFER];
    let mut seen = Seen::default();
    let end = Instant::now() + length;
    let mut sent = Vec::with_capacity(connections.len());
    for connection in &mut connections {
        sent.push(Instant::now());
        if let Err(error) = connection.send(&asked.request) {
            seen.errors += 1;
            seen.first_error.get_or_insert(error.to_string());
        }
    }
    'time: loop {
        for (connection, sent) in connections.iter_mut().zip(&mut sent) {
            // A long body is stopped at the end of the time, and bytes after that do not count.
            let answer = connection.receive(&mut buffer, |piece| {
                let in_time = Instant::now() < end;
                seen.bytes += if in_time { piece.len() as u64 } else { 0 };
                in_time
            });
            let now = Instant::now();
            if now >= end {
                break 'time;
            }
            let next = match answer {
                Ok(Some(200)) => {
                    seen.requests += 1;
                    seen.latencies.push(u32::try_from((now - *sent).as_micros()).unwrap_or(u32::MAX));
                    *sent = now;
                    connection.send(&asked.request)
                }
                Ok(status) => Err(std::io::Error::other(format!("status {status:?}"))),
                Err(error) => Err(error),
            };
            if let Err(error) = next {
                seen.errors += 1;
                seen.first_error.get_or_insert(error.to_string());
                if seen.errors >= ERRORS {
                    break 'time;
                }
                match Connection::open(&asked.url, asked.trust.as_ref()) {
                    Ok(fresh) => *connection = fresh,
                    Err(_) => break 'time,
                }
                let _ = connection.send(&asked.request);
            }
        }
    }
    seen
}

/// Sends the request twice on one connection and compares the sha256 of each body.
pub fn check(asked: &Asked, sha256: &str) -> Result<String, String> {
    let mut buffer = vec![0; BUFFER];
    let mut connection =
        Connection::open(&asked.url, asked.trust.as_ref()).map_err(|e| format!("cannot connect: {e}"))?;
    let mut bytes = 0;
    for time in ["first", "second"] {
        let mut hash = digest::Context::new(&digest::SHA256);
        connection.send(&asked.request).map_err(|e| format!("{time} request: {e}"))?;
        let status = connection
            .receive(&mut buffer, |piece| {
                bytes += piece.len();
                hash.update(piece);
                true
            })
            .map_err(|e| format!("{time} answer: {e}"))?;
        let found = hash.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        if status != Some(200) || found != sha256 {
            return Err(format!("{time} answer of `{}`: status {status:?}, sha256 `{found}`", asked.url.path));
        }
    }
    Ok(format!("{{\"bytes\":{bytes}}}"))
}
