//! `kill -9` at random moments of ingest, rollback and rm: after the next start every repository shows the tags from
//! before the change, or every one shows those from after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::pusher::connect;
use super::random::Random;
use super::verify::{get, tags};
use testkit::bundle::save;
use testkit::folder::in_memory;
use testkit::image::layer;
use testkit::process::Process;
use testkit::process::{self, Airdock};

const KILLS: usize = 100;

/// The images of each bundle. A bundle has one version of each, under a tag of its own, and moves a shared tag.
const IMAGES: [&str; 2] = ["zenmldocker/zenml", "registry.example/tools/b"];

/// Where they are served from.
const REPOSITORIES: [(usize, &str); 3] =
    [(0, "docker.io/zenmldocker/zenml"), (0, "zenml/zenml"), (1, "registry.example/tools/b")];

const MOVING: &str = "current";

/// The visible tags: versions under their own tags, and the version the moving tag points at.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table {
    versions: BTreeSet<usize>,
    current: Option<usize>,
}

/// One change, and the table after it.
struct Change {
    arguments: Vec<String>,
    after: Table,
    kind: &'static str,
}

struct World {
    folder: tempfile::TempDir,
    /// The configs of each version's images.
    configs: Vec<[String; 2]>,
    table: Table,
    /// The table as of each existing release, by its version.
    releases: BTreeMap<usize, Table>,
    /// The number of each release.
    ids: BTreeMap<usize, u64>,
}

#[test]
fn a_hundred_kills_of_ingest_rollback_and_rm_leave_the_old_table_or_the_new_one() {
    let mut random = Random::seeded("releases");
    let mut world = World::new();
    for _ in 0..2 {
        let change = world.ingest(&mut random);
        let status = world.start(&change).0.wait().unwrap();
        assert!(status.success(), "an ingest nothing disturbs");
        world.table = change.after.clone();
        let airdock = Airdock::over(&world.data());
        world.settle(&change, airdock.address(), &change.after.clone());
        airdock.kill();
    }
    let mut times: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut met: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for kill in 0..KILLS {
        // Every other time a running server does the work.
        let server = (kill % 2 == 0).then(|| Airdock::over(&world.data()));
        let change = world.next(&mut random);
        let longest = times.get(change.kind).copied().unwrap_or(Duration::from_millis(150)).mul_f64(1.3);
        let began = Instant::now();
        let mut process = world.start(&change);
        let moment = random.between(Duration::ZERO, longest);
        let ended = loop {
            match process.0.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if began.elapsed() >= moment => break None,
                None => std::thread::sleep(Duration::from_micros(500)),
            }
        };
        match server {
            Some(server) => server.kill(),
            None => process.0.kill().unwrap(),
        }
        process.0.wait().unwrap();
        if let Some(status) = ended {
            assert!(status.success(), "{:?} fails", change.arguments);
            times.insert(change.kind, began.elapsed());
        }
        let airdock = Airdock::over(&world.data());
        let seen = world.look(airdock.address());
        let done = seen == change.after && change.after != world.table;
        assert!(
            done || seen == world.table || seen == change.after,
            "{seen:?} after {:?} of {:?}",
            change.kind,
            world.table
        );
        assert!(ended.is_none() || seen == change.after, "{} was acknowledged: {seen:?}", change.kind);
        *met.entry((change.kind, done)).or_default() += 1;
        world.settle(&change, airdock.address(), &seen);
        airdock.kill();
    }
    println!("{met:?}");
    for kind in ["ingest", "rollback", "rm"] {
        assert!(met.keys().any(|(met, _)| *met == kind), "no kill met {kind}: {met:?}");
    }
    let (done, undone) =
        met.iter().fold(
            (0, 0),
            |(done, undone), ((_, was_done), times)| {
                if *was_done { (done + times, undone) } else { (done, undone + times) }
            },
        );
    assert!(done >= 10 && undone >= 10, "the kills came too early or too late: {met:?}");
}

impl World {
    fn new() -> Self {
        Self {
            folder: in_memory(),
            configs: Vec::new(),
            table: Table::default(),
            releases: BTreeMap::new(),
            ids: BTreeMap::new(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self, change: &Change) -> Process {
        let mut command = process::command(self.folder.path());
        command.args(&change.arguments).arg("--data").arg(self.data());
        Process::spawn(&mut command)
    }

    fn next(&mut self, random: &mut Random) -> Change {
        let away: Vec<_> =
            self.releases.keys().copied().filter(|version| self.table.current != Some(*version)).collect();
        match random.below(3) {
            0 if self.releases.len() > 2 => self.remove(*random.pick(&away).unwrap()),
            1 if !away.is_empty() => self.roll_back(*random.pick(&away).unwrap()),
            _ if self.releases.len() > 5 => self.remove(*random.pick(&away).unwrap()),
            _ => self.ingest(random),
        }
    }

    /// Ingests the next version.
    fn ingest(&mut self, random: &mut Random) -> Change {
        let version = self.configs.len();
        let bundle = self.folder.path().join(format!("bundle-{version}"));
        fs::create_dir_all(bundle.join("images")).unwrap();
        let configs = [0, 1].map(|image| {
            let name = IMAGES[image];
            let tags = [format!("{name}:v{version}"), format!("{name}:{MOVING}")];
            save(&bundle.join(format!("images/{image}.tar")), &tags, &[&layer("content", &random.bytes(10_000))])
        });
        self.configs.push(configs);
        let mut after = self.table.clone();
        after.versions.insert(version);
        after.current = Some(version);
        let path = bundle.to_str().unwrap().to_owned();
        let arguments = ["ingest", "--progress", "never"].map(str::to_owned).into_iter().chain([path]).collect();
        Change { arguments, after, kind: "ingest" }
    }

    fn roll_back(&self, to: usize) -> Change {
        let arguments = vec!["release".into(), "rollback".into(), self.ids[&to].to_string()];
        Change { arguments, after: self.releases[&to].clone(), kind: "rollback" }
    }

    fn remove(&self, version: usize) -> Change {
        let arguments = vec!["release".into(), "rm".into(), self.ids[&version].to_string()];
        let mut after = self.table.clone();
        after.versions.remove(&version);
        Change { arguments, after, kind: "rm" }
    }

    /// The table that all repositories show; checks that they agree.
    fn look(&self, address: SocketAddr) -> Table {
        let mut connection = connect(address).unwrap();
        let mut seen: Option<Table> = None;
        for (image, repository) in REPOSITORIES {
            let mut table = Table::default();
            for tag in tags(&mut connection, repository).unwrap() {
                let manifest = get(&mut connection, &format!("{repository}/manifests/{tag}")).unwrap();
                let manifest: serde_json::Value =
                    serde_json::from_slice(&manifest.unwrap_or_else(|| panic!("`{repository}:{tag}` is listed")))
                        .unwrap();
                let config = manifest["config"]["digest"].as_str().unwrap();
                assert!(get(&mut connection, &format!("{repository}/blobs/{config}")).unwrap().is_some());
                let version = self.configs.iter().position(|configs| configs[image] == config).unwrap();
                match tag.strip_prefix('v') {
                    Some(number) => drop((assert_eq!(number, version.to_string()), table.versions.insert(version))),
                    None => table.current = Some(version),
                }
            }
            let before = seen.get_or_insert_with(|| table.clone());
            assert_eq!(*before, table, "two repositories show two tables");
        }
        seen.unwrap_or_default()
    }

    /// Records what was seen, and reads the numbers of the releases.
    fn settle(&mut self, change: &Change, address: SocketAddr, seen: &Table) {
        assert_eq!(self.look(address), *seen);
        let output = process::command(self.folder.path())
            .args(["releases", "--json", "--data"])
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        self.ids.clear();
        for entry in list["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "ingest") {
            let version = entry["bundle"].as_str().unwrap().strip_prefix("bundle-").unwrap().parse().unwrap();
            self.ids.insert(version, entry["id"].as_u64().unwrap());
        }
        self.table = seen.clone();
        if change.kind == "ingest" && seen.current == Some(self.configs.len() - 1) {
            self.releases.insert(self.configs.len() - 1, seen.clone());
        }
        // No other release refers to a removed one.
        let ids = &self.ids;
        self.releases.retain(|version, _| ids.contains_key(version));
        for table in self.releases.values_mut() {
            table.versions.retain(|version| ids.contains_key(version));
        }
        assert_eq!(self.releases.keys().collect::<Vec<_>>(), self.ids.keys().collect::<Vec<_>>());
        let in_effect = list["in_effect"].as_u64();
        assert_eq!(self.table.current.map(|version| self.ids[&version]), in_effect);
        remove_bundles(self.folder.path());
    }
}

fn remove_bundles(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("bundle-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}
