//! `ls`, `inspect` and `rm` on the command line, run by the command itself and by a running server.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;

use airdock_registry::oci::MediaType;
use serde_json::Value;

use testkit::bundle::example;
use testkit::client::Client;
use testkit::content::{digest, noise};
use testkit::folder::in_memory;
use testkit::manifest::{descriptor, image, index, manifest};
use testkit::process::{Airdock, printed, run, said};
use testkit::push::{push_blob, push_image, put_manifest};

/// Runs a command on the data folder `data` of `folder`.
fn ask<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> Output {
    let arguments = arguments.iter().map(AsRef::as_ref);
    run(folder, arguments.chain(["--data", "data"].map(OsStr::new)))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder whose data folder holds the example bundle and a pushed image.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    printed(&ask(folder.path(), &[OsStr::new("ingest"), example().as_os_str()]), 0);
    let airdock = Airdock::over(&folder.path().join("data"));
    push_image(&airdock.client(), "team/app", "1", &[b"layer"]);
    assert!(airdock.stop().success());
    folder
}

/// Runs `look` without a server and then with one; both must give the same.
fn both<T: PartialEq + std::fmt::Debug>(folder: &Path, mut look: impl FnMut() -> T) -> T {
    let here = look();
    let airdock = Airdock::over(&folder.join("data"));
    assert_eq!(look(), here, "by the server");
    assert!(airdock.stop().success());
    here
}

#[test]
fn ls_shows_every_tag_with_what_it_is_and_where_it_came_from() {
    let folder = filled();
    let rows = both(folder.path(), || json_lines(&printed(&ask(folder.path(), &["ls", "--json"]), 0)));
    let row = |repository: &str| rows.iter().find(|row| row["repository"] == repository).unwrap();
    let image = row("zenml/zenml");
    assert_eq!((&image["tag"], &image["kind"]), (&"0.93.2".into(), &"image".into()));
    assert!(image["platforms"][0].as_str().unwrap().starts_with("linux/"), "{image}");
    assert!(image["size"].as_u64().unwrap() > 100, "{image}");
    assert_eq!(image["digest"].as_str().unwrap().len(), "sha256:".len() + 64);
    assert!(image["provenance"]["ingested"]["bundle"].as_str().unwrap().contains("zenml-air-gapped-bundle"), "{image}");
    assert!(image["at"].as_str().unwrap().ends_with('Z'), "{image}");
    assert_eq!(row("charts/zenml")["kind"], "chart");
    let pushed = row("team/app");
    assert_eq!((&pushed["provenance"]["pushed"]["by"], &pushed["kind"]), (&"anonymous".into(), &"artifact".into()));

    let table = both(folder.path(), || printed(&ask(folder.path(), &["ls"]), 0));
    assert!(table.starts_with("TAG "), "{table}");
    assert!(table.contains("\nteam/app:1 ") && table.contains("  pushed by anonymous  "), "{table}");
    assert!(table.contains("\nzenml/zenml:0.93.2 ") && table.contains("  ingested from "), "{table}");
    assert!(table.ends_with(&format!(" {} tags\n", rows.len())), "{table}");
}

#[test]
fn ls_takes_repositories_and_stars_and_says_when_nothing_fits() {
    let folder = filled();
    let listed = |patterns: &[&str]| -> Vec<String> {
        let arguments: Vec<_> = ["ls", "--json"].iter().chain(patterns).collect();
        let rows = json_lines(&printed(&ask(folder.path(), &arguments), 0));
        rows.iter().map(|row| format!("{}:{}", row["repository"], row["tag"]).replace('"', "")).collect()
    };
    assert_eq!(listed(&["team"]), ["team/app:1"]);
    assert_eq!(listed(&["charts/zenml:0.93.*", "team/app:1"]), ["charts/zenml:0.93.2", "team/app:1"]);
    assert_eq!(listed(&["docker.io/*/zenml"]), ["docker.io/zenmldocker/zenml:0.93.2"]);
    let nothing = said(&ask(folder.path(), &["ls", "nobody"]), 1);
    assert!(nothing.contains("nothing fits nobody"), "{nothing}");
}

#[test]
fn a_folder_that_is_not_there_is_not_made_by_looking_at_it() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["ls"][..], &["inspect", "a:1"], &["rm", "a:1"]] {
        let error = said(&ask(folder.path(), arguments), 1);
        assert!(error.contains("there is no data folder `data`"), "{error}");
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn ls_works_on_a_folder_whose_server_was_killed() {
    let folder = filled();
    Airdock::over(&folder.path().join("data")).kill();
    assert!(printed(&ask(folder.path(), &["ls"]), 0).contains("\nteam/app:1 "));
}

#[test]
fn a_damaged_manifest_is_a_line_of_the_list_and_hides_no_other() {
    let folder = filled();
    let manifest = image(&[b"layer"], "");
    std::fs::write(folder.path().join("data/blobs/sha256").join(&digest(&manifest)[7..]), b"x").unwrap();
    let table = printed(&ask(folder.path(), &["ls"]), 0);
    assert!(table.contains("\nteam/app:1 ") && table.contains("\n  problem: "), "{table}");
    assert!(table.contains("\nzenml/zenml:0.93.2 "), "{table}");
}

#[test]
fn inspect_finds_a_reference_by_every_name_a_pull_finds_it_by() {
    let folder = filled();
    let names = ["zenml/zenml:0.93.2", "docker.io/zenmldocker/zenml:0.93.2", "zenmldocker/zenml:0.93.2"];
    let found: Vec<Value> = both(folder.path(), || {
        let one = |name: &&str| printed(&ask(folder.path(), &["inspect", "--json", *name]), 0).parse().unwrap();
        names.iter().map(one).collect()
    });
    assert_eq!(found[0]["repository"], "zenml/zenml");
    assert_eq!(found[1]["repository"], "docker.io/zenmldocker/zenml");
    assert_eq!(found[1], found[2]);
    assert_eq!(found[0]["digest"], found[1]["digest"]);
    assert_eq!(found[0]["places"], found[1]["places"], "one manifest, all its places");
    assert_eq!(found[0]["layers"][0]["state"], "present");
    assert!(found[0]["tag"]["provenance"]["ingested"].is_object(), "{}", found[0]);
    let pinned = format!("zenml/zenml@{}", found[0]["digest"].as_str().unwrap());
    let text = printed(&ask(folder.path(), &["inspect", &pinned]), 0);
    assert!(text.contains("\nin            docker.io/zenmldocker/zenml: 0.93.2\n"), "{text}");
    assert!(text.contains("\nplatforms     linux/"), "{text}");
    let absent = said(&ask(folder.path(), &["inspect", "zenml/zenml:nope"]), 1);
    assert!(absent.contains("cannot inspect `zenml/zenml:nope`"), "{absent}");
}

#[test]
fn inspect_says_which_platforms_are_absent_what_is_about_it_and_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let airdock = Airdock::builder().data(folder.path().join("data")).variable("AIRDOCK__REGISTRY__REFERENCES", "lax");
    let airdock = airdock.start();
    let client = airdock.client();
    let here = push_image(&client, "multi", "amd64", &[b"amd64"]);
    let sparse = index(&[&here, &image(&[b"absent"], "")]);
    put_manifest(&client, "multi", "1", &sparse).expect(201);
    push_blob(&client, "multi", b"sbom");
    let subject = format!(
        r#","artifactType":"application/spdx+json","subject":{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{}","size":{}}}"#,
        digest(&sparse),
        sparse.len()
    );
    put_manifest(&client, "multi", "sbom", &image(&[b"sbom"], &subject)).expect(201);
    let signature = format!("sha256-{}.sig", &digest(&sparse)[7..]);
    push_image(&client, "multi", &signature, &[b"signature"]);
    assert!(airdock.stop().success());
    std::fs::write(folder.path().join("data/blobs/sha256").join(&digest(b"sbom")[7..]), b"").unwrap();

    let look = |reference: &str| -> Value {
        printed(&ask(folder.path(), &["inspect", "--json", reference]), 0).parse().unwrap()
    };
    let found = look("multi:1");
    assert_eq!(found["kind"], "index");
    let states: Vec<_> = found["manifests"].as_array().unwrap().iter().map(|child| &child["state"]).collect();
    assert_eq!(states, ["present", "absent"]);
    assert_eq!(found["referrers"][0]["artifactType"], "application/spdx+json");
    assert_eq!(found["referrers"][1]["reference"], signature);
    assert_eq!(look("multi:sbom")["layers"][0]["state"], "damaged");
    assert_eq!(look("multi:sbom")["subject"], digest(&sparse));
}

#[test]
fn rm_removes_tags_and_manifests_and_refuses_what_is_not_there() {
    let folder = filled();
    let pushed = digest(image(&[b"layer"], ""));
    let gone = ask(folder.path(), &["rm", "zenml/zenml:0.93.2"]);
    assert!(printed(&gone, 0).starts_with("removed tag zenml/zenml:0.93.2\nthe disk space is not free yet"));
    let airdock = Airdock::over(&folder.path().join("data"));
    let client: Client = airdock.client();
    client.get("/v2/zenml/zenml/manifests/0.93.2").expect(404);
    client.get("/v2/docker.io/zenmldocker/zenml/manifests/0.93.2").expect(200);
    client.get("/v2/team/app/manifests/1").expect(200);
    // Through the server, which must not keep serving it from its cache.
    let pinned = format!("team/app@{pushed}");
    let output = ask(folder.path(), &["rm", "--json", "team/app:2", &pinned]);
    let rows = json_lines(&printed(&output, 1));
    assert!(rows[0]["problem"].as_str().unwrap().contains("manifest `2` is not in `team/app`"), "{}", rows[0]);
    assert_eq!((&rows[1]["manifest"], &rows[1]["tags"][0]), (&pinned.as_str().into(), &"team/app:1".into()));
    client.get("/v2/team/app/manifests/1").expect(404);
    client.get(&format!("/v2/team/app/manifests/{pushed}")).expect(404);
    // Another spelling of the name is not accepted for removal, but the error names the repository.
    let error = said(&ask(folder.path(), &["rm", "zenmldocker/zenml:0.93.2"]), 1);
    assert!(error.contains("`docker.io/zenmldocker/zenml` has it"), "{error}");
    let error = said(&ask(folder.path(), &["rm", "charts/zenml:0.93.2", "charts/zenml"]), 1);
    assert!(error.contains("`charts/zenml` is not a reference"), "{error}");
    client.get("/v2/charts/zenml/manifests/0.93.2").expect(200);
}

#[test]
fn ten_thousand_tags_are_listed_in_bounded_memory() {
    const TAGS: usize = 10_000;
    // On tmpfs: ten thousand tags are ten thousand fsyncs.
    let folder = in_memory();
    let airdock = Airdock::over(&folder.path().join("data"));
    let client = airdock.client();
    let manifest = push_image(&client, "many", "first", &[&noise(100)]);
    let mut connection = client.connect();
    for batch in 0..TAGS / 100 {
        let tags: Vec<_> = (0..100).map(|number| format!("tag=v{:05}", batch * 100 + number)).collect();
        let target = format!("/v2/many/manifests/{}?{}", digest(&manifest), tags.join("&"));
        connection.send(&testkit::client::Request::new("PUT", &target).body(manifest.as_str())).expect(201);
    }
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", airdock.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = peak();
    let output = run(
        airdock.directory(),
        [OsStr::new("ls"), OsStr::new("--json"), OsStr::new("--data"), airdock.data().as_os_str()],
    );
    let text = printed(&output, 0);
    assert_eq!(text.lines().count(), TAGS + 1);
    let grown = peak() - before;
    assert!(grown < 6 * 1024, "the server grew by {grown} KiB for {} KiB of answer", text.len() / 1024);
}

/// Flips a bit in the middle of a blob, so that its size stays the same.
fn flip(data: &Path, digest: &str) {
    let path = data.join("blobs/sha256").join(&digest["sha256:".len()..]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn verify_finds_nothing_wrong_with_what_is_whole() {
    let folder = filled();
    let found = both(folder.path(), || printed(&ask(folder.path(), &["verify"]), 0));
    assert!(found.starts_with("everything is whole: "), "{found}");
    let one: Value = printed(&ask(folder.path(), &["verify", "--json", "team/app:1"]), 0).parse().unwrap();
    assert_eq!((&one["blobs"], &one["manifests"], &one["damaged"]), (&3.into(), &1.into(), &Value::Array(Vec::new())));
}

#[test]
fn s03_verify_names_what_is_damaged_and_missing_with_what_that_breaks() {
    let folder = filled();
    let data = folder.path().join("data");
    let layer = digest(b"layer");
    flip(&data, &layer);
    let here: Value = printed(&ask(folder.path(), &["inspect", "--json", "zenml/zenml:0.93.2"]), 0).parse().unwrap();
    let config = here["config"]["digest"].as_str().unwrap();
    std::fs::remove_file(data.join("blobs/sha256").join(&config["sha256:".len()..])).unwrap();
    let chart: Value = printed(&ask(folder.path(), &["inspect", "--json", "charts/zenml:0.93.2"]), 0).parse().unwrap();
    let chart = chart["digest"].as_str().unwrap();
    flip(&data, chart);
    std::fs::write(data.join("repositories/charts/zenml-pro/_tags/0.13.2"), "torn").unwrap();

    let found = both(folder.path(), || printed(&ask(folder.path(), &["verify", "--json"]), 65));
    let found: Value = found.parse().unwrap();
    let of = |subject: &str| {
        let damaged = found["damaged"].as_array().unwrap();
        damaged.iter().find(|damage| damage["subject"].as_str().unwrap().contains(subject)).unwrap()
    };
    assert_eq!(of(&layer)["breaks"], serde_json::json!(["team/app:1"]));
    assert!(of(&layer)["problem"].as_str().unwrap().contains("its content has digest"), "{}", of(&layer));
    assert_eq!(of(config)["problem"], "it is not there");
    let broken = of(config)["breaks"].as_array().unwrap();
    assert!(
        broken.contains(&"zenml/zenml:0.93.2".into()) && broken.contains(&"docker.io/zenmldocker/zenml:0.93.2".into())
    );
    assert!(of(chart)["breaks"].as_array().unwrap().contains(&"charts/zenml:0.93.2".into()), "{}", of(chart));
    assert!(of("_tags/0.13.2")["subject"].as_str().unwrap().starts_with("link "), "{found}");
    assert_eq!(found["damaged"].as_array().unwrap().len(), 4, "{found}");
    // Verifying one reference checks only what it needs.
    printed(&ask(folder.path(), &["verify", "zenml/zenml-pro-api:0.13.2"]), 0);
    assert!(printed(&ask(folder.path(), &["verify", "team/app:1"]), 65).contains("\n  breaks team/app:1\n"));
    assert!(printed(&ask(folder.path(), &["verify", "charts/zenml:0.93.2"]), 65).contains(chart));
}

#[test]
fn s03_what_verify_moves_aside_is_mended_by_the_next_ingest_or_push() {
    let folder = filled();
    let data = folder.path().join("data");
    let here: Value = printed(&ask(folder.path(), &["inspect", "--json", "zenml/zenml:0.93.2"]), 0).parse().unwrap();
    let (layer, manifest) = (here["layers"][0]["digest"].as_str().unwrap(), here["digest"].as_str().unwrap());
    let pushed = digest(image(&[b"layer"], ""));
    for damaged in [layer, manifest, &digest(b"layer"), &pushed] {
        flip(&data, damaged);
    }
    let airdock = Airdock::over(&data);
    let client = airdock.client();
    // In the server's cache, as after a pull.
    client.get(&format!("/v2/zenml/zenml/blobs/{layer}")).expect(200);
    let text = printed(&ask(folder.path(), &["verify", "--remove-damaged"]), 65);
    assert_eq!(text.matches("its file was moved to `damaged`").count(), 4, "{text}");
    assert_eq!(std::fs::read_dir(data.join("damaged")).unwrap().count(), 4);
    client.get(&format!("/v2/zenml/zenml/blobs/{layer}")).expect(404);
    client.get("/v2/team/app/manifests/1").expect(404);
    printed(&ask(folder.path(), &[OsStr::new("ingest"), example().as_os_str()]), 0);
    push_image(&client, "team/app", "1", &[b"layer"]);
    let text = printed(&ask(folder.path(), &["verify"]), 0);
    assert!(text.starts_with("everything is whole"), "{text}");
    assert_eq!(digest(client.get("/v2/zenml/zenml/manifests/0.93.2").expect(200).body), manifest);
    assert_eq!(digest(client.get(&format!("/v2/zenml/zenml/blobs/{layer}")).expect(200).body), layer);
    client.get("/v2/team/app/manifests/1").expect(200);
}

#[test]
fn verify_ends_when_its_command_is_killed_and_does_not_block_other_commands() {
    let folder = in_memory();
    let airdock = Airdock::over(&folder.path().join("data"));
    let client = airdock.client();
    let large = noise(64 << 20);
    push_image(&client, "large", "1", &[&large]);
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            let mut verify = testkit::process::command(folder.path());
            verify.args(["verify", "--data", "data"]).stdout(std::process::Stdio::null());
            verify.spawn().unwrap()
        })
        .collect();
    client.get("/v2/large/manifests/1").expect(200);
    push_image(&client, "beside", "1", &[b"small"]);
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A server that stops does not wait for a running verify.
    assert!(airdock.stop().success());
    printed(&ask(folder.path(), &["verify"]), 0);
}

#[test]
fn c09_a_manifest_that_lost_its_last_tag_is_listed_with_the_digest_that_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let airdock = Airdock::over(&folder.path().join("data"));
    let client = airdock.client();
    let lost = digest(push_image(&client, "emp/x", "1", &[b"one"]));
    client.delete("/v2/emp/x/manifests/1").expect(202);
    // An index that lost its tag is listed, and what it lists is not; what is about another manifest belongs to that.
    let child = push_image(&client, "emp/multi", "child", &[b"two"]);
    let list = index(&[&child]);
    put_manifest(&client, "emp/multi", "all", &list).expect(201);
    let signature = image(&[], &testkit::manifest::about(&list));
    put_manifest(&client, "emp/multi", &digest(&signature), &signature).expect(201);
    client.delete("/v2/emp/multi/manifests/child").expect(202);
    push_image(&client, "emp/tagged", "1", &[b"three"]);
    assert!(airdock.stop().success());
    let untagged = |pattern: &[&str]| {
        let rows = both(folder.path(), || {
            let arguments = [&["ls", "--json"], pattern].concat();
            json_lines(&printed(&ask(folder.path(), &arguments), 0))
        });
        let without = rows.iter().filter(|row| row.get("tag").is_none());
        without.map(|row| format!("{}@{}", row["repository"], row["digest"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(untagged(&[]), [format!("emp/x@{lost}")]);
    assert_eq!(untagged(&["emp/x"]), [format!("emp/x@{lost}")]);
    assert!(untagged(&["emp/tagged:*"]).is_empty());
    let text = printed(&ask(folder.path(), &["ls", "emp/x"]), 0);
    assert!(text.contains(&format!("emp/x@{lost}")) && text.contains("1 manifest without a tag"), "{text}");
    let airdock = Airdock::over(&folder.path().join("data"));
    airdock.client().delete("/v2/emp/multi/manifests/all").expect(202);
    let rows = printed(&ask(folder.path(), &["ls", "emp/multi"]), 0);
    assert!(rows.contains(&digest(&list)) && !rows.contains(&digest(&child)), "{rows}");
    assert!(airdock.stop().success());
    printed(&ask(folder.path(), &["rm", &format!("emp/x@{lost}"), &format!("emp/multi@{}", digest(&list))]), 0);
    let left = [digest(&child), digest(&signature)].map(|left| format!("emp/multi@{left}"));
    let mut found = untagged(&[]);
    found.sort_unstable();
    assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>(), left.iter().collect());
}

#[test]
fn d07_uploads_are_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let airdock = Airdock::over(&folder.path().join("data"));
    let client = airdock.client();
    let empty = testkit::push::start_upload(&client, "team/app");
    let begun = testkit::push::start_upload(&client, "team/other");
    client.send(&testkit::client::Request::new("PATCH", &begun).body("0123456789")).expect(202);
    let rows = json_lines(&printed(&ask(folder.path(), &["uploads", "--json"]), 0));
    let row = |repository: &str| rows.iter().find(|row| row["repository"] == repository).unwrap();
    let id = |location: &str| location.rsplit('/').next().unwrap().to_owned();
    assert_eq!((rows.len(), &row("team/app")["id"]), (2, &Value::from(id(&empty))));
    assert_eq!((&row("team/other")["size"], &row("team/other")["client"]), (&10.into(), &"127.0.0.1".into()));
    let text = printed(&ask(folder.path(), &["uploads"]), 0);
    assert!(text.contains(&id(&begun)) && text.contains("2 uploads, 10 B"), "{text}");
    let refused = said(&ask(folder.path(), &["uploads", "--remove", "7b4ae0c9-9a1c-4c0e-8f5d-111111111111"]), 1);
    assert!(refused.contains("there is no upload `7b4ae0c9"), "{refused}");
    printed(&ask(folder.path(), &["uploads", "--remove", &id(&empty)]), 0);
    client.get(&empty).expect(404);
    client.get(&begun).expect(204);
    assert!(airdock.stop().success());
    // Without a server too.
    assert!(printed(&ask(folder.path(), &["uploads"]), 0).contains("1 upload, 10 B"));
    assert!(printed(&ask(folder.path(), &["uploads", "--remove-all"]), 0).contains("removed 1 upload"));
    assert!(printed(&ask(folder.path(), &["uploads"]), 0).contains("0 uploads"));
}

/// What a client would refuse to run although each blob has its digest.
#[test]
fn verify_follows_indexes_to_their_manifests_and_configs_to_their_layers() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let push = |tag: &str, diff_ids: &[&str], layers: &[&str]| {
        let ids: Vec<_> = diff_ids.iter().map(|layer| format!("\"{}\"", digest(layer))).collect();
        let rootfs = format!("{{\"type\":\"layers\",\"diff_ids\":[{}]}}", ids.join(","));
        let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{rootfs}}}");
        push_blob(&client, "a", config.as_bytes());
        layers.iter().for_each(|layer| drop(push_blob(&client, "a", layer.as_bytes())));
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(MediaType::IMAGE_LAYER, layer, "")).collect();
        let image = manifest(&descriptor(MediaType::IMAGE_CONFIG, &config, ""), &layers, "");
        put_manifest(&client, "a", tag, &image).expect(201);
        image
    };
    let verify = |code: i32| -> Value {
        let arguments = ["verify", "--json", "--data"].map(OsStr::new).into_iter().chain([airdock.data().as_os_str()]);
        printed(&run(airdock.directory(), arguments), code).parse().unwrap()
    };
    let good = push("good", &["one", "two"], &["one", "two"]);
    put_manifest(&client, "a", "index", &index(&[&good])).expect(201);
    assert_eq!(verify(0)["damaged"], serde_json::json!([]));

    let few = push("few", &["one", "two"], &["one"]);
    let swapped = push("swapped", &["one", "two"], &["two", "one"]);
    let all = index(&[&good, &swapped]);
    put_manifest(&client, "a", "all", &all).expect(201);
    // The index of an older version, or a folder that lost a link.
    let link = airdock.data().join("repositories/a/_manifests").join(digest(&good).replace(':', "/"));
    std::fs::remove_file(link).unwrap();
    let found = verify(65);
    let damaged = found["damaged"].as_array().unwrap();
    for (subject, problem, breaks) in [
        (&few, "its number of layers is 1, and 2 by its config", vec!["a:few"]),
        (&swapped, "its layer `", vec!["a:all", "a:swapped"]),
        (&index(&[&good]), "none of the manifests it lists is there", vec!["a:index"]),
    ] {
        let of = damaged.iter().find(|of| of["subject"] == *digest(subject)).unwrap();
        assert!(of["problem"].as_str().unwrap().starts_with(problem), "{of}");
        assert_eq!(of["breaks"], serde_json::json!(breaks));
    }
    // And the tag that points at it.
    assert_eq!(damaged.len(), 4, "{found}");
}
