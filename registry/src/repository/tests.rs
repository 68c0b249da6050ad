//! What a use case costs: in hops to threads that may block, and in what others wait for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{PutReference, Repository, pull};
use crate::catalog::Provenance;
use crate::core::Core;
use crate::disk::threads::HOPS;
use crate::error::Error;
use crate::names::{self, RequestedName};
use crate::oci::{Algorithm, Digest, Manifest, TagOrDigest};
use crate::settings::Settings;

/// How many hops `question` makes.
async fn hops<T>(question: impl Future<Output = T>) -> (usize, T) {
    let before = HOPS.get();
    let answer = question.await;
    (HOPS.get() - before, answer)
}

async fn with_image(repository: &str) -> (tempfile::TempDir, Arc<Core>, Digest) {
    let folder = tempfile::tempdir().unwrap();
    let core = Core::open(Settings { data: folder.path().join("data"), ..Settings::default() }).unwrap();
    let core = Arc::new(core);
    let repository = Repository::new(core.clone(), repository.parse().unwrap());
    let config = Algorithm::Sha256.digest(b"{}");
    let mut upload = repository.start_upload(Algorithm::Sha256).await.unwrap();
    upload.append(Bytes::from_static(b"{}")).await.unwrap();
    upload.finish(config).await.unwrap();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
    );
    let manifest = Manifest::parse(text.into(), None).unwrap();
    let by = Provenance::Pushed { by: "a test".into() };
    repository.put_manifest(PutReference::Tag("1".parse().unwrap()), manifest, by).await.unwrap();
    (folder, core, config)
}

fn asked(core: &Core, name: &str) -> RequestedName {
    names::resolve(&core.settings.names, name.parse().unwrap(), None)
}

#[tokio::test]
async fn a_cold_manifest_is_one_hop_whatever_its_name_may_mean_and_a_warm_one_is_none() {
    let (_folder, core, _) = with_image("docker.io/library/alpine").await;
    let reference = TagOrDigest::Tag("1".parse().unwrap());
    // An internal name, one of Docker Hub's, and the same below `library/`.
    let name = asked(&core, "alpine");
    assert_eq!(name.candidates().count(), 3);
    for expected in [1, 0] {
        let (hops, found) = hops(pull::manifest(&core, &name, &reference)).await;
        assert_eq!((hops, found.is_ok()), (expected, true));
    }
    for expected in [1, 0] {
        let absent = TagOrDigest::Tag("absent".parse().unwrap());
        let (hops, found) = hops(pull::manifest(&core, &name, &absent)).await;
        assert_eq!((hops, found.is_err()), (expected, true), "absence is cached, too");
    }
}

#[tokio::test]
async fn a_cold_blob_is_one_hop_and_a_warm_one_is_none() {
    let (_folder, core, config) = with_image("a").await;
    for expected in [1, 0] {
        let (hops, found) = hops(pull::blob(&core, &asked(&core, "a"), &config)).await;
        assert_eq!((hops, found.is_ok()), (expected, true));
    }
}

#[tokio::test]
async fn d08_a_digest_of_another_algorithm_is_hashed_once_and_while_other_changes_go_on() {
    let (_folder, core, _) = with_image("a").await;
    let repository = Repository::new(core.clone(), "a".parse().unwrap());
    let content = Bytes::from(vec![7; 100_000]);
    let mut upload = repository.start_upload(Algorithm::Sha256).await.unwrap();
    let id = upload.id();
    upload.append(content.clone()).await.unwrap();
    assert_eq!(upload.leave().unwrap(), 100_000);
    // As if another client were changing this repository, or one that shares its lock, all the while.
    let changing = core.catalog.files.write(repository.name()).await.unwrap();
    let (wrong, right) = (Algorithm::Sha512.digest(b"other"), Algorithm::Sha512.digest(&content));
    let file = core.folder.layout.upload_data(id);
    for attempt in 0..2 {
        let upload = repository.upload(id).await.unwrap();
        let finished = tokio::time::timeout(Duration::from_secs(20), upload.finish(wrong)).await;
        let refused = finished.expect("the digest is checked before the repository is locked");
        assert!(
            matches!(refused, Err(Error::DigestMismatch { found, .. }) if found == right),
            "attempt {attempt}: {refused:?}"
        );
        // A second reading would find something else.
        std::fs::write(&file, vec![8; 100_000]).unwrap();
    }
    std::fs::write(&file, &content).unwrap();
    drop(changing);
    // What comes later is hashed in both ways.
    let mut upload = repository.upload(id).await.unwrap();
    upload.append(Bytes::from_static(b"end")).await.unwrap();
    let whole = [&content[..], b"end"].concat();
    assert_eq!(upload.finish(Algorithm::Sha512.digest(&whole)).await.unwrap(), 100_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_push_copies_from_a_medium_is_kept_from_before_it_is_looked_for_until_it_is_linked() {
    let (folder, core, config) = with_image("other").await;
    let layer = Algorithm::Sha256.digest(b"a layer");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":7}}]}}"#
    );
    let manifest = Arc::new(Manifest::parse(text.into(), None).unwrap());
    let mut draft = crate::mount::MountDraft::new(core.clone(), folder.path());
    draft.hold(layer, Bytes::from_static(b"a layer"));
    draft.hold(config, Bytes::from_static(b"{}"));
    let name = "a".parse().unwrap();
    draft.add_manifest(&name, Algorithm::Sha256.digest(manifest.bytes()), manifest.clone());
    crate::mount::mount(draft).await.unwrap();
    let leases = core.blobs.depot.leases.clone();
    let carried = super::carry::copy_named(&core, &name, &manifest).await.unwrap();
    // The config is in the data folder already, and nothing in this repository links it there.
    assert!(leases.is_held(&layer) && leases.is_held(&config));
    drop(carried);
    assert!(!leases.is_held(&layer) && !leases.is_held(&config));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_was_told_is_stored_is_kept_as_long_as_the_release_lives() {
    let (_folder, core, config) = with_image("a").await;
    let leases = core.blobs.depot.leases.clone();
    let draft = crate::release::ReleaseDraft::new(core, Provenance::Ingested { bundle: "b".into(), release: None });
    let absent = Algorithm::Sha256.digest(b"absent");
    assert_eq!((draft.has_blob(&config), draft.has_blob(&config), draft.has_blob(&absent)), (Some(2), Some(2), None));
    assert!(leases.is_held(&config) && !leases.is_held(&absent));
    drop(draft);
    assert!(!leases.is_held(&config));
}
