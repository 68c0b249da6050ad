//! Starts the real binary on a free port and ends it when the test does.
//!
//! Every process started here is ended by its own id: on drop with SIGKILL, by [`Airdock::stop`] with SIGTERM.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;

/// How long anything a test waits for may take. Long: the machine may be busy, and a pass never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test. Cargo says where it is; a test binary that is started by hand finds it beside itself.
fn binary() -> PathBuf {
    match std::env::var_os("CARGO_BIN_EXE_airdock") {
        Some(binary) => binary.into(),
        None => std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("airdock"),
    }
}

/// The binary, ready for arguments, away from this repository's working directory and from any AIRDOCK variable.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIRDOCK") {
            command.env_remove(name);
        }
    }
    command.current_dir(directory);
    command
}

/// Runs one command of the binary to its end, with nothing on standard input.
pub fn run<A: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = A>) -> Output {
    command(directory).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command to its end with this on standard input.
pub fn pipe(command: &mut Command, content: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that knows enough hangs up before the end.
    let _ = child.stdin.take().unwrap().write_all(content);
    child.wait_with_output().unwrap()
}

/// What a program printed on standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a program said on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a program printed, if it ended with this code; with all it said in the message if not.
#[track_caller]
pub fn printed(output: &Output, code: i32) -> String {
    let (out, error) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "it printed\n{out}\nand said\n{error}");
    out
}

/// What a program said on standard error, if it ended with this code.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    printed(output, code);
    stderr(output)
}

/// A process that is ended when the test is.
pub struct Process(pub Child);

impl Process {
    /// Starts it with nothing on standard input, unheard.
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only this child, by its own handle; it may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same command, run by `wrapper` if there is one.
fn under(wrapper: &[String], command: Command) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    outer
}

/// How a server is to be started.
pub struct Builder {
    arguments: Vec<std::ffi::OsString>,
    variables: Vec<(String, String)>,
    data: Option<PathBuf>,
    listen: Vec<String>,
    under: Vec<String>,
}

impl Builder {
    /// Runs it under a program that becomes it, such as `prlimit`.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Uses a data folder the test owns, so that it outlives the process.
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Adds an argument of `serve`.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listens here instead of on a free port of 127.0.0.1; may be said several times.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.to_owned());
        self
    }

    /// Starts the server and waits until it has said where it listens.
    pub fn start(self) -> Airdock {
        let folder = tempfile::tempdir().unwrap();
        let data = self.data.unwrap_or_else(|| folder.path().join("data"));
        let mut command = command(folder.path());
        command.arg("serve").arg("--data").arg(&data);
        let listen = if self.listen.is_empty() { vec!["127.0.0.1:0".to_owned()] } else { self.listen };
        for address in &listen {
            command.arg("--listen").arg(address);
        }
        command.args(&self.arguments).envs(self.variables);
        let mut child = under(&self.under, command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        let mut airdock = Airdock { child, addresses: Vec::new(), scheme: String::new(), data, stdout, stderr, folder };
        let announced = airdock.stdout.wait(|lines| lines.len() >= listen.len());
        assert!(announced, "no listener announced:\n{}", airdock.stderr.text());
        for line in airdock.stdout.lines().iter().take(listen.len()) {
            let url = line
                .strip_prefix("airdock serves ")
                .and_then(|rest| rest.split(" from ").next())
                .unwrap_or_else(|| panic!("not an announcement: {line}"));
            let (scheme, address) = url.split_once("://").unwrap();
            scheme.clone_into(&mut airdock.scheme);
            airdock.addresses.push(address.parse().unwrap());
        }
        airdock
    }
}

/// A running server.
pub struct Airdock {
    child: Child,
    addresses: Vec<SocketAddr>,
    scheme: String,
    data: PathBuf,
    stdout: Lines,
    stderr: Lines,
    /// The working directory; and the data folder's parent unless the test brought its own.
    folder: TempDir,
}

impl Airdock {
    /// A server on a free port with an empty data folder of its own.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server on a free port over `data`, which outlives it.
    pub fn over(data: &Path) -> Self {
        Self::builder().data(data).start()
    }

    /// A server with more to be said about it.
    pub fn builder() -> Builder {
        Builder { arguments: Vec::new(), variables: Vec::new(), data: None, listen: Vec::new(), under: Vec::new() }
    }

    /// The first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Every listener's address, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// A plain HTTP client of the first listener.
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The working directory of the process.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What the process has printed so far.
    pub fn output(&self) -> String {
        self.stdout.text()
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits until the printed text holds `text`.
    pub fn wait_for_output(&self, text: &str) {
        let found = self.stdout.wait(|lines| lines.iter().any(|line| line.contains(text)));
        assert!(found, "`{text}` never printed; it printed:\n{}\nand logged:\n{}", self.output(), self.log());
    }

    /// Waits until the log holds `text`.
    pub fn wait_for_log(&self, text: &str) {
        let found = self.stderr.wait(|lines| lines.iter().any(|line| line.contains(text)));
        assert!(found, "`{text}` never logged; it logged:\n{}", self.log());
    }

    /// Sends a signal, by name: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, signal: &str) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let signal = match signal {
            "TERM" => rustix::process::Signal::TERM,
            "INT" => rustix::process::Signal::INT,
            "KILL" => rustix::process::Signal::KILL,
            "STOP" => rustix::process::Signal::STOP,
            "CONT" => rustix::process::Signal::CONT,
            other => panic!("no such signal here: {other}"),
        };
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end by itself, at most for [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "still running; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks the process to stop and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Ends the process with no chance to tidy up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Airdock {
    #[allow(clippy::print_stderr, reason = "what a failed test is understood by")]
    fn drop(&mut self) {
        // Only this child, by its own handle; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server printed\n{}", self.output());
            eprintln!("--- the server logged\n{}", self.log());
        }
    }
}

/// The lines of a pipe, read as they come so that the process never waits for the test.
#[derive(Clone, Default)]
struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    read: Mutex<Read>,
    more: Condvar,
}

#[derive(Default)]
struct Read {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl io::Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.0.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                shared.read.lock().unwrap().lines.push(text);
                shared.more.notify_all();
            }
            shared.read.lock().unwrap().ended = true;
            shared.more.notify_all();
        });
        lines
    }

    fn lines(&self) -> Vec<String> {
        self.0.read.lock().unwrap().lines.clone()
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits until `enough`, the end of the pipe, or [`PATIENCE`]; says whether it was enough.
    fn wait(&self, enough: impl Fn(&[String]) -> bool) -> bool {
        let read = self.0.read.lock().unwrap();
        let waiting = |read: &mut Read| !enough(&read.lines) && !read.ended;
        let (read, _) = self.0.more.wait_timeout_while(read, PATIENCE, waiting).unwrap();
        enough(&read.lines)
    }
}
