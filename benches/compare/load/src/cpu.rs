//! CPU time of processes, from `/proc/PID/stat`.

/// The kernel's USER_HZ, which is 100 on every Linux a registry runs on (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// User and system seconds of these processes so far, over all threads. A process that has exited counts as zero.
pub fn seconds(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| ticks(*pid)).sum::<f64>() / TICKS
}

fn ticks(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses and may contain anything; fields 14 and 15 are utime and stime.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
