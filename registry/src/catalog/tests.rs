//! The contract of a layer of names, held by each: the data folder and a mounted medium.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::files::Files;
use super::layer::Layer;
use super::*;
use crate::blobs;
use crate::disk::DataFolder;
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn digest(content: &[u8]) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// An image whose only layer is `layer`, about `subject`.
fn image(layer: &[u8], subject: Option<Digest>) -> (Digest, Arc<Manifest>) {
    let descriptor = |content: &[u8]| format!(r#""digest":"{}","size":{}"#, digest(content), content.len());
    let subject = subject.map_or(String::new(), |subject| {
        format!(
            r#","subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":9}}"#
        )
    });
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar",{}}}]{subject}}}"#,
        descriptor(b"{}"),
        descriptor(layer)
    );
    let manifest = Manifest::parse(text.into(), None).unwrap();
    (digest(manifest.bytes()), Arc::new(manifest))
}

/// A manifest with its repository and tags there.
type Content = (&'static str, &'static [&'static str], (Digest, Arc<Manifest>));

/// What every layer holds here: two images and one about the first, in two repositories.
fn content() -> Vec<Content> {
    let first = image(b"one", None);
    vec![
        ("a", &["1", "1.0", "latest"], first.clone()),
        ("a", &[], image(b"signature", Some(first.0))),
        ("a/b", &["2"], image(b"two", None)),
    ]
}

async fn files(folder: &DataFolder) -> Files {
    let layout = folder.layout.clone();
    let files = Files::open(layout.clone(), blobs::Files::new(layout), Arc::default()).unwrap();
    for (repository, tags, (digest, manifest)) in content() {
        let write = files.write(&name(repository)).await.unwrap();
        let by = Provenance::Pushed { by: "a test".into() };
        let tags = tags.iter().map(|text| (tag(text), digest, by.clone())).collect();
        let manifests = vec![(digest, manifest)];
        write.commit(Changes { manifests, tags, ..Changes::of(name(repository)) }).await.unwrap();
    }
    files
}

fn mounted() -> MountedNames {
    let mut repositories = BTreeMap::<RepositoryName, MountedRepository>::new();
    for (repository, tags, (digest, manifest)) in content() {
        let mounted = repositories.entry(name(repository)).or_default();
        mounted.tags.extend(tags.iter().map(|text| (tag(text), digest)));
        mounted.blobs.extend(manifest.required_blobs().map(|blob| (blob.digest, blob.size)));
        if let Some(subject) = manifest.subject() {
            mounted.referrers.entry(subject.digest).or_default().insert(digest);
        }
        mounted.manifests.insert(digest, manifest);
    }
    MountedNames { medium: "disc".into(), repositories }
}

async fn layers(folder: &DataFolder) -> [(&'static str, Box<dyn Layer>); 2] {
    [("the data folder", Box::new(files(folder).await)), ("a medium", Box::new(mounted()))]
}

fn folder() -> (tempfile::TempDir, DataFolder) {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    (folder, data)
}

#[tokio::test]
async fn a_layer_resolves_its_tags_and_gives_manifests_byte_for_byte() {
    let (_folder, data) = folder();
    for (what, layer) in layers(&data).await {
        for (repository, tags, (digest, manifest)) in content() {
            let repository = name(repository);
            for text in tags {
                let binding = layer.tag(&repository, &tag(text)).await.unwrap().unwrap();
                assert_eq!(binding.digest, digest, "{what}");
            }
            let found = layer.manifest(&repository, &digest).await.unwrap().unwrap();
            assert_eq!((&found.bytes, &found.media_type), (manifest.bytes(), manifest.media_type()), "{what}");
            assert!(layer.names_manifest(&repository, &digest).await.unwrap(), "{what}");
            assert!(!layer.names_manifest(&name("other"), &digest).await.unwrap(), "{what}");
        }
        assert!(layer.tag(&name("a"), &tag("2")).await.unwrap().is_none(), "{what}: a tag of a namesake");
        assert!(layer.manifest(&name("a"), &digest(b"absent")).await.unwrap().is_none(), "{what}");
        assert!(layer.has_repository(&name("a/b")).await.unwrap(), "{what}");
        assert!(!layer.has_repository(&name("b")).await.unwrap(), "{what}");
    }
}

#[tokio::test]
async fn a_blob_is_visible_where_a_manifest_names_it_and_nowhere_else() {
    let (_folder, data) = folder();
    for (what, layer) in layers(&data).await {
        let one = digest(b"one");
        assert_eq!(layer.visible(&name("a"), &one).await.unwrap(), Some(3), "{what}");
        assert_eq!(layer.visible(&name("a/b"), &one).await.unwrap(), None, "{what}");
        assert_eq!(layer.visible_anywhere(&one).await.unwrap(), Some(3), "{what}");
        assert_eq!(layer.visible_anywhere(&digest(b"absent")).await.unwrap(), None, "{what}");
    }
}

#[tokio::test]
async fn lists_are_in_order_and_in_pages() {
    let (_folder, data) = folder();
    for (what, layer) in layers(&data).await {
        let page = layer.tags(&name("a"), None, 2).await.unwrap();
        assert_eq!((page.entries, page.more), (vec![tag("1"), tag("1.0")], true), "{what}");
        let page = layer.tags(&name("a"), Some("1.0"), 2).await.unwrap();
        assert_eq!((page.entries, page.more), (vec![tag("latest")], false), "{what}");
        let page = layer.tags(&name("other"), None, 2).await.unwrap();
        assert_eq!((page.entries, page.more), (vec![], false), "{what}");
        let page = layer.repositories(None, 1).await.unwrap();
        assert_eq!((page.entries, page.more), (vec![name("a")], true), "{what}");
        let page = layer.repositories(Some("a"), 9).await.unwrap();
        assert_eq!((page.entries, page.more), (vec![name("a/b")], false), "{what}");
    }
}

#[tokio::test]
async fn a_layer_knows_the_tags_of_a_manifest_and_what_is_about_it() {
    let (_folder, data) = folder();
    let first = image(b"one", None).0;
    for (what, layer) in layers(&data).await {
        let mut tags = layer.tags_of(&name("a"), &first).await.unwrap();
        tags.sort_unstable();
        assert_eq!(tags, [tag("1"), tag("1.0"), tag("latest")], "{what}");
        let asked = BTreeSet::from([first, digest(b"absent")]);
        let found = layer.repositories_of(&asked).await.unwrap();
        assert_eq!(found, Homes::from([(first, BTreeSet::from([name("a")]))]), "{what}");
        let about = layer.referrers(&name("a"), &first, None, 10).await.unwrap();
        let signature = image(b"signature", Some(first)).0;
        assert_eq!(about.entries.iter().map(|referrer| referrer.digest).collect::<Vec<_>>(), [signature], "{what}");
        assert!(!about.more, "{what}");
        assert!(layer.referrers(&name("a"), &first, None, 0).await.unwrap().more, "{what}");
        let after = layer.referrers(&name("a"), &first, Some(&signature), 10).await.unwrap();
        assert!(after.entries.is_empty() && !after.more, "{what}");
        assert!(layer.referrers(&name("a/b"), &first, None, 10).await.unwrap().entries.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn what_was_read_before_a_change_is_forgotten_by_its_commit() {
    let (_folder, data) = folder();
    let layout = data.layout.clone();
    let catalog = Arc::new(Catalog::open(layout.clone(), blobs::Files::new(layout)).unwrap());
    let (repository, by) = (name("a"), || Provenance::Pushed { by: "a test".into() });
    let reference = crate::oci::TagOrDigest::Tag(tag("1"));
    let mut last = None;
    for layer in [b"one".as_slice(), b"two"] {
        let before = catalog.manifest(&repository, &reference).await.unwrap();
        assert_eq!(before.map(|found| found.digest), last);
        let (digest, manifest) = image(layer, None);
        let (manifests, tags) = (vec![(digest, manifest)], vec![(tag("1"), digest, by())]);
        let changes = Changes { manifests, tags, ..Changes::of(repository.clone()) };
        catalog.files.write(&repository).await.unwrap().commit(changes).await.unwrap();
        last = Some(digest);
    }
    let found = catalog.manifest(&repository, &reference).await.unwrap().unwrap();
    assert_eq!(Some(found.digest), last);
    assert_eq!(catalog.visible(&repository, &digest(b"two")).await.unwrap(), Some(3));
    let manifest = Arc::new(found.parse().unwrap());
    let write = catalog.files.write(&repository).await.unwrap();
    let (unlinked_tags, unlinked_manifests) = (vec![tag("1")], vec![(last.unwrap(), manifest)]);
    let changes = Changes { unlinked_tags, unlinked_manifests, ..Changes::of(repository.clone()) };
    assert!(write.commit(changes).await.unwrap());
    assert!(catalog.manifest(&repository, &reference).await.unwrap().is_none());
    assert_eq!(catalog.visible(&repository, &digest(b"two")).await.unwrap(), None);
}

#[tokio::test]
async fn a_pushed_tag_goes_before_a_medium_s_and_that_before_an_ingested_one_unless_it_is_protected() {
    let (_folder, data) = folder();
    let layout = data.layout.clone();
    let catalog = Arc::new(Catalog::open(layout.clone(), blobs::Files::new(layout)).unwrap());
    let (stored, pushed) = (image(b"stored", None), Provenance::Pushed { by: "a test".into() });
    let ingested = Provenance::Ingested { bundle: "b".into(), release: None };
    for (text, by) in [("1", pushed), ("latest", ingested)] {
        let (manifests, tags) = (vec![stored.clone()], vec![(tag(text), stored.0, by)]);
        let changes = Changes { manifests, tags, ..Changes::of(name("a")) };
        catalog.files.write(&name("a")).await.unwrap().commit(changes).await.unwrap();
    }
    let resolved = async |text| catalog.resolve(&name("a"), &tag(text)).await.unwrap().unwrap().digest;
    for yields in [false, true] {
        let mut names = mounted();
        names.repositories.get_mut(&name("a")).unwrap().yields = yields;
        let medium = names.repositories[&name("a")].tags[&tag("1")];
        // What is mounted last is asked first.
        catalog.mount(Arc::new(names));
        assert_eq!(resolved("1").await, stored.0);
        assert_eq!(resolved("1.0").await, medium);
        if !yields {
            assert_eq!(resolved("latest").await, medium);
        }
    }
    let (_folder, data) = folder();
    let layout = data.layout.clone();
    let protected = Arc::new(Catalog::open(layout.clone(), blobs::Files::new(layout)).unwrap());
    let by = Provenance::Ingested { bundle: "b".into(), release: None };
    let (manifests, tags) = (vec![stored.clone()], vec![(tag("latest"), stored.0, by)]);
    let changes = Changes { manifests, tags, ..Changes::of(name("a")) };
    protected.files.write(&name("a")).await.unwrap().commit(changes).await.unwrap();
    let mut names = mounted();
    names.repositories.get_mut(&name("a")).unwrap().yields = true;
    protected.mount(Arc::new(names));
    assert_eq!(protected.resolve(&name("a"), &tag("latest")).await.unwrap().unwrap().digest, stored.0);
}

#[tokio::test]
async fn d14_a_folder_of_links_that_leads_elsewhere_is_neither_written_nor_emptied() {
    let (folder, data) = folder();
    let layout = data.layout.clone();
    let catalog = Arc::new(Catalog::open(layout.clone(), blobs::Files::new(layout.clone())).unwrap());
    let (repository, by) = (name("a"), || Provenance::Pushed { by: "a test".into() });
    let (digest, manifest) = image(b"one", None);
    let write = catalog.files.write(&repository).await.unwrap();
    let (manifests, tags) = (vec![(digest, manifest)], vec![(tag("1"), digest, by())]);
    write.commit(Changes { manifests, tags, ..Changes::of(repository.clone()) }).await.unwrap();
    for inner in [layout.tag_links(&repository), layout.repository(&repository)] {
        let outside = folder.path().join("outside");
        std::fs::rename(&inner, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &inner).unwrap();
        let link = layout.tag_link(&repository, &tag("1")).canonicalize().unwrap();
        let removal = Changes { unlinked_tags: vec![tag("1")], ..Changes::of(repository.clone()) };
        let addition = Changes { tags: vec![(tag("2"), digest, by())], ..Changes::of(repository.clone()) };
        for changes in [removal, addition] {
            let error = write.commit(changes).await.unwrap_err().to_string();
            assert!(error.contains(&format!("`{}` is damaged: it is a symbolic link", inner.display())), "{error}");
        }
        assert!(link.exists() && !link.with_file_name("2").exists());
        std::fs::remove_file(&inner).unwrap();
        std::fs::rename(&outside, &inner).unwrap();
    }
}
