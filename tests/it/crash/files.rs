//! At the limit of open files the server waits for a free one and does not spin (S17).

use std::time::Duration;

use super::pusher::{Pusher, connect};
use super::random::Random;
use super::verify::{After, verify};
use testkit::process::Airdock;

#[test]
fn s17_a_server_out_of_open_files_waits_without_spinning_and_recovers() {
    let airdock = Airdock::builder().under(&["prlimit", "--nofile=64"]).start();
    let mut random = Random::seeded("open files");
    let mut pushers = Pusher::several(1, &mut random);
    pushers[0].work_for(airdock.address(), 60);

    let held: Vec<_> = (0..64).map(|_| connect(airdock.address()).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let before = processor_time(airdock.id());
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_time(airdock.id()) - before;
    assert!(used < Duration::from_millis(200), "busy for {used:?} of a second with nothing to do");

    drop(held);
    verify(&mut pushers, airdock.address(), airdock.data(), After::Kill);
    pushers[0].work_for(airdock.address(), 30);
}

/// The CPU time of a process.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // After the name, which may contain anything, come the state and then numbers: the 12th and 13th are user and system time.
    let fields: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // In hundredths of a second (USER_HZ).
    Duration::from_millis(ticks * 10)
}
