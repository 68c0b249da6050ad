//! A data folder with active clients, crashed repeatedly: by `kill -9`, or by cutting the power of its disk.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bundle::Bundles;
use super::disk::Disk;
use super::pusher::Pusher;
use super::random::Random;
use super::verify::{After, verify};
use testkit::folder::in_memory;
use testkit::process::{self, Airdock, Process};

/// The size of one layer in bytes. A bundle has six, large enough for a crash to hit in the middle.
const LAYER: usize = 700_000;

/// What is happening at the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scene {
    /// Clients push, move and delete.
    Push,
    /// They do, and the running server ingests a bundle.
    PushAndIngest,
    /// A command ingests a bundle without a server.
    IngestAlone,
    /// A server starts with a bundle to ingest, and clients push.
    ServeBundle,
    /// A server starts after the previous crash.
    Start,
    /// A server is told to stop.
    Stop,
}

/// Counts of what the crashes hit, to show that they hit something.
#[derive(Debug, Default)]
pub(super) struct Tally {
    crashes: usize,
    /// Crashes at which a request was without a response.
    in_doubt: usize,
    acknowledged: usize,
    bundles_in: usize,
    bundles_out: usize,
}

pub(super) struct Site {
    // First, so that the server is gone before its disk is unmounted.
    airdock: Option<Airdock>,
    disk: Option<Disk>,
    folder: TempDir,
    random: Random,
    pushers: Vec<Pusher>,
    bundles: Bundles,
    /// How long an ingest takes here.
    ingest: Duration,
}

impl Site {
    /// A data folder with one bundle in it, on a disk of its own if there is one.
    pub(super) fn new(random: &mut Random, disk: Option<Disk>) -> Self {
        let mut site = Self {
            airdock: None,
            disk,
            folder: in_memory(),
            random: random.fork(),
            pushers: Pusher::several(3, random),
            bundles: Bundles::default(),
            ingest: Duration::ZERO,
        };
        if site.disk.is_some() {
            // The first start, which creates the folder.
            site.crash_start();
            site.recover();
        }
        let began = Instant::now();
        let mut ingest = site.start_ingest();
        assert!(ingest.0.wait().unwrap().success(), "an ingest nothing disturbs");
        site.ingest = began.elapsed();
        site.bundles.acknowledge();
        site.airdock = Some(Airdock::over(&site.data()));
        site.bundles.settle(site.airdock.as_ref().unwrap().address());
        site
    }

    fn data(&self) -> PathBuf {
        self.disk.as_ref().map_or(self.folder.path(), Disk::path).join("data")
    }

    /// Crashes, starts again, and checks everything.
    pub(super) fn crash(&mut self, scene: Scene, tally: &mut Tally) {
        match scene {
            Scene::Push => self.crash_server(false),
            Scene::PushAndIngest => self.crash_server(true),
            Scene::ServeBundle => {
                self.stop();
                let bundle = self.make_bundle();
                let server = Airdock::builder().data(self.data()).argument("--bundle").argument(bundle);
                self.airdock = Some(server.start());
                self.crash_server(false);
            }
            Scene::IngestAlone => {
                self.stop();
                let mut ingest = self.start_ingest();
                let moment = self.ingest.mul_f64(1.2);
                std::thread::sleep(self.random.between(Duration::ZERO, moment));
                // Whether the work was done, not whether the process could still report it.
                let done = ingest.0.try_wait().unwrap();
                self.end(&mut ingest);
                if done.is_some_and(|status| status.success()) {
                    self.bundles.acknowledge();
                }
            }
            Scene::Start => {
                if let Some(airdock) = self.airdock.take() {
                    airdock.kill();
                }
                self.crash_start();
            }
            Scene::Stop => {
                let airdock = self.airdock.take().expect("running");
                airdock.signal("TERM");
                std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(40)));
                self.cut();
                airdock.kill();
            }
        }
        tally.crashes += 1;
        let doubts = self.pushers.iter().any(|pusher| pusher.ledger.is_in_doubt()) || self.bundles.is_in_doubt();
        tally.in_doubt += usize::from(doubts);
        for pusher in &mut self.pushers {
            tally.acknowledged += std::mem::take(&mut pusher.ledger.acknowledged);
        }
        let after = if self.disk.is_some() { After::PowerCut } else { After::Kill };
        self.recover();
        let data = self.data();
        let airdock = Airdock::over(&data);
        verify(&mut self.pushers, airdock.address(), &data, after);
        if self.bundles.is_in_doubt() {
            *if self.bundles.settle(airdock.address()) { &mut tally.bundles_in } else { &mut tally.bundles_out } += 1;
        } else {
            self.bundles.settle(airdock.address());
        }
        self.airdock = Some(airdock);
    }

    /// Crashes the running server while clients push, and optionally while it ingests for a command.
    fn crash_server(&mut self, with_ingest: bool) {
        let airdock = self.airdock.take().expect("running");
        let address = airdock.address();
        let ingest = with_ingest.then(|| self.start_ingest());
        let longest = if self.bundles.is_in_doubt() { self.ingest.mul_f64(1.2) } else { Duration::from_millis(80) };
        let moment = self.random.between(Duration::from_millis(2), longest.max(Duration::from_millis(3)));
        let mut pushers = std::mem::take(&mut self.pushers);
        std::thread::scope(|scope| {
            for pusher in &mut pushers {
                scope.spawn(move || pusher.work(address));
            }
            std::thread::sleep(moment);
            self.cut();
            airdock.kill();
        });
        self.pushers = pushers;
        if let Some(mut ingest) = ingest {
            let status = ingest.0.wait().unwrap();
            if status.success() {
                self.bundles.acknowledge();
            }
        }
    }

    /// Crashes a server that has just been started.
    fn crash_start(&mut self) {
        let mut server = self.command();
        server.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.data());
        let mut server = Process::spawn(&mut server);
        std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(60)));
        self.end(&mut server);
    }

    fn make_bundle(&mut self) -> PathBuf {
        self.bundles.make(&mut self.random, self.folder.path(), LAYER)
    }

    fn start_ingest(&mut self) -> Process {
        let bundle = self.make_bundle();
        let mut ingest = self.command();
        ingest.args(["ingest", "--progress", "never", "--data"]).arg(self.data()).arg(bundle);
        Process::spawn(&mut ingest)
    }

    fn command(&self) -> std::process::Command {
        process::command(self.folder.path())
    }

    /// Ends a process as the crash does.
    fn end(&mut self, process: &mut Process) {
        self.cut();
        process.0.kill().unwrap();
        process.0.wait().unwrap();
    }

    fn cut(&mut self) {
        if let Some(disk) = &self.disk {
            disk.cut();
            // Processes run on for a moment after the cut, and must handle the I/O errors.
            std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(10)));
        }
    }

    /// Restores the disk. No process may have it open.
    fn recover(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.recover();
        }
    }

    fn stop(&mut self) {
        if let Some(airdock) = self.airdock.take() {
            assert!(airdock.stop().success(), "a server that is told to stop");
        }
    }
}

impl Tally {
    /// Fails if the crashes hit nothing: then the test proves nothing.
    #[track_caller]
    pub(super) fn check(&self) {
        println!("{self:?}");
        assert!(self.in_doubt * 4 >= self.crashes, "too few crashes met a change under way: {self:?}");
        assert!(self.acknowledged >= self.crashes * 5, "too little was acknowledged: {self:?}");
        assert!(self.bundles_out > 0, "no crash met a bundle on its way: {self:?}");
    }
}

/// So many MiB of disk for one site; what [`Site`] does in its time fits in.
pub(super) const DISK: u64 = 384;
