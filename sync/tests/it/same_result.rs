//! Same content, same result: a bundle as a folder, a tar, a compressed tar, a pipe, a block device and a mount gives the same
//! rows, tags, warnings, failures and outcome.
//!
//! Bundles are made from seeds, of every dialect, with links, with what operating systems leave behind, and unfinished.
//! `AIRDOCK_BUNDLES` says how many (2,000 take some minutes), `AIRDOCK_SEED` the first seed; a failure names its own.
//!
//! What a way cannot do by its nature, and so is not compared:
//!
//! - **A mount serves nothing that is compressed**: bundles with compressed archives are not mounted. Charts and layers are no archives
//!   to it.
//! - **A mount reads no layer**: what is damaged shows when it is served. Bundles with damaged content are not mounted; those that lack
//!   something are.
//! - **A stream cannot be read again**: what only links explain has passed when they are seen. So links to archives have the
//!   name of an archive, and links to blobs lead to blobs.
//! - **Only a folder knows the whole path of an absolute link**: those that are made here lead out of the bundle.
//! - **The name of a folder that is given is a name** of a `dir:` image in its root; that of a tar is none. None is made there.
#![allow(clippy::print_stdout, reason = "the seed is said")]
#![allow(clippy::disallowed_methods, reason = "how many bundles are made is no setting of the program")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use airdock_sync::ingest::{Event, IngestError, Input, Notice, Report};
use tar::EntryType;
use testkit::archive::{
    Files, chart, index_of, layout, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman,
    save_storage,
};
use testkit::content::{gzip, hex, xz, zstd};
use testkit::device::Loop;
use testkit::image::{Image, Remote, image_index};
use testkit::ingest::World;
use testkit::manifest::{INDEX, MANIFEST};
use testkit::tarball::{Tarball, entry, pax};

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        testkit::random::next(&mut self.0)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Symbolic(String),
    Hard(String),
    Folder,
    Pipe,
}

/// A bundle, in the order of its tar.
#[derive(Default)]
struct Bundle {
    entries: Vec<(Vec<u8>, Node)>,
    /// It holds archives that are compressed.
    compressed: bool,
    /// Content of it was changed or cut short.
    damaged: bool,
}

impl Bundle {
    fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut bundle = Self::default();
        for number in 0..=random.below(3) {
            let prefix = *random.pick(&["", "b/", "bundle/images/", "a/very/deep/folder/"]);
            let piece = bundle.piece(&mut random, number);
            files.extend(piece.into_iter().map(|(path, content)| (format!("{prefix}p{number}/{path}"), content)));
        }
        if random.one_in(3) {
            files.insert("manifest.txt".into(), b"docker.io/library/app0:1\nnothing:2\n".to_vec());
        }
        if random.one_in(3) {
            files
                .insert(random.pick(&["notes.md", "docs/page.html", "tool.bin", "x.json"]).to_string(), b"{}".to_vec());
        }
        if random.one_in(3) {
            bundle.damaged = unfinished(&mut random, &mut files);
        }
        let mut entries: Vec<(Vec<u8>, Node)> =
            files.iter().map(|(path, content)| (path.clone().into_bytes(), Node::File(content.clone()))).collect();
        if random.one_in(2) {
            let order: Vec<u64> = entries.iter().map(|_| random.next()).collect();
            let mut keyed: Vec<_> = order.into_iter().zip(entries).collect();
            keyed.sort_by_key(|(key, _)| *key);
            entries = keyed.into_iter().map(|(_, entry)| entry).collect();
        }
        linked(&mut random, &mut entries);
        leftovers(&mut random, &mut entries);
        bundle.entries = entries;
        bundle
    }

    /// One image, chart or the like, by paths.
    fn piece(&mut self, random: &mut Random, number: usize) -> Files {
        let name = format!("app{number}:1");
        let seed = random.next() % 1000;
        let image = Image::new(&[&name], &[seed, seed + 1]);
        let remote = Remote::new(seed);
        let saved = |random: &mut Random| match random.below(4) {
            0 => save_docker_20(std::slice::from_ref(&image)),
            1 => save_docker_26(std::slice::from_ref(&image)),
            2 => save_podman(std::slice::from_ref(&image)),
            _ => save_kaniko(&image),
        };
        let annotation = format!(r#""io.containerd.image.name":"docker.io/library/{name}""#);
        let mut files = Files::new();
        match random.below(9) {
            0 | 1 => drop(files.insert("image.tar".into(), saved(random))),
            2 => {
                self.compressed = true;
                let saved = saved(random);
                let (name, packed) = match random.below(3) {
                    0 => ("image.tar.gz", gzip(&saved)),
                    1 => ("image.tar.zst", zstd(&saved)),
                    _ => ("image.tar.xz", xz(&saved)),
                };
                files.insert(name.into(), packed);
            }
            // Unpacked.
            3 => files.extend(untarred(&saved(random))),
            4 => {
                let index = index_of(&[(&remote.manifest, MANIFEST, &annotation)]);
                files.extend(untarred(&layout("", &remote.parts(), &index).end()));
            }
            5 => {
                let other = Remote::new(seed + 500);
                let list = image_index(&[(&remote, "linux/amd64"), (&other, "linux/arm64")]);
                let index = index_of(&[(&list, INDEX, &annotation)]);
                let mut parts = remote.parts();
                parts.extend(other.parts());
                parts.push(&list);
                files.extend(untarred(&layout("", &parts, &index).end()));
            }
            6 => save_directory(&mut files, &format!("registry.example/team/{name}"), &remote.manifest, &[&remote]),
            7 => {
                let blobs: Vec<&[u8]> = remote.blobs.iter().map(Vec::as_slice).collect();
                let repository = format!("team/app{number}");
                save_storage(&mut files, "", &repository, &[("1", &remote.manifest)], &[], &blobs);
            }
            _ => {
                let packed = chart(&format!("chart{number}"), "1.0.0");
                if random.one_in(2) {
                    let provenance = format!("files:\n  chart{number}-1.0.0.tgz: sha256:{}\n", hex(&packed));
                    files.insert(format!("chart{number}-1.0.0.tgz.prov"), provenance.into_bytes());
                }
                files.insert(format!("chart{number}-1.0.0.tgz"), packed);
            }
        }
        files
    }

    fn tar(&self) -> Vec<u8> {
        let mut tar = Tarball::new();
        for (path, node) in &self.entries {
            let text = String::from_utf8_lossy(path).into_owned();
            tar = match node {
                Node::File(content) if std::str::from_utf8(path).is_ok() => tar.file(&text, content),
                Node::File(content) => tar.raw(&entry(path, EntryType::Regular, content, |_| {})),
                Node::Symbolic(target) => tar.link_long(EntryType::Symlink, &text, target),
                Node::Hard(target) => tar.link_long(EntryType::Link, &text, target),
                Node::Folder => tar.folder(&format!("{text}/")),
                Node::Pipe if path.len() > 100 => tar.raw(&pax(&[("path", &text)])),
                Node::Pipe => tar.raw(&entry(path, EntryType::Fifo, b"", |_| {})),
            };
        }
        tar.end()
    }

    fn write(&self, root: &Path) {
        std::fs::create_dir_all(root).unwrap();
        for (path, node) in &self.entries {
            let at = root.join(OsStr::from_bytes(path));
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            match node {
                Node::File(content) => std::fs::write(&at, content).unwrap(),
                Node::Symbolic(target) => symlink(target, &at).unwrap(),
                Node::Hard(target) => std::fs::hard_link(root.join(target), &at).unwrap(),
                Node::Folder => std::fs::create_dir_all(&at).unwrap(),
                Node::Pipe => testkit::folder::fifo(&at),
            }
        }
    }

    fn listing(&self) -> String {
        let line = |(path, node): &(Vec<u8>, Node)| {
            let node = match node {
                Node::File(content) => format!("{} bytes", content.len()),
                other => format!("{other:?}"),
            };
            format!("  {} {node}\n", String::from_utf8_lossy(path))
        };
        self.entries.iter().map(line).collect()
    }
}

/// The files of a tar, links to them as files.
fn untarred(archive: &[u8]) -> Files {
    let mut files = Files::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let target =
            entry.link_name().unwrap().map(|target| target.to_str().unwrap().trim_start_matches("../").to_owned());
        match target {
            Some(target) => drop(files.insert(path, files[&target].clone())),
            None if entry.header().entry_type().is_dir() => {}
            None => {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                files.insert(path, content);
            }
        }
    }
    files
}

/// Takes something away, as a copy does that was broken off or damaged. Returns whether content was changed.
fn unfinished(random: &mut Random, files: &mut BTreeMap<String, Vec<u8>>) -> bool {
    let mut damaged = false;
    for _ in 0..=random.below(2) {
        let paths: Vec<String> = files.keys().cloned().collect();
        let path = random.pick(&paths).clone();
        let how = random.below(3);
        damaged |= how > 0;
        match how {
            0 => drop(files.remove(&path)),
            1 => {
                let end = random.below(files[&path].len() + 1);
                files.get_mut(&path).unwrap().truncate(end);
            }
            _ => {
                let content = files.get_mut(&path).unwrap();
                let at = random.below(content.len().max(1));
                if let Some(byte) = content.get_mut(at) {
                    *byte ^= 1;
                }
            }
        }
        if files.is_empty() {
            files.insert("left.txt".into(), b"x".to_vec());
        }
    }
    damaged
}

/// Gives some files other names, makes some files links, and adds links that lead nowhere.
fn linked(random: &mut Random, entries: &mut Vec<(Vec<u8>, Node)>) {
    let up = |path: &str| "../".repeat(path.matches('/').count());
    let link = |random: &mut Random, path: &str, target: &str| match random.one_in(2) {
        true => Node::Hard(target.to_owned()),
        false => Node::Symbolic(format!("{}{target}", up(path))),
    };
    let names: Vec<String> = entries.iter().map(|(path, _)| String::from_utf8(path.clone()).unwrap()).collect();
    // A piece a second time, all of it links.
    if random.one_in(3)
        && let Some(piece) = names.iter().find_map(|name| Some(name[..name.find("p0/")? + 2].to_owned()))
    {
        let again = names.iter().filter_map(|name| Some((format!("{piece}again{}", name.strip_prefix(&piece)?), name)));
        for (path, target) in again.collect::<Vec<_>>() {
            let node = link(random, &path, target);
            entries.push((path.into_bytes(), node));
        }
    }
    // Documents that are stored elsewhere.
    let mut moved = Vec::new();
    for (number, (path, node)) in entries.iter_mut().enumerate() {
        let text = String::from_utf8(path.clone()).unwrap();
        let is_document = ["index.json", "oci-layout", "manifest.json", "manifest.txt", "link"]
            .iter()
            .any(|name| text.rsplit('/').next() == Some(name));
        if let Node::File(content) = node
            && is_document
            && names.iter().filter(|name| **name == text).count() == 1
            && random.one_in(4)
        {
            let store = format!("store/document-{number}");
            moved.push((store.clone().into_bytes(), Node::File(std::mem::take(content))));
            *node = link(random, &text, &store);
        }
    }
    // A hard link comes after what it links to; links to what was moved lead there.
    let stored: BTreeSet<Vec<u8>> = moved.iter().map(|(path, _)| path.clone()).collect();
    let symbolic: BTreeMap<String, Node> = entries
        .iter()
        .filter(|(_, node)| !matches!(node, Node::File(_)))
        .map(|(path, node)| (String::from_utf8(path.clone()).unwrap(), node.clone()))
        .collect();
    for (path, node) in entries.iter_mut() {
        if let Node::Hard(target) = node
            && symbolic.contains_key(target)
            && !stored.contains(target.as_bytes())
        {
            *node = Node::Symbolic(format!("{}{target}", up(&String::from_utf8(path.clone()).unwrap())));
        }
    }
    moved.append(entries);
    *entries = moved;
    if random.one_in(3) {
        for (path, target) in [
            ("links/nothing", "../nowhere"),
            ("links/loop", "loop"),
            ("links/out", "../../x"),
            ("links/absolute", "/etc/hostname"),
            ("links/folder", "../links"),
            ("links/through/a/file", "../../nothing/x"),
        ] {
            if random.one_in(2) {
                entries.push((path.as_bytes().to_vec(), Node::Symbolic(target.to_owned())));
            }
        }
    }
}

/// Adds what operating systems leave behind, and what is no content by its name or kind.
fn leftovers(random: &mut Random, entries: &mut Vec<(Vec<u8>, Node)>) {
    if !random.one_in(2) {
        return;
    }
    let double = [&b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "[..], &[0; 139]].concat();
    let beside: Vec<Vec<u8>> = entries
        .iter()
        .filter(|_| random.one_in(4))
        .map(|(path, _)| {
            let text = String::from_utf8(path.clone()).unwrap();
            let (folder, name) = text.rsplit_once('/').map_or(("", text.as_str()), |(folder, name)| (folder, name));
            format!("{folder}{}._{name}", if folder.is_empty() { "" } else { "/" }).into_bytes()
        })
        .collect();
    entries.extend(beside.into_iter().map(|path| (path, Node::File(double.clone()))));
    for (path, node) in [
        (&b".DS_Store"[..], Node::File(b"Bud1".to_vec())),
        (b"Thumbs.db", Node::File(b"x".to_vec())),
        (b"lost+found/#17", Node::File(double.clone())),
        (b"$RECYCLE.BIN/a.tar", Node::File(b"x".to_vec())),
        (b".git/config", Node::File(b"x".to_vec())),
        (b".cache/images/a.tar", Node::File(b"x".to_vec())),
        (b".hidden-pipe", Node::Pipe),
        (b"\xdcbersicht.pdf", Node::File(b"x".to_vec())),
        (b"\xdcber/sicht.tar", Node::File(b"x".to_vec())),
        (b"back\\slash.tar", Node::File(b"x".to_vec())),
        (b"pipe", Node::Pipe),
        (b"empty", Node::Folder),
    ] {
        if random.one_in(3) {
            entries.push((path.to_vec(), node));
        }
    }
}

/// What came of it, without the place of the input.
struct Outcome {
    ended: String,
    rows: Vec<String>,
    tags: Vec<String>,
    warnings: Vec<String>,
    failures: Vec<String>,
}

impl Outcome {
    fn lines(&self) -> BTreeSet<String> {
        let Self { ended, rows, tags, warnings, failures } = self;
        let kinds = [("row", rows), ("tag", tags), ("warning", warnings), ("failure", failures)];
        let lines = kinds.into_iter().flat_map(|(kind, lines)| lines.iter().map(move |line| format!("{kind}: {line}")));
        lines.chain([format!("outcome: {ended}")]).collect()
    }
}

fn outcome(world: &World, root: &str, result: &Result<Report, IngestError>) -> Outcome {
    let plain = |text: &str| text.replace(&format!("{root}/"), "").replace(&format!("{root}: "), "").replace(root, ".");
    let sorted = |lines: Vec<String>| lines.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let notice = |notice: &Notice| plain(&notice.to_string());
    let events = world.events.borrow();
    let warnings =
        events.iter().filter_map(|event| if let Event::Warning(it) = event { Some(notice(it)) } else { None });
    let failures =
        events.iter().filter_map(|event| if let Event::Failed(it) = event { Some(notice(it)) } else { None });
    let (ended, rows) = match result {
        // The exit code is a function of this.
        Ok(report) => (if report.failures.is_empty() { "done" } else { "refused" }, report.images.clone()),
        Err(IngestError::Nothing { .. }) => ("nothing", Vec::new()),
        Err(other) => panic!("{other}"),
    };
    let rows = rows.iter().map(|row| plain(&format!("{row:?}")));
    Outcome {
        ended: ended.into(),
        rows: sorted(rows.collect()),
        tags: world.tags(),
        warnings: sorted(warnings.collect()),
        failures: sorted(failures.collect()),
    }
}

/// Reads the bundle in every way, and says which differ.
fn differences(bundle: &Bundle) -> String {
    let media = tempfile::tempdir().unwrap();
    let folder = media.path().join("bundle");
    bundle.write(&folder);
    let tar = bundle.tar();
    let (plain, packed) = (media.path().join("bundle.tar"), media.path().join("bundle.tar.gz"));
    std::fs::write(&plain, &tar).unwrap();
    std::fs::write(&packed, gzip(&tar)).unwrap();
    let device = media.path().join("device");
    std::fs::write(&device, [tar.as_slice(), &[0xa5; 4096]].concat()).unwrap();
    let device = Loop::over(&device);
    let mut ways: Vec<(&str, Outcome)> = Vec::new();
    let mut add = |way, path: &Path, run: &dyn Fn(&World) -> Result<Report, IngestError>| {
        let world = World::new();
        let result = run(&world);
        ways.push((way, outcome(&world, &path.display().to_string(), &result)));
    };
    add("folder", &folder, &|world| world.try_path(&folder));
    add("tar", &plain, &|world| world.try_path(&plain));
    add("compressed", &packed, &|world| world.try_path(&packed));
    let pipe = Path::new("standard input");
    add("pipe", pipe, &|world| {
        let stream = Box::new(std::io::Cursor::new(tar.clone()));
        world.try_inputs(vec![Input::Stream(stream, "standard input".into())])
    });
    if let Some(device) = &device {
        add("device", &device.0, &|world| world.try_path(&device.0));
    }
    if !bundle.compressed && !bundle.damaged {
        add("mounted folder", &folder, &|world| world.try_mount(&folder));
        add("mounted tar", &plain, &|world| world.try_mount(&plain));
    }
    let first = ways[0].1.lines();
    let mut told = String::new();
    for (way, outcome) in &ways[1..] {
        let lines = outcome.lines();
        first.difference(&lines).for_each(|line| told.push_str(&format!("  {way} lacks    {line}\n")));
        lines.difference(&first).for_each(|line| told.push_str(&format!("  {way} has more {line}\n")));
    }
    if told.is_empty() { told } else { told + &bundle.listing() }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn same_content_same_result_in_all_six_ways() {
    let (first, count) = (number("AIRDOCK_SEED", 1), number("AIRDOCK_BUNDLES", 12));
    println!("bundles of the seeds {first} to {}", first + count - 1);
    let most = number("AIRDOCK_DIFFERENCES", 1);
    let mut differ = Vec::new();
    for seed in first..first + count {
        let told = differences(&Bundle::of(seed));
        if !told.is_empty() {
            println!("AIRDOCK_SEED={seed} AIRDOCK_BUNDLES=1\n{told}");
            differ.push(seed);
        }
        assert!((differ.len() as u64) < most, "of the seeds {first} to {seed}, these differ: {differ:?}");
    }
    assert!(differ.is_empty(), "of the seeds {first} to {}, these differ: {differ:?}", first + count - 1);
}
