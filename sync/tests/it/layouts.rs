//! OCI image layouts: original digests, sparse indexes, artifacts.

use airdock_registry::oci::Algorithm;

use testkit::archive::{index_of, layout};
use testkit::image::{Image, Remote, image_index as index};
use testkit::ingest::{World, failures};
use testkit::manifest::{INDEX, MANIFEST};

fn named(name: &str) -> String {
    format!(r#""io.containerd.image.name":"{name}""#)
}

#[test]
fn an_archive_with_the_original_manifest_keeps_the_registry_s_digest() {
    let remote = Remote::new(1);
    let archive =
        layout("", &remote.parts(), &index_of(&[(&remote.manifest, MANIFEST, &named("ghcr.io/a/b:1"))])).end();
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(report.failures, []);
        assert_eq!(world.manifest("ghcr.io/a/b", "1").bytes, remote.manifest);
        assert_eq!(report.images[0].note, None);
        assert_eq!(report.images[0].platforms, ["linux/amd64"]);
        world.check_whole();
    }
}

#[test]
fn a12_a_sparse_index_is_served_for_the_platforms_that_are_there() {
    let (amd, arm, attestation) = (Remote::new(1), Remote::new(2), Remote::new(3));
    let index = index(&[(&amd, "linux/amd64"), (&arm, "linux/arm64"), (&attestation, "unknown/unknown")]);
    let mut parts = amd.parts();
    parts.push(&index);
    // The arm64 manifest is there, as containerd exports it, but not its layers.
    parts.push(&arm.manifest);
    let archive = layout("", &parts, &index_of(&[(&index, INDEX, &named("ghcr.io/a/b:1"))])).end();
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(report.failures, []);
        assert_eq!(world.manifest("ghcr.io/a/b", "1").bytes, index);
        let digest = |remote: &Remote| Algorithm::Sha256.digest(&remote.manifest).to_string();
        assert!(world.try_manifest("ghcr.io/a/b", &digest(&amd)).is_some());
        assert!(world.try_manifest("ghcr.io/a/b", &digest(&arm)).is_none(), "a node would start to pull it");
        assert_eq!(report.images[0].platforms, ["linux/amd64"]);
        let note = format!("without linux/arm64, `{}`, which the archive does not hold", digest(&attestation));
        assert_eq!(
            report.images[0].note.as_deref(),
            Some(note.as_str()),
            "an attestation has no platform to be named by"
        );
    }
}

#[test]
fn a12_what_an_index_lacks_and_has_no_platform_is_named_by_digest_the_first_few_and_how_many() {
    let here = Remote::new(1);
    let absent: Vec<Remote> = (2..7).map(Remote::new).collect();
    let inner = index(&[(&absent[0], "linux/arm64")]);
    let entry = |kind: &str, content: &[u8], more: &str| {
        let digest = Algorithm::Sha256.digest(content);
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}{more}}}"#, content.len())
    };
    for count in [0, 2, 3, 4, 5] {
        let mut entries = vec![entry(MANIFEST, &here.manifest, r#","platform":{"os":"linux","architecture":"amd64"}"#)];
        let mut digests = Vec::new();
        if count > 0 {
            entries.push(entry(INDEX, &inner, ""));
            digests.push(Algorithm::Sha256.digest(&inner));
        }
        for remote in &absent[1..count.max(1)] {
            entries.push(entry(MANIFEST, &remote.manifest, r#","platform":{"os":"unknown","architecture":"unknown"}"#));
            digests.push(remote.digest());
        }
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, entries.join(","));
        let mut parts = here.parts();
        parts.push(index.as_bytes());
        let archive = layout("", &parts, &index_of(&[(index.as_bytes(), INDEX, &named("ghcr.io/a/b:1"))])).end();
        let world = World::new();
        let note = world.ingest("x.tar", &archive).images[0].note.clone().unwrap_or_default();
        digests.sort();
        let named = digests.iter().take(3).map(|digest| format!("`{digest}`")).collect::<Vec<_>>().join(", ");
        let expected = match count {
            0 => String::new(),
            4 => format!("without {named} and 1 more manifest, which the archive does not hold"),
            5 => format!("without {named} and 2 more manifests, which the archive does not hold"),
            _ => format!("without {named}, which the archive does not hold"),
        };
        assert_eq!(note, expected);
        assert_eq!(world.manifest("ghcr.io/a/b", "1").bytes, index);
    }
}

#[test]
fn an_index_in_an_index_is_served_with_all_that_either_names() {
    let (outer_image, inner_image) = (Remote::new(1), Remote::new(2));
    let inner = index(&[(&inner_image, "linux/amd64")]);
    let outer = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{INDEX}","digest":"{}","size":{}}},{{"mediaType":"{MANIFEST}","digest":"{}","size":{}}}]}}"#,
        Algorithm::Sha256.digest(&inner),
        inner.len(),
        outer_image.digest(),
        outer_image.manifest.len()
    );
    let mut parts = outer_image.parts();
    parts.extend(inner_image.parts());
    parts.extend([inner.as_slice(), outer.as_bytes()]);
    let archive = layout("", &parts, &index_of(&[(outer.as_bytes(), INDEX, &named("ghcr.io/a/b:1"))])).end();
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(failures(&report), "");
        assert_eq!(report.images[0].note, None);
        assert_eq!(world.manifest("ghcr.io/a/b", "1").bytes, outer);
        for manifest in [&inner, &inner_image.manifest, &outer_image.manifest] {
            let digest = Algorithm::Sha256.digest(manifest).to_string();
            assert_eq!(world.manifest("ghcr.io/a/b", &digest).bytes, *manifest);
        }
        for blob in inner_image.blobs.iter().chain(&outer_image.blobs) {
            assert!(world.blob("ghcr.io/a/b", &Algorithm::Sha256.digest(blob)).is_some());
        }
    }
}

#[test]
fn an_index_of_which_nothing_is_there_is_refused() {
    let remote = Remote::new(1);
    let index = index(&[(&remote, "linux/amd64")]);
    let archive = layout("", &[&index], &index_of(&[(&index, INDEX, &named("ghcr.io/a/b:1"))])).end();
    let told = World::new().refused("x.tar", &archive);
    assert!(told.contains("ghcr.io/a/b:1") && told.contains("does not hold"), "{told}");
}

#[test]
fn blobs_the_store_has_may_be_left_out_of_a_layout() {
    let remote = Remote::new(1);
    let list = index_of(&[(&remote.manifest, MANIFEST, &named("ghcr.io/a/b:1"))]);
    let world = World::new();
    world.ingest("x.tar", &layout("", &remote.parts(), &list).end());
    let list = index_of(&[(&remote.manifest, MANIFEST, &named("ghcr.io/a/b:2"))]);
    let report = world.ingest("y.tar", &layout("", &[&remote.manifest], &list).end());
    assert_eq!(report.failures, []);
    world.check_whole();
    assert_eq!(world.tags().len(), 2);
}

#[test]
fn a20_what_an_incremental_bundle_lacks_is_listed() {
    let remote = Remote::new(1);
    let archive =
        layout("", &[&remote.manifest], &index_of(&[(&remote.manifest, MANIFEST, &named("ghcr.io/a/b:1"))])).end();
    let told = World::new().refused("x.tar", &archive);
    for blob in &remote.blobs {
        assert!(told.contains(&Algorithm::Sha256.digest(blob).to_string()), "{told}");
    }
}

#[test]
fn a_layout_is_a_folder_of_the_bundle_or_the_bundle_itself() {
    let remote = Remote::new(1);
    let world = World::new();
    let list = index_of(&[(&remote.manifest, MANIFEST, &named("ghcr.io/a/b:1"))]);
    for part in remote.parts() {
        world.file(&format!("layout/blobs/sha256/{}", Algorithm::Sha256.digest(part).encoded()), part);
    }
    world.file("layout/index.json", &list);
    world.file("layout/notes.pdf", b"extra files are ignored");
    let root = world.file("layout/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let report = world.path(root.parent().unwrap());
    assert_eq!(report.warnings, []);
    world.check_whole();

    let bundle = layout("bundle/images/app/", &remote.parts(), &list).file("bundle/manifest.txt", b"a/b:1.0\n").end();
    let other = World::new();
    let report = other.pipe(&bundle);
    assert_eq!(report.failures, []);
    assert_eq!(other.manifest("ghcr.io/a/b", "1").bytes, remote.manifest);
}

#[test]
fn a_signature_and_a_referrer_without_names_go_where_their_image_goes() {
    let remote = Remote::new(1);
    let subject = Algorithm::Sha256.digest(&remote.manifest);
    let empty: &[u8] = b"{}";
    let artifact = |extra: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"a/b","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}},"layers":[]{extra}}}"#,
            Algorithm::Sha256.digest(empty)
        )
        .into_bytes()
    };
    let signature = artifact("");
    let referrer = artifact(&format!(
        r#","subject":{{"mediaType":"{MANIFEST}","digest":"{subject}","size":{}}}"#,
        remote.manifest.len()
    ));
    // The empty config is left out, as tools do.
    let mut parts = remote.parts();
    parts.extend([signature.as_slice(), &referrer]);
    let tag = format!("sha256-{}.sig", subject.encoded());
    let list = index_of(&[
        (&signature, MANIFEST, &format!(r#""org.opencontainers.image.ref.name":"{tag}""#)),
        (&referrer, MANIFEST, ""),
        (&remote.manifest, MANIFEST, &named("docker.io/zenmldocker/zenml:1")),
    ]);
    let world = World::new();
    let report = world.ingest("x.tar", &layout("", &parts, &list).end());
    assert_eq!(report.failures, []);
    for repository in ["docker.io/zenmldocker/zenml", "zenml/zenml"] {
        assert_eq!(world.manifest(repository, &tag).bytes, signature);
        assert_eq!(world.manifest(repository, &Algorithm::Sha256.digest(&referrer).to_string()).bytes, referrer);
    }
}

#[test]
fn something_else_in_the_index_is_left_out_with_a_word() {
    let remote = Remote::new(1);
    let other = b"anything";
    let mut parts = remote.parts();
    parts.push(other);
    let list = index_of(&[(other, "text/plain", ""), (&remote.manifest, MANIFEST, &named("a:1"))]);
    let world = World::new();
    let report = world.ingest("x.tar", &layout("", &parts, &list).end());
    assert_eq!(failures(&report), "");
    assert_eq!(report.warnings.len(), 1);
    assert!(report.warnings[0].message.contains("text/plain"));
}

#[test]
fn r05_an_index_nested_too_deep_or_naming_itself_is_refused() {
    let remote = Remote::new(1);
    let mut parts: Vec<Vec<u8>> = remote.parts().into_iter().map(<[u8]>::to_vec).collect();
    let mut inner = index(&[(&remote, "linux/amd64")]);
    for _ in 0..12 {
        parts.push(inner.clone());
        inner = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{INDEX}","digest":"{}","size":{}}}]}}"#,
            Algorithm::Sha256.digest(&inner),
            inner.len()
        )
        .into_bytes();
    }
    parts.push(inner.clone());
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let told = World::new().refused("x.tar", &layout("", &parts, &index_of(&[(&inner, INDEX, &named("a:1"))])).end());
    assert!(told.contains("nesting"), "{told}");
}

#[test]
fn sha512_blobs_are_kept_under_their_own_digest() {
    let image = Image::new(&[], &[1]);
    let digest = |content: &[u8]| Algorithm::Sha512.digest(content);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        digest(&image.config),
        image.config.len(),
        digest(&image.layers[0]),
        image.layers[0].len()
    );
    let list = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}","digest":"{}","size":{},"annotations":{{{}}}}}]}}"#,
        digest(manifest.as_bytes()),
        manifest.len(),
        named("a:1")
    );
    let mut tar = testkit::tarball::Tarball::new();
    for content in [image.config.as_slice(), &image.layers[0], manifest.as_bytes()] {
        tar = tar.file(&format!("blobs/sha512/{}", digest(content).encoded()), content);
    }
    let archive =
        tar.file("index.json", list.as_bytes()).file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).end();
    for piped in [false, true] {
        let world = World::new();
        let report = if piped { world.pipe(&archive) } else { world.ingest("x.tar", &archive) };
        assert_eq!(failures(&report), "");
        assert_eq!(world.manifest("docker.io/library/a", "1").digest, digest(manifest.as_bytes()));
        world.check_whole();
    }
}
