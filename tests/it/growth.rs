//! What grows with the content, and what must not: memory, and how much is read for an answer. Times are measured by
//! `benches/growth`.

use std::fs;

use testkit::client::Client;
use testkit::content::digest;
use testkit::manifest::{MANIFEST, about, descriptor, image, manifest};
use testkit::process::{Airdock, printed, run};
use testkit::push::{push_blob, put_manifest};

/// Layers that a manifest names: what anybody may push in one.
const LAYERS: usize = 1000;

/// The most memory the process has had, in MiB.
fn peak(airdock: &Airdock) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", airdock.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// How often the process has read from files and sockets.
fn reads(airdock: &Airdock) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", airdock.id())).unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// Pushes a manifest of layers that need not be there.
fn push_foreign(client: &Client, number: usize) {
    let foreign = |layer| {
        let media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let size = format!("{number}/{layer}");
        descriptor(media_type, size, r#","urls":["https://example.org/"]"#)
    };
    let layers: Vec<_> = (0..LAYERS).map(foreign).collect();
    let manifest = manifest(&descriptor("application/vnd.oci.empty.v1+json", "{}", ""), &layers, "");
    put_manifest(client, "a", &digest(&manifest), &manifest).expect(201);
}

#[test]
fn d01_what_clients_push_decides_neither_the_memory_of_a_server_nor_that_of_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let airdock = Airdock::over(&data);
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    for number in 0..100 {
        push_foreign(&client, number);
    }
    let pushed = peak(&airdock);
    airdock.kill();
    let airdock = Airdock::over(&data);
    // Waits for the index, which is read again from a hundred thousand rows' worth of manifests.
    airdock.client().get("/v2/a/tags/list").expect(200);
    let started = peak(&airdock);
    assert!(pushed < 128 && started < 128, "{pushed} MiB while it was pushed, {started} MiB after the start");
}

#[test]
fn what_one_tag_is_costs_the_same_among_any_number_of_tags() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    for number in 0..300 {
        let manifest = image(&[], &format!(r#","annotations":{{"number":"{number}"}}"#));
        put_manifest(&client, "a", &format!("v{number}"), &manifest).expect(201);
    }
    let list = |pattern: &str| {
        let before = reads(&airdock);
        let listed = printed(&run(airdock.directory(), ["ls", "--json", pattern, "--data", "data"]), 0).lines().count();
        (listed, reads(&airdock) - before)
    };
    let (all, reads_of_all) = list("a");
    assert_eq!(all, 300);
    assert!(reads_of_all > 300, "reads are counted: {reads_of_all}");
    for pattern in ["a:v7", "a:v299", "a:*99"] {
        let (listed, reads) = list(pattern);
        assert!((1..=3).contains(&listed) && reads < 100, "{pattern}: {listed} tags, {reads} reads");
    }
}

#[test]
fn d24_a_page_of_referrers_reads_no_manifest_and_the_pages_have_each_once() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let subject = image(&[], "");
    put_manifest(&client, "a", "1", &subject).expect(201);
    // Longer than the index keeps, one of them: it is read.
    let long = "x".repeat(10_000);
    let mut pushed: Vec<_> = (0..300)
        .map(|number| {
            let text = if number == 7 { &long } else { "short" };
            let more = format!(r#","artifactType":"a/{}","annotations":{{"n":"{number} {text}"}}"#, number % 3);
            let referrer = image(&[], &(about(&subject) + &more));
            put_manifest(&client, "a", &digest(&referrer), &referrer).expect(201);
            digest(&referrer)
        })
        .collect();
    pushed.sort();
    let target = format!("/v2/a/referrers/{}", digest(&subject));
    let before = reads(&airdock);
    let all = client.get(&target).expect(200).json();
    let reads = reads(&airdock) - before;
    assert!(reads < 100, "{reads} reads");
    let digests = |json: &serde_json::Value| {
        let entries = json["manifests"].as_array().unwrap().iter();
        entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&all), pushed);
    let first = &all["manifests"][0];
    assert_eq!(first["mediaType"], MANIFEST);
    assert!(first["size"].as_u64().unwrap() > 300 && first["artifactType"].as_str().unwrap().starts_with("a/"));
    assert!(first["annotations"]["n"].as_str().unwrap().ends_with("short"));
    let of_one = client.get(&format!("{target}?artifactType=a/1")).expect(200).json();
    assert_eq!(digests(&of_one).len(), 100);
    let after = client.get(&format!("{target}?last={}", pushed[199])).expect(200).json();
    assert_eq!(digests(&after), pushed[200..]);
    client.delete(&format!("/v2/a/manifests/{}", pushed[0])).expect(202);
    assert_eq!(digests(&client.get(&target).expect(200).json()), pushed[1..]);
}
