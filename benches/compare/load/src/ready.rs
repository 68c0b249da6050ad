//! The time from exec to the first 200.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Asked;
use crate::connection::Connection;

/// The longest wait for a server to become ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two attempts: short against what is measured, long enough to leave the CPU to the server.
const PAUSE: Duration = Duration::from_micros(200);

/// Starts the command, sends requests until the first 200, prints how long that took, and waits for the command to exit.
pub fn ready(asked: &Asked, command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("a command is needed after `--`")?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start `{program}`: {e}"))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let answer = Connection::open(&asked.url, asked.trust.as_ref()).and_then(|mut connection| {
            connection.send(&asked.request)?;
            connection.receive(&mut buffer, |_| true)
        });
        let taken = start.elapsed();
        if let Ok(Some(200)) = answer {
            println!("{{\"milliseconds\":{:.3},\"pid\":{}}}", taken.as_secs_f64() * 1e3, child.id());
            break;
        }
        let gone = child.try_wait().ok().flatten();
        if gone.is_some() || taken > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("`{program}` gave no 200 ({gone:?}); last answer: {answer:?}"));
        }
        std::thread::sleep(PAUSE);
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    Ok(format!("{{\"ended\":\"{status}\"}}"))
}
