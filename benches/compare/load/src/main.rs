//! The load client of `benches/compare/run.py`: pulls over HTTP/1.1 keep-alive, plain or TLS 1.3 with AES-128-GCM.
//!
//! Every body is read whole (and decrypted); nothing is discarded in the kernel. It knows nothing of registries, or of
//! which server it measures. Results go to standard output as one line of JSON.

mod connection;
mod cpu;
mod get;
mod ready;

use std::process::ExitCode;

const USAGE: &str = "\
usage: load get   URL --connections N --threads N --seconds S [--accept TYPE] [--trust PEM] [--cpu-of PID,PID]
       load check URL --sha256 HEX [--accept TYPE] [--trust PEM]
       load ready URL [--accept TYPE] [--trust PEM] -- COMMAND...

get    requests URL on N connections for S seconds; each thread serves its share of the connections in turn
check  requests URL twice on one connection and compares the sha256 of each body
ready  starts COMMAND, requests URL until the first 200, prints the time and the process id, waits for COMMAND to exit";

/// What every command needs for its requests.
pub struct Asked {
    url: connection::Url,
    request: Vec<u8>,
    trust: Option<connection::Trust>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    let (url, rest) = rest.split_first().ok_or(USAGE)?;
    let split = rest.iter().position(|a| a == "--").unwrap_or(rest.len());
    let options = Options(&rest[..split]);
    let asked = options.asked(url)?;
    match command.as_str() {
        "get" => get::load(
            &asked,
            options.number("--connections")?,
            options.number("--threads")?,
            options.number("--seconds")?,
            &options.pids()?,
        ),
        "check" => get::check(&asked, options.needed("--sha256")?),
        "ready" => ready::ready(&asked, rest.get(split + 1..).unwrap_or_default()),
        _ => Err(USAGE.into()),
    }
}

/// Pairs of `--name value`.
struct Options<'a>(&'a [String]);

impl Options<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|a| a == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn needed(&self, name: &str) -> Result<&str, String> {
        self.value(name).ok_or_else(|| format!("`{name}` is missing\n{USAGE}"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.needed(name)?;
        text.parse().map_err(|_| format!("`{name} {text}` is not a number"))
    }

    fn pids(&self) -> Result<Vec<u32>, String> {
        self.value("--cpu-of")
            .unwrap_or_default()
            .split(',')
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(|_| format!("`{text}` is not a process id")))
            .collect()
    }

    fn asked(&self, url: &str) -> Result<Asked, String> {
        let url = connection::Url::parse(url)?;
        let accept = self.value("--accept").unwrap_or("*/*");
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", url.path, url.authority);
        let trust = self.value("--trust").map(connection::Trust::from_pem_file).transpose()?;
        Ok(Asked { url, request: request.into_bytes(), trust })
    }
}
