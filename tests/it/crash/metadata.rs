//! The metadata is derived: whatever happens to its folder, the next start serves the same (S13, S14, S15).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::pusher::{Pusher, connect};
use super::random::Random;
use super::verify::{After, get, verify};
use testkit::client::Request;
use testkit::folder::in_memory;
use testkit::process::Process;
use testkit::process::{self, Airdock};

/// A data folder with content pushed by clients.
struct Content {
    folder: tempfile::TempDir,
    pushers: Vec<Pusher>,
    random: Random,
    seen: BTreeMap<String, String>,
}

impl Content {
    fn new(test: &str, steps: usize) -> Self {
        let mut random = Random::seeded(test);
        let folder = in_memory();
        let pushers = Pusher::several(3, &mut random);
        let mut content = Self { folder, pushers, random, seen: BTreeMap::new() };
        content.push(steps);
        content
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Has the clients make more changes, records what is served, and stops the server cleanly.
    fn push(&mut self, steps: usize) {
        let airdock = Airdock::over(&self.data());
        let address = airdock.address();
        std::thread::scope(|scope| {
            for pusher in &mut self.pushers {
                scope.spawn(move || pusher.work_for(address, steps));
            }
        });
        for pusher in &mut self.pushers {
            pusher.ledger.uploads.clear();
        }
        self.seen = see(&self.pushers, address);
        assert!(airdock.stop().success());
        assert!(self.data().join("metadata.seal").exists(), "a clean stop seals the metadata");
    }

    /// Starts a server and compares. With `kill` it is killed at the end, so that the metadata is not sealed.
    fn compare(&mut self, what: &str, kill: bool) {
        let data = self.data();
        let airdock = Airdock::over(&data);
        assert_same(&see(&self.pushers, airdock.address()), &self.seen, what);
        verify(&mut self.pushers, airdock.address(), &data, After::PowerCut);
        match kill {
            true => airdock.kill(),
            false => assert!(airdock.stop().success(), "{what}"),
        }
    }
}

/// Everything the API can show, one line per response: lists, and every manifest and blob in every repository, also
/// where it must not be visible.
fn see(pushers: &[Pusher], address: SocketAddr) -> BTreeMap<String, String> {
    let mut connection = connect(address).unwrap();
    let repositories: BTreeSet<_> = pushers.iter().flat_map(Pusher::repositories).collect();
    let names = |kind: &str| -> BTreeSet<String> {
        let paths = pushers.iter().flat_map(|pusher| pusher.ledger.paths());
        paths.filter_map(|path| Some(path.split_once(kind)?.1.to_owned())).collect()
    };
    let mut seen = BTreeMap::new();
    let mut lists = vec!["_catalog".to_owned()];
    for repository in &repositories {
        lists.push(format!("{repository}/tags/list"));
        let digests = names("/manifests/").into_iter().filter(|name| name.contains(':'));
        lists.extend(digests.map(|digest| format!("{repository}/referrers/{digest}")));
        for (kind, name) in names("/manifests/")
            .iter()
            .map(|name| ("manifests", name))
            .chain(names("/blobs/").iter().map(|name| ("blobs", name)))
        {
            let path = format!("{repository}/{kind}/{name}");
            let response = connection.try_send(&Request::new("HEAD", &format!("/v2/{path}"))).unwrap();
            let digest = response.header("docker-content-digest").unwrap_or_default();
            let length = response.header("content-length").unwrap_or_default();
            seen.insert(path, format!("{} {digest} {length}", response.status));
        }
    }
    for path in lists {
        let list = get(&mut connection, &path).unwrap();
        seen.insert(path, list.map_or("404".into(), |list| String::from_utf8_lossy(&list).into_owned()));
    }
    seen
}

#[track_caller]
fn assert_same(seen: &BTreeMap<String, String>, before: &BTreeMap<String, String>, what: &str) {
    assert_eq!(seen.len(), before.len(), "{what}");
    let differs = seen.iter().filter(|(path, answer)| before.get(*path) != Some(answer));
    let differs: Vec<_> =
        differs.map(|(path, answer)| format!("`{path}`: {answer}, not {:?}", before.get(path))).collect();
    assert!(differs.is_empty(), "{what}: {}", differs.join("\n"));
}

#[test]
fn s13_the_same_is_seen_whatever_happened_to_the_metadata() {
    type Harm = fn(&Path, &mut Random);
    let harms: [(&str, Harm); 12] = [
        ("untouched", |_, _| {}),
        ("folder deleted", |data, _| fs::remove_dir_all(data.join("metadata")).unwrap()),
        ("folder emptied", |data, _| {
            fs::remove_dir_all(data.join("metadata")).unwrap();
            fs::create_dir(data.join("metadata")).unwrap();
        }),
        ("a file in its place", |data, _| {
            fs::remove_dir_all(data.join("metadata")).unwrap();
            fs::write(data.join("metadata"), "x").unwrap();
        }),
        ("database cut", |data, random| {
            let file = File::options().write(true).open(data.join("metadata/db")).unwrap();
            let size = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.set_len(random.below(size) as u64).unwrap();
        }),
        ("database empty", |data, _| fs::write(data.join("metadata/db"), "").unwrap()),
        ("noise", |data, random| {
            let size = fs::metadata(data.join("metadata/db")).unwrap().len();
            fs::write(data.join("metadata/db"), random.bytes(usize::try_from(size).unwrap())).unwrap();
        }),
        ("one bit", |data, random| {
            let mut bytes = fs::read(data.join("metadata/db")).unwrap();
            let at = random.below(bytes.len());
            bytes[at] ^= 1;
            fs::write(data.join("metadata/db"), bytes).unwrap();
        }),
        ("noise, and the seal gone", |data, random| {
            fs::write(data.join("metadata/db"), random.bytes(100_000)).unwrap();
            fs::remove_file(data.join("metadata.seal")).unwrap();
        }),
        ("seal gone", |data, _| fs::remove_file(data.join("metadata.seal")).unwrap()),
        ("seal empty", |data, _| fs::write(data.join("metadata.seal"), "").unwrap()),
        ("seal of another folder", |data, _| {
            let other = in_memory();
            let airdock = Airdock::over(&other.path().join("data"));
            // Without metadata there is nothing to seal.
            airdock.client().get("/v2/_catalog").expect(200);
            assert!(airdock.stop().success());
            fs::copy(other.path().join("data/metadata.seal"), data.join("metadata.seal")).unwrap();
        }),
    ];
    let mut content = Content::new("metadata harm", 30);
    for (what, harm) in harms {
        // Also after a kill, which leaves no seal.
        for kill in [true, false] {
            if content.data().join("metadata.seal").exists() {
                harm(&content.data(), &mut content.random);
            }
            content.compare(what, kill);
        }
    }
}

#[test]
fn s13_metadata_brought_back_from_an_earlier_day_is_not_believed() {
    let mut content = Content::new("old metadata", 40);
    let data = content.data();
    let before = content.folder.path().join("before");
    fs::create_dir(&before).unwrap();
    let put = |from: &Path, to: &Path| {
        assert!(std::process::Command::new("cp").arg("--archive").args([from, to]).status().unwrap().success());
    };
    for part in ["metadata", "metadata.seal"] {
        put(&data.join(part), &before.join(part));
    }
    content.push(40);
    for part in ["metadata", "metadata.seal"] {
        let path = data.join(part);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        put(&before.join(part), &path);
    }
    content.compare("metadata and seal of an earlier day", false);
}

#[test]
fn s14_a_rebuild_cut_off_by_kills_is_begun_again() {
    let mut content = Content::new("rebuild killed", 150);
    fs::remove_file(content.data().join("metadata.seal")).unwrap();
    for _ in 0..20 {
        let mut server = process::command(content.folder.path());
        server.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(content.data());
        let mut server = Process::spawn(&mut server);
        std::thread::sleep(content.random.between(Duration::ZERO, Duration::from_millis(120)));
        server.0.kill().unwrap();
        server.0.wait().unwrap();
        assert!(!content.data().join("metadata.seal").exists(), "what was never closed is not sealed");
    }
    content.compare("after the kills", false);
}

#[test]
fn s15_files_that_are_not_ours_are_passed_over() {
    let mut content = Content::new("strangers", 40);
    let data = content.data();
    let strangers = [
        "blobs/sha256/.nfs000000000000001",
        "blobs/lost+found",
        "repositories/notes.txt",
        "repositories/team/shared/_tags/.tag.swp",
        "repositories/team/shared/_manifests/sha256/README",
        "releases/pending/.nfs000000000000002",
        "releases/notes.txt",
        "uploads/.DS_Store",
    ];
    for stranger in strangers {
        fs::write(data.join(stranger), "not ours").unwrap();
    }
    fs::create_dir(data.join("lost+found")).unwrap();
    fs::create_dir(data.join("releases/pending/lost+found")).unwrap();
    fs::remove_file(data.join("metadata.seal")).unwrap();
    let airdock = Airdock::over(&data);
    assert_same(&see(&content.pushers, airdock.address()), &content.seen, "with strangers");
    let address = airdock.address();
    content.pushers[0].work_for(address, 20);
    assert!(airdock.stop().success());
    for stranger in strangers {
        assert!(data.join(stranger).exists(), "`{stranger}` is not ours to remove");
    }
}
