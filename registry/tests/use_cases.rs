//! The use cases against a real folder, without HTTP: each invariant of ARCHITECTURE.md has its sentence here.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, Tag, TagOrDigest};
use airdock_registry::{Error, Outcome, PutReference, Registry, Settings};
use bytes::Bytes;
use testkit::manifest::about;
use testkit::registry::{
    add_blobs, add_manifest, as_digest, asked, bundle, by_tag, image, image_of, index, name, open, push_blob,
    push_image, pushed, put, settings, tag, tagged, tags_of,
};

/// Everything a client can see of these repositories.
async fn seen(registry: &Registry, repositories: &[&str], blobs: &[Digest]) -> Vec<String> {
    let mut seen = Vec::new();
    let all = registry.repositories(None, 1000).await.unwrap();
    seen.push(format!("{:?}", all.names));
    for repository in repositories {
        for tags in tags_of(registry, repository).await {
            seen.push(format!("{repository}:{tags} {:?}", tagged(registry, repository, &tags).await));
        }
        for blob in blobs {
            let size = registry.blob(&asked(repository), blob).await.map(|blob| blob.size()).ok();
            seen.push(format!("{repository}@{blob} {size:?}"));
            let referrers = registry.referrers(&asked(repository), blob, &[], None).await.unwrap();
            seen.push(String::from_utf8(referrers.json.to_vec()).unwrap());
        }
    }
    seen
}

#[tokio::test]
async fn a_pushed_image_is_served_byte_for_byte_by_tag_and_by_digest() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_image(&registry, "a/b", "1.0", b"layer").await;
    let bytes = image_of("layer").bytes().clone();
    for reference in [by_tag("1.0"), TagOrDigest::Digest(digest)] {
        let served = registry.manifest(&asked("a/b"), &reference).await.unwrap();
        assert_eq!((served.digest, &served.bytes), (digest, &bytes));
        assert_eq!(served.media_type.as_str(), MediaType::IMAGE_MANIFEST);
    }
}

#[tokio::test]
async fn h21_a_blob_is_visible_only_where_it_is_linked() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_blob(&registry, "a", b"content").await;
    assert_eq!(registry.blob(&asked("a"), &digest).await.unwrap().size(), 7);
    assert!(matches!(registry.blob(&asked("b"), &digest).await, Err(Error::BlobUnknown { .. })));
    assert!(registry.repository(name("b")).mount_blob(&digest, Some(&asked("a"))).await.unwrap());
    assert_eq!(registry.blob(&asked("b"), &digest).await.unwrap().size(), 7);
    registry.repository(name("a")).delete_blob(&digest).await.unwrap();
    assert!(matches!(registry.blob(&asked("a"), &digest).await, Err(Error::BlobUnknown { .. })), "CVE-2026-35172");
    assert_eq!(registry.blob(&asked("b"), &digest).await.unwrap().size(), 7);
}

#[tokio::test]
async fn end_11_a_mount_of_what_is_not_seen_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_blob(&registry, "a", b"content").await;
    let target = registry.repository(name("b"));
    assert!(!target.mount_blob(&digest, Some(&asked("c"))).await.unwrap());
    assert!(!target.mount_blob(&Algorithm::Sha256.digest(b"nowhere"), None).await.unwrap());
    assert!(target.mount_blob(&digest, None).await.unwrap(), "without a source, any repository's will do");
}

#[tokio::test]
async fn h13_a_manifest_is_taken_only_when_everything_it_names_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    push_blob(&registry, "a", b"{}").await;
    // In the store, but not in this repository.
    push_blob(&registry, "elsewhere", b"layer").await;
    let repository = registry.repository(name("a"));
    let put = |manifest| repository.put_manifest(PutReference::Tag(tag("1")), manifest, pushed());
    let refused = put(image_of("layer")).await;
    assert!(matches!(refused, Err(Error::ManifestBlobUnknown { .. })), "{refused:?}");
    assert_eq!(tagged(&registry, "a", "1").await, None);
    push_blob(&registry, "a", b"layer").await;
    put(image_of("layer")).await.unwrap();
}

#[tokio::test]
async fn h14_a_size_other_than_the_blobs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    push_blob(&registry, "a", b"{}").await;
    let text = String::from_utf8(image(b"{}", &[], "").bytes().to_vec()).unwrap().replace("\"size\":2", "\"size\":3");
    let manifest = Manifest::parse(text.into(), None).unwrap();
    let refused = registry.repository(name("a")).put_manifest(PutReference::Tag(tag("1")), manifest, pushed()).await;
    assert!(matches!(refused, Err(Error::SizeInvalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn end_9_deleting_a_manifest_takes_its_tags_and_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let one = push_image(&registry, "a", "1", b"one").await;
    push_image(&registry, "a", "also-1", b"one").await;
    push_image(&registry, "a", "2", b"two").await;
    let repository = registry.repository(name("a"));
    // Kept by the cache when it was read.
    assert!(tagged(&registry, "a", "1").await.is_some());
    repository.delete_manifest(&TagOrDigest::Digest(one)).await.unwrap();
    assert_eq!(tags_of(&registry, "a").await, ["2"]);
    assert_eq!(tagged(&registry, "a", "1").await, None);
    assert!(repository.delete_manifest(&TagOrDigest::Digest(one)).await.is_err(), "it is gone");
    repository.delete_manifest(&by_tag("2")).await.unwrap();
    assert_eq!(tags_of(&registry, "a").await, [""; 0]);
}

#[tokio::test]
async fn end_10_a_blob_that_a_manifest_needs_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let manifest = push_image(&registry, "a", "1", b"layer").await;
    let repository = registry.repository(name("a"));
    let layer = Algorithm::Sha256.digest(b"layer");
    let refused = repository.delete_blob(&layer).await;
    assert!(matches!(refused, Err(Error::BlobInUse { manifest: named, .. }) if named == manifest), "{refused:?}");
    repository.delete_manifest(&TagOrDigest::Digest(manifest)).await.unwrap();
    repository.delete_blob(&layer).await.unwrap();
    push_blob(&registry, "a", b"layer").await;
    assert!(registry.blob(&asked("a"), &layer).await.is_ok(), "pushed again at once");
}

#[tokio::test]
async fn h19_nothing_is_deleted_when_deleting_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(Settings { delete: false, ..settings(folder.path()) }).await.unwrap();
    let digest = push_image(&registry, "a", "1", b"layer").await;
    let repository = registry.repository(name("a"));
    let layer = Algorithm::Sha256.digest(b"layer");
    assert!(matches!(repository.delete_manifest(&by_tag("1")).await, Err(Error::DeleteDisabled)));
    assert!(matches!(repository.delete_manifest(&TagOrDigest::Digest(digest)).await, Err(Error::DeleteDisabled)));
    assert!(matches!(repository.delete_blob(&layer).await, Err(Error::DeleteDisabled)));
}

#[tokio::test]
async fn an_upload_survives_a_restart_and_goes_on_from_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let mut upload = registry.repository(name("a")).start_upload(Algorithm::Sha256).await.unwrap();
    let id = upload.id();
    upload.append(Bytes::from_static(b"first ")).await.unwrap();
    drop(upload);
    drop(registry);
    let registry = open(folder.path()).await;
    let repository = registry.repository(name("a"));
    assert_eq!(repository.upload_size(id).await.unwrap(), 6);
    let mut upload = repository.upload(id).await.unwrap();
    upload.append(Bytes::from_static(b"second")).await.unwrap();
    upload.finish(Algorithm::Sha256.digest(b"first second")).await.unwrap();
    assert!(matches!(repository.upload(id).await, Err(Error::UploadUnknown(_))));
}

#[tokio::test]
async fn h02_a_wrong_digest_leaves_the_upload_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let repository = registry.repository(name("a"));
    let mut upload = repository.start_upload(Algorithm::Sha256).await.unwrap();
    let id = upload.id();
    upload.append(Bytes::from_static(b"content")).await.unwrap();
    let wrong = Algorithm::Sha256.digest(b"other");
    assert!(matches!(upload.finish(wrong).await, Err(Error::DigestMismatch { .. })));
    assert!(matches!(registry.blob(&asked("a"), &wrong).await, Err(Error::BlobUnknown { .. })));
    // Another algorithm than was hashed on the way.
    let right = Algorithm::Sha512.digest(b"content");
    repository.upload(id).await.unwrap().finish(right).await.unwrap();
    assert_eq!(registry.blob(&asked("a"), &right).await.unwrap().size(), 7);
}

#[tokio::test]
async fn h32_an_upload_belongs_to_one_repository_and_to_one_request_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let upload = registry.repository(name("a")).start_upload(Algorithm::Sha256).await.unwrap();
    let other = registry.repository(name("b"));
    assert!(matches!(other.upload(upload.id()).await, Err(Error::UploadUnknown(_))));
    assert!(matches!(other.upload_size(upload.id()).await, Err(Error::UploadUnknown(_))));
    assert!(matches!(other.cancel_upload(upload.id()).await, Err(Error::UploadUnknown(_))));
    let again = registry.repository(name("a")).upload(upload.id()).await;
    assert!(matches!(again, Err(Error::UploadBusy)), "{again:?}");
}

#[tokio::test]
async fn h33_uploads_are_bounded_and_the_abandoned_ones_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(Settings { max_uploads: 2, ..settings(folder.path()) }).await.unwrap();
    let repository = registry.repository(name("a"));
    let held = repository.start_upload(Algorithm::Sha256).await.unwrap();
    let left = repository.start_upload(Algorithm::Sha256).await.unwrap().id();
    let refused = repository.start_upload(Algorithm::Sha256).await;
    assert!(matches!(refused, Err(Error::TooManyUploads(2))), "{refused:?}");
    let later = SystemTime::now() + Duration::from_secs(25 * 60 * 60);
    assert_eq!(registry.sweep_uploads(SystemTime::now()).await.unwrap(), 0);
    assert_eq!(registry.sweep_uploads(later).await.unwrap(), 1, "not the one a request holds");
    assert!(matches!(repository.upload(left).await, Err(Error::UploadUnknown(_))));
    assert_eq!(repository.upload_size(held.id()).await.unwrap(), 0);
}

#[tokio::test]
async fn d07_an_upload_without_a_byte_expires_in_minutes_and_one_client_cannot_have_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(Settings { max_uploads: 1_200, ..settings(folder.path()) }).await.unwrap();
    let by = |client: &str| registry.repository(name("a")).for_client(Some(client.parse().unwrap()));
    let (greedy, other) = (by("2001:db8::1"), by("2001:db8:0:1::1"));
    let mut with_a_byte = greedy.start_upload(Algorithm::Sha256).await.unwrap();
    with_a_byte.append(Bytes::from_static(b"x")).await.unwrap();
    let kept = with_a_byte.id();
    with_a_byte.leave().unwrap();
    for _ in 1..300 {
        drop(greedy.start_upload(Algorithm::Sha256).await.unwrap());
    }
    // Another address of the same network is the same client.
    for refused in [&greedy, &by("2001:db8::2")] {
        let refused = refused.start_upload(Algorithm::Sha256).await;
        assert!(matches!(refused, Err(Error::TooManyUploadsOfClient { limit: 300, .. })), "{refused:?}");
    }
    let held = other.start_upload(Algorithm::Sha256).await.unwrap();
    assert_eq!(std::fs::read_dir(registry.data().join("uploads")).unwrap().count(), 1, "only one has a byte");
    assert_eq!(registry.uploads().await.unwrap().len(), 301);
    let minutes = SystemTime::now() + Duration::from_secs(11 * 60);
    assert_eq!(
        registry.sweep_uploads(minutes).await.unwrap(),
        299,
        "neither the one with a byte nor the one that is held"
    );
    greedy.start_upload(Algorithm::Sha256).await.unwrap();
    assert_eq!(greedy.upload_size(kept).await.unwrap(), 1);
    assert_eq!(other.upload_size(held.id()).await.unwrap(), 0);
    assert!(registry.remove_upload(kept).await.unwrap() && !registry.remove_upload(kept).await.unwrap());
    assert!(matches!(greedy.upload(kept).await, Err(Error::UploadUnknown(_))));
    assert_eq!(std::fs::read_dir(registry.data().join("uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn d07_whose_uploads_an_earlier_process_left_is_known_after_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let limits = || Settings { max_uploads: 1_024, ..settings(folder.path()) };
    let client = Some("192.0.2.7".parse().unwrap());
    let registry = Registry::open(limits()).await.unwrap();
    for _ in 0..256 {
        let mut upload =
            registry.repository(name("a")).for_client(client).start_upload(Algorithm::Sha256).await.unwrap();
        upload.append(Bytes::from_static(b"x")).await.unwrap();
    }
    drop(registry);
    let registry = Registry::open(limits()).await.unwrap();
    assert_eq!(registry.sweep_uploads(SystemTime::now()).await.unwrap(), 0);
    let refused = registry.repository(name("a")).for_client(client).start_upload(Algorithm::Sha256).await;
    assert!(matches!(refused, Err(Error::TooManyUploadsOfClient { limit: 256, .. })), "{refused:?}");
    let listed = registry.uploads().await.unwrap();
    assert_eq!(listed.len(), 256);
    assert!(listed.iter().all(|upload| upload.client == client && upload.size == 1 && !upload.is_held));
}

/// Fills a release with an image and commits it.
async fn release(registry: &Registry, content: &[u8], tags: &[(&str, &str)]) -> Vec<(String, Outcome)> {
    let mut draft = registry.release(bundle());
    add_blobs(&mut draft, &[b"{}", content]);
    let manifest = image_of(content);
    for (repository, tags) in tags {
        let digest = add_manifest(&mut draft, repository, &manifest);
        draft.add_tag(&name(repository), tag(tags), digest);
    }
    let report = draft.commit().await.unwrap();
    report.tags.into_iter().map(|tag| (format!("{}:{}", tag.repository, tag.tag), tag.outcome)).collect()
}

#[tokio::test]
async fn a_release_is_seen_whole_and_a_second_one_of_the_same_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let tags = [("docker.io/zenmldocker/zenml", "1"), ("zenml/zenml", "1")];
    let outcomes = release(&registry, b"layer", &tags).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::New), "{outcomes:?}");
    let digest = tagged(&registry, "zenml/zenml", "1").await;
    assert!(digest.is_some());
    assert_eq!(tagged(&registry, "docker.io/zenmldocker/zenml", "1").await, digest);
    let layer = Algorithm::Sha256.digest(b"layer");
    assert_eq!(registry.blob(&asked("zenml/zenml"), &layer).await.unwrap().size(), 5);

    let before = modified(folder.path());
    let mut draft = registry.release(bundle());
    assert_eq!(draft.has_blob(&layer), Some(5));
    add_manifest(&mut draft, "zenml/zenml", &image_of("layer"));
    draft.add_tag(&name("zenml/zenml"), tag("1"), digest.unwrap());
    let report = draft.commit().await.unwrap();
    assert!(!report.wrote);
    assert_eq!(report.tags[0].outcome, Outcome::AlreadyThere);
    assert_eq!(modified(folder.path()), before, "no file of the store was touched");
}

#[tokio::test]
async fn reads_never_write() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_image(&registry, "a", "1", b"layer").await;
    registry.close().await.unwrap();
    drop(registry);
    let registry = open(folder.path()).await;
    let blobs = [digest, Algorithm::Sha256.digest(b"layer")];
    let first = seen(&registry, &["a"], &blobs).await;
    let files = |data: &Path| {
        let db = data.join("metadata/db");
        (modified(data), std::fs::metadata(&db).unwrap().modified().unwrap(), std::fs::read(&db).unwrap())
    };
    let before = files(folder.path());
    for _ in 0..20 {
        assert_eq!(seen(&registry, &["a"], &blobs).await, first);
    }
    assert!(files(folder.path()) == before);
}

/// Every file of the truth with its time of change.
fn modified(data: &Path) -> Vec<(std::path::PathBuf, SystemTime)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["blobs", "repositories", "releases"].iter().map(|part| data.join(part)).collect();
    while let Some(folder) = folders.pop() {
        found.push((folder.clone(), std::fs::metadata(&folder).unwrap().modified().unwrap()));
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let time = std::fs::metadata(&path).unwrap().modified().unwrap();
                found.push((path, time));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_tag_that_was_pushed_is_never_replaced_by_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let own = push_image(&registry, "zenml/zenml", "1", b"with our CA").await;
    let outcomes = release(&registry, b"layer", &[("zenml/zenml", "1"), ("zenml/zenml", "2")]).await;
    assert!(matches!(&outcomes[0].1, Outcome::Kept { current, .. } if *current == own), "{outcomes:?}");
    assert_eq!(outcomes[1].1, Outcome::New);
    assert_eq!(tagged(&registry, "zenml/zenml", "1").await, Some(own));
    // A bundle's own tags move with the next bundle, and a push replaces them.
    let outcomes = release(&registry, b"other", &[("zenml/zenml", "2")]).await;
    assert!(matches!(outcomes[0].1, Outcome::Moved { .. }));
    let pushed = push_image(&registry, "zenml/zenml", "2", b"pushed").await;
    assert_eq!(tagged(&registry, "zenml/zenml", "2").await, Some(pushed));
}

#[tokio::test]
async fn a_release_whose_manifest_lacks_a_blob_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let mut draft = registry.release(bundle());
    let digest = add_manifest(&mut draft, "a", &image_of("never written"));
    draft.add_tag(&name("a"), tag("1"), digest);
    assert!(matches!(draft.commit().await, Err(Error::ManifestBlobUnknown { .. })));
    assert_eq!(tagged(&registry, "a", "1").await, None);
    assert!(registry.manifest(&asked("a"), &TagOrDigest::Digest(digest)).await.is_err());
}

#[tokio::test]
async fn a_blob_of_a_dropped_release_is_seen_by_nobody_and_leaves_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let mut draft = registry.release(bundle());
    let mut writer = draft.writer().unwrap();
    writer.write(b"content").unwrap();
    let wrong = writer.commit(Some(Algorithm::Sha256.digest(b"other")));
    assert!(matches!(wrong, Err(Error::DigestMismatch { .. })));
    let mut writer = draft.writer().unwrap();
    writer.write(b"half").unwrap();
    drop((writer, draft));
    assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    assert!(registry.blob(&asked("a"), &Algorithm::Sha256.digest(b"content")).await.is_err());
}

#[tokio::test]
async fn end_12_referrers_are_found_with_the_fallback_tag_merged_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let subject = push_image(&registry, "a", "1", b"layer").await;
    let more = r#","artifactType":"application/x.sbom","annotations":{"k":"v"}"#;
    let about = about(image_of("layer").bytes()) + more;
    let repository = registry.repository(name("a"));
    let by_api = image(b"{}", &[], &about);
    let by_api_digest = Algorithm::Sha256.digest(by_api.bytes());
    let put = repository.put_manifest(as_digest(&by_api), by_api.clone(), pushed()).await.unwrap();
    assert_eq!(put.subject, Some(subject));
    // As a client writes it that does not know the API: the same manifest and one more, listed under the tag.
    let by_tag = image(b"{}", &[b"layer"], r#","artifactType":"application/x.signature""#);
    let by_tag_digest = Algorithm::Sha256.digest(by_tag.bytes());
    repository.put_manifest(as_digest(&by_tag), by_tag.clone(), pushed()).await.unwrap();
    let index = index(&[by_tag.clone(), by_api.clone()]);
    repository.put_manifest(PutReference::Tag(Tag::referrers_fallback(&subject)), index, pushed()).await.unwrap();

    let page = registry.referrers(&asked("a"), &subject, &[], None).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&page.json).unwrap();
    let mut found: Vec<_> = answer["manifests"].as_array().unwrap().iter().map(|entry| &entry["digest"]).collect();
    found.sort_by_key(|digest| digest.as_str());
    let mut expected = [by_api_digest.to_string(), by_tag_digest.to_string()];
    expected.sort();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());

    let filter = ["application/x.sbom".to_owned()];
    let page = registry.referrers(&asked("a"), &subject, &filter, None).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&page.json).unwrap();
    assert_eq!(answer["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(answer["manifests"][0]["annotations"], serde_json::json!({ "k": "v" }));
    let none = registry.referrers(&asked("never/pushed"), &subject, &[], None).await.unwrap();
    assert!(String::from_utf8(none.json.to_vec()).unwrap().contains(r#""manifests":[]"#));
}

#[tokio::test]
async fn h26_many_referrers_come_in_pages_that_miss_none() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let subject = push_image(&registry, "a", "1", b"layer").await;
    let repository = registry.repository(name("a"));
    // Eight of a good megabyte: three pages at least.
    for number in 0..8 {
        let annotations = format!(r#","annotations":{{"{number}":"{}"}}"#, "x".repeat(1_100_000));
        let extra = about(image_of("layer").bytes()) + &annotations;
        let manifest = image(b"{}", &[], &extra);
        repository.put_manifest(as_digest(&manifest), manifest, pushed()).await.unwrap();
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = registry.referrers(&asked("a"), &subject, &[], after.as_ref()).await.unwrap();
        assert!(page.json.len() < 4 * 1024 * 1024);
        let answer: serde_json::Value = serde_json::from_slice(&page.json).unwrap();
        found.extend(answer["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].to_string()));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!((found.len(), count), (8, 8));
    assert!(pages >= 3, "{pages}");
}

#[tokio::test]
async fn s13_the_same_is_seen_after_the_metadata_was_deleted_cut_or_filled_with_noise() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("deleted", |data| std::fs::remove_dir_all(data.join("metadata")).unwrap()),
        ("cut", |data| {
            let file = std::fs::File::options().write(true).open(data.join("metadata/db")).unwrap();
            file.set_len(file.metadata().unwrap().len() / 3).unwrap();
        }),
        ("noise", |data| {
            let size = std::fs::metadata(data.join("metadata/db")).unwrap().len();
            std::fs::write(data.join("metadata/db"), vec![0x5a; usize::try_from(size).unwrap()]).unwrap();
        }),
        ("not closed", |data| std::fs::remove_file(data.join("metadata.seal")).unwrap()),
    ];
    for (what, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path()).await;
        let digest = push_image(&registry, "a/b", "1", b"layer").await;
        push_image(&registry, "a/b", "2", b"other").await;
        release(&registry, b"ingested", &[("docker.io/x/y", "3"), ("x", "3")]).await;
        let unreferenced = push_blob(&registry, "a/b", b"of no manifest").await;
        registry.repository(name("mounted/there")).mount_blob(&unreferenced, Some(&asked("a/b"))).await.unwrap();
        let referrer = image(b"{}", &[], &about(image_of("layer").bytes()));
        put(&registry, "a/b", as_digest(&referrer), referrer).await.unwrap();

        let repositories = ["a/b", "docker.io/x/y", "x", "mounted/there"];
        let blobs = [Algorithm::Sha256.digest(b"layer"), Algorithm::Sha256.digest(b"ingested"), unreferenced, digest];
        let before = seen(&registry, &repositories, &blobs).await;
        registry.close().await.unwrap();
        drop(registry);
        harm(folder.path());
        let registry = open(folder.path()).await;
        assert_eq!(seen(&registry, &repositories, &blobs).await, before, "{what}");
    }
}

#[tokio::test]
async fn a_rebuild_asked_for_while_the_metadata_is_opened_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let registry = open(folder.path()).await;
        registry.rebuild().await.unwrap();
        registry.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_rebuild_of_a_running_registry_changes_nothing_that_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_image(&registry, "a", "1", b"layer").await;
    let blobs = [digest, Algorithm::Sha256.digest(b"layer")];
    let before = seen(&registry, &["a"], &blobs).await;
    let report = registry.rebuild().await.unwrap();
    assert_eq!((report.repositories, report.manifests, report.tags), (1, 1, 1));
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(seen(&registry, &["a"], &blobs).await, before);
}

#[tokio::test]
async fn s04_a_damaged_tag_is_reported_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    push_image(&registry, "a", "1", b"one").await;
    let two = push_image(&registry, "b", "2", b"two").await;
    drop(registry);
    std::fs::write(folder.path().join("repositories/a/_tags/1"), b"").unwrap();
    let registry = open(folder.path()).await;
    let damaged = registry.manifest(&asked("a"), &by_tag("1")).await;
    assert!(matches!(&damaged, Err(Error::Disk(error)) if error.to_string().contains("_tags/1")), "{damaged:?}");
    assert_eq!(tagged(&registry, "b", "2").await, Some(two));
    let report = registry.rebuild().await.unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    push_image(&registry, "a", "1", b"one").await;
    assert!(tagged(&registry, "a", "1").await.is_some(), "a push mends it");
}

#[tokio::test]
async fn s03_a_manifest_whose_bytes_changed_on_disk_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_image(&registry, "a", "1", b"one").await;
    drop(registry);
    let path = folder.path().join("blobs/sha256").join(digest.encoded());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let registry = open(folder.path()).await;
    assert!(matches!(registry.manifest(&asked("a"), &by_tag("1")).await, Err(Error::Disk(_))));
}

#[tokio::test]
async fn a_manifest_whose_file_was_lost_is_served_under_every_name_once_it_is_pushed_again() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let digest = push_image(&registry, "a", "1.0", b"layer").await;
    push_image(&registry, "a", "latest", b"layer").await;
    push_image(&registry, "b", "1.0", b"layer").await;
    registry.close().await.unwrap();
    drop(registry);
    std::fs::remove_file(folder.path().join("blobs/sha256").join(digest.encoded())).unwrap();
    let registry = open(folder.path()).await;
    for (repository, tags) in [("a", "1.0"), ("a", "latest"), ("b", "1.0")] {
        assert_eq!(tagged(&registry, repository, tags).await, None);
    }
    // Nothing is mounted that could have it.
    let deleted = registry.repository(name("b")).delete_manifest(&TagOrDigest::Digest(digest)).await;
    assert!(matches!(deleted, Err(Error::ManifestUnknown { .. })), "{deleted:?}");
    push_image(&registry, "a", "1.0", b"layer").await;
    for (repository, tags) in [("a", "1.0"), ("a", "latest"), ("b", "1.0")] {
        assert_eq!(tagged(&registry, repository, tags).await, Some(digest), "{repository}:{tags}");
    }
}

#[tokio::test]
async fn c05_of_many_writers_to_one_tag_one_wins_and_every_one_stays_pullable() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20_u8 {
        let registry = registry.clone();
        tasks.spawn(async move { push_image(&registry, "a", "latest", &[number; 10]).await });
    }
    let digests = tasks.join_all().await;
    let winner = tagged(&registry, "a", "latest").await.unwrap();
    assert!(digests.contains(&winner));
    for digest in digests {
        registry.manifest(&asked("a"), &TagOrDigest::Digest(digest)).await.unwrap();
    }
    drop(registry);
    let registry = open(folder.path()).await;
    assert_eq!(tagged(&registry, "a", "latest").await, Some(winner), "and it is the one on disk");
}

#[tokio::test]
async fn c07_one_blob_pushed_to_many_repositories_at_once_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let registry = registry.clone();
        tasks.spawn(async move { push_blob(&registry, &format!("a{number}"), b"the same").await });
    }
    let digests = tasks.join_all().await;
    assert_eq!(std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 1);
    for number in 0..20 {
        assert!(registry.blob(&asked(&format!("a{number}")), &digests[0]).await.is_ok());
    }
}
