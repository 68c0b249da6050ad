//! A mount serves what an ingest would have, writes nothing, and pushed content takes precedence over it.

use std::path::Path;

use super::{APP, blob, get, mounting, save};
use testkit::bundle::{example, example_tar};
use testkit::client::Request;
use testkit::content::{digest, gzip, noise};
use testkit::manifest::image;
use testkit::process::{Airdock, run};
use testkit::pull::everything;
use testkit::push::{push_blob, push_image, put_manifest};

/// The files below a data folder, without those of the metadata and the lock.
fn files(data: &Path) -> Vec<String> {
    let files = testkit::folder::files(data).into_iter().map(|file| file.display().to_string());
    files.filter(|file| !file.starts_with("metadata") && file != "lock" && !file.ends_with(".sock")).collect()
}

#[test]
fn a_mounted_bundle_is_what_an_ingest_of_it_is_as_a_folder_and_as_one_tar() {
    let ingested = Airdock::builder().argument("--bundle").argument(example()).start();
    ingested.wait_for_output("pull by the internal name:");
    let expected = everything(&ingested.client());
    assert!(expected.len() > 30, "{}", expected.len());
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("bundle.tar");
    std::fs::write(&one, example_tar()).unwrap();
    for medium in [example(), one] {
        let mounted = mounting(&medium).start();
        assert!(everything(&mounted.client()) == expected, "{}", medium.display());
        mounted.wait_for_output("6 images and charts");
        // And again after the background pass has read everything.
        mounted.wait_for_log("are whole; 0 are not");
        assert!(everything(&mounted.client()) == expected, "{}", medium.display());
    }
}

#[test]
fn nothing_of_a_mount_is_written_and_after_a_restart_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mounted = mounting(&example()).data(&data).start();
    let before = files(&data);
    everything(&mounted.client());
    mounted.wait_for_log("are whole; 0 are not");
    assert_eq!(files(&data), before);
    assert!(mounted.stop().success());
    assert!(!files(&data).iter().any(|file| file.starts_with("blobs/") || file.starts_with("repositories/")));
    let plain = Airdock::over(&data);
    plain.client().get("/v2/zenml/zenml/manifests/0.93.2").expect(404);
}

#[test]
fn what_was_pushed_goes_before_what_is_mounted_and_both_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let plain = Airdock::over(&data);
    let pushed = push_image(&plain.client(), "zenml/zenml", "0.93.2", &[b"with a CA baked in"]);
    push_image(&plain.client(), "zenml/zenml", "mine", &[b"x"]);
    assert!(plain.stop().success());
    let mounted = mounting(&example()).data(&data).start();
    let client = mounted.client();
    assert_eq!(client.get("/v2/zenml/zenml/manifests/0.93.2").expect(200).text(), pushed);
    assert!(client.get("/v2/zenmldocker/zenml/manifests/0.93.2").expect(200).text() != pushed);
    let tags = client.get("/v2/zenml/zenml/tags/list").expect(200).json();
    assert_eq!(tags["tags"], serde_json::json!(["0.93.2", "mine"]));
    let page = client.get("/v2/zenml/zenml/tags/list?n=1").expect(200);
    assert_eq!(page.json()["tags"], serde_json::json!(["0.93.2"]));
    assert!(page.header("link").is_some());
    // The same for content pushed while it is mounted.
    let pushed = push_image(&client, "charts/zenml", "0.93.2", &[b"y"]);
    assert_eq!(client.get("/v2/charts/zenml/manifests/0.93.2").expect(200).text(), pushed);
}

#[test]
fn an_image_built_on_a_mounted_one_is_pushed_without_its_layers_and_outlives_the_medium() {
    let folder = tempfile::tempdir().unwrap();
    let (base, data) = (noise(3_000_000), folder.path().join("data"));
    let path = save(folder.path(), &[(&base, &base)]);
    let mounted = mounting(&path).data(&data).start();
    let client = mounted.client();
    // As clients do: blobs that a HEAD request finds are not sent.
    client.head(&blob(&base)).expect(200);
    push_blob(&client, "docker.io/library/app", b"{}");
    put_manifest(&client, "docker.io/library/app", "built", &image(&[&base], "")).expect(201);
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=docker.io/library/app", digest(&base));
    client.send(&Request::new("POST", &mount).body("")).expect(201);
    assert!(mounted.stop().success());
    std::fs::remove_file(&path).unwrap();
    let plain = Airdock::over(&data);
    plain.client().get(&format!("{APP}/manifests/built")).expect(200);
    assert!(plain.client().get(&blob(&base)).expect(200).body == base);
    assert!(plain.client().get(&format!("/v2/other/blobs/{}", digest(&base))).expect(200).body == base);
    plain.client().get(&format!("{APP}/manifests/v1")).expect(404);
}

#[test]
fn deleting_what_is_mounted_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(100_000);
    let mounted = mounting(&save(folder.path(), &[(&layer, &layer)])).start();
    let client = mounted.client();
    let by_digest = client.get(&format!("{APP}/manifests/v1")).header("docker-content-digest").unwrap().to_owned();
    for path in [format!("{APP}/manifests/v1"), format!("{APP}/manifests/{by_digest}"), blob(&layer)] {
        let refused = client.delete(&path).expect(405);
        assert_eq!(refused.error_code(), "UNSUPPORTED");
        assert!(refused.text().contains("mounted medium"), "{}", refused.text());
    }
    client.get(&format!("{APP}/manifests/v1")).expect(200);
}

#[test]
fn several_media_and_a_bundle_are_served_together() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(1000);
    let disc = save(folder.path(), &[(&layer, &layer)]);
    let airdock =
        mounting(&disc).argument("--mount").argument(example()).argument("--bundle").argument(example()).start();
    airdock.wait_for_output("went in");
    airdock.client().get(&format!("{APP}/manifests/v1")).expect(200);
    airdock.client().get("/v2/zenml/zenml/manifests/0.93.2").expect(200);
    assert_eq!(airdock.output().lines().filter(|line| line.starts_with("mounted ")).count(), 2);
}

#[test]
fn a_medium_that_cannot_be_used_stops_the_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("empty")).unwrap();
    for (path, why) in [("empty", "holds neither"), ("no-such-disc", "No such file")] {
        let ended = run(folder.path(), ["serve", "--listen", "127.0.0.1:0", "--mount", path]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot mount") && said.contains(path) && said.contains(why), "{said}");
        assert!(ended.stdout.is_empty(), "it never listened");
    }
}

#[test]
fn a_compressed_archive_says_that_it_cannot_be_mounted_and_is_ingested_instead() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("bundle.tar.gz");
    let layer = noise(1000);
    std::fs::write(&packed, gzip(&std::fs::read(save(folder.path(), &[(&layer, &layer)])).unwrap())).unwrap();
    for copy in [false, true] {
        let mut builder = mounting(&packed).argument("--mount").argument(example());
        if copy {
            builder = builder.argument("--copy");
        }
        let airdock = builder.start();
        // Everything else is served at once, and this archive as soon as it is ingested.
        airdock.wait_for_output("1 image or chart went in");
        let log = airdock.log();
        assert!(log.contains("it is compressed") && log.contains("it is ingested instead"), "{log}");
        assert!(!airdock.output().contains(&format!("mounted {}", packed.display())), "{}", airdock.output());
        assert!(airdock.client().get(&blob(&layer)).expect(200).body == layer);
        airdock.client().get("/v2/zenml/zenml/manifests/0.93.2").expect(200);
        let hex = digest(&layer);
        assert!(airdock.data().join("blobs/sha256").join(hex.trim_start_matches("sha256:")).exists());
    }
}

#[test]
fn a_range_of_an_unverified_blob_is_answered_with_the_whole_blob() {
    let folder = tempfile::tempdir().unwrap();
    let layer = noise(5_000_000);
    let mounted = mounting(&save(folder.path(), &[(&layer, &layer)])).start();
    let ranged = get(&blob(&layer)).header("Range", "bytes=1000-1999");
    // Which of the two depends on the progress of the background pass; the headers must fit the body.
    let first = mounted.client().send(&ranged);
    match first.status {
        200 => assert!(first.body == layer && first.header("accept-ranges").is_none()),
        206 => assert!(first.body == layer[1000..2000]),
        other => panic!("{other}: {}", first.text()),
    }
    mounted.wait_for_log("are whole; 0 are not");
    let then = mounted.client().send(&ranged).expect(206);
    assert!(then.body == layer[1000..2000]);
    assert_eq!(then.header("accept-ranges"), Some("bytes"));
}
