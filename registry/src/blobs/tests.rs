//! The contract of a place, held by each: files of the data folder, a medium's folder, a tar, a block device.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use futures_util::StreamExt as _;
use testkit::device::Loop;

use super::*;
use crate::disk::DataFolder;
use crate::oci::Algorithm;

/// Larger than what a medium re-hashes when it is opened.
const LARGE: usize = 200_000;

fn contents() -> Vec<Vec<u8>> {
    vec![Vec::new(), b"small".to_vec(), (0..LARGE).map(|at| (at * 7 + at / 251) as u8).collect()]
}

fn digest(content: &[u8]) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// A place that has `contents`; the third is damaged if that is asked for.
struct Made {
    what: &'static str,
    place: Box<dyn Place>,
    _folder: tempfile::TempDir,
    _device: Option<Loop>,
}

fn damaged(content: &[u8], damage: bool) -> Vec<u8> {
    let mut content = content.to_vec();
    if damage && content.len() == LARGE {
        content[LARGE / 2] ^= 1;
    }
    content
}

fn files(damage: bool) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let files = Files::new(data.layout.clone());
    let blobs: Vec<_> = contents().iter().map(|content| (digest(content), Bytes::from(content.clone()))).collect();
    files.put(&blobs).unwrap();
    for content in contents() {
        std::fs::write(data.layout.blob(&digest(&content)), damaged(&content, damage)).unwrap();
    }
    Made { what: "files", place: Box::new(files), _folder: folder, _device: None }
}

/// Each blob in a file of its own.
fn medium_folder(damage: bool) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let locate = |content: &Vec<u8>| {
        let path = folder.path().join(digest(content).encoded());
        std::fs::write(&path, damaged(content, damage)).unwrap();
        located(&path, 0, content)
    };
    let blobs = contents().iter().map(locate).collect();
    let medium = Medium::new("folder".into(), blobs, HashMap::new());
    Made { what: "a medium's folder", place: Box::new(medium), _folder: folder, _device: None }
}

fn located(path: &Path, offset: u64, content: &[u8]) -> Arc<MediumBlob> {
    let file = Arc::new(MediumFile::new(&File::open(path).unwrap(), path, "medium".into()).unwrap());
    Arc::new(MediumBlob::located(digest(content), file, offset, content.len() as u64, false))
}

/// All blobs in one file, each after a header, as in a tar.
fn archive(damage: bool) -> (Vec<u8>, Vec<u64>) {
    let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
    for content in contents() {
        bytes.extend_from_slice(&[0x55; 512]);
        offsets.push(bytes.len() as u64);
        bytes.extend_from_slice(&damaged(&content, damage));
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(1 << 20), 0);
    (bytes, offsets)
}

fn in_one_file(
    what: &'static str,
    path: &Path,
    offsets: &[u64],
    folder: tempfile::TempDir,
    device: Option<Loop>,
) -> Made {
    let blobs = contents().iter().zip(offsets).map(|(content, offset)| located(path, *offset, content)).collect();
    let medium = Medium::new(what.into(), blobs, HashMap::new());
    Made { what, place: Box::new(medium), _folder: folder, _device: device }
}

fn tar(damage: bool) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, offsets) = archive(damage);
    let path = folder.path().join("medium.tar");
    std::fs::write(&path, bytes).unwrap();
    in_one_file("a tar", &path, &offsets, folder, None)
}

/// `None` where no loop device can be had.
fn device(damage: bool) -> Option<Made> {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, offsets) = archive(damage);
    let path = folder.path().join("disc");
    std::fs::write(&path, bytes).unwrap();
    let device = Loop::over(&path)?;
    let path = device.0.clone();
    Some(in_one_file("a block device", &path, &offsets, folder, Some(device)))
}

fn places(damage: bool) -> Vec<Made> {
    [files(damage), medium_folder(damage), tar(damage)].into_iter().chain(device(damage)).collect()
}

fn bytes_of(blob: &Blob) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(blob.size()).unwrap()];
    blob.file().read_exact_at(&mut bytes, blob.offset()).unwrap();
    bytes
}

#[tokio::test]
async fn a_place_gives_what_it_has_whole_and_says_that_it_has_nothing_else() {
    for Made { what, place, .. } in places(false) {
        for content in contents() {
            let (digest, size) = (digest(&content), content.len() as u64);
            for asked in [None, Some(size)] {
                let found = place.find(&digest, asked).await.unwrap().unwrap();
                assert_eq!((found.digest(), bytes_of(&found)), (digest, content.clone()), "{what}");
            }
            assert_eq!(place.read(&digest, LARGE).await.unwrap().unwrap(), content, "{what}");
        }
        let absent = digest(b"absent");
        assert!(place.find(&absent, None).await.unwrap().is_none(), "{what}");
        assert!(place.read(&absent, LARGE).await.unwrap().is_none(), "{what}");
    }
}

#[tokio::test]
async fn a_place_knows_sizes_in_the_order_asked_and_lists_everything_once() {
    for Made { what, place, .. } in places(false) {
        let mut asked: Vec<_> = contents().iter().map(|content| digest(content)).collect();
        asked.insert(1, digest(b"absent"));
        let sizes = place.sizes(&asked).await.unwrap();
        assert_eq!(sizes, [Some(0), None, Some(5), Some(LARGE as u64)], "{what}");
        let mut listed = Vec::new();
        let mut all = place.list();
        while let Some(some) = all.next().await {
            listed.extend(some.unwrap());
        }
        listed.sort_unstable();
        asked.remove(1);
        asked.sort_unstable();
        assert_eq!(listed, asked, "{what}");
    }
}

#[tokio::test]
async fn a_blob_of_another_size_and_a_small_one_that_is_too_large_are_errors() {
    for Made { what, place, .. } in places(false) {
        let small = digest(b"small");
        assert!(place.find(&small, Some(6)).await.is_err(), "{what}");
        assert!(place.read(&small, 4).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn damage_is_never_read_as_content() {
    for Made { what, place, .. } in places(true) {
        let large = digest(&contents()[2]);
        assert!(place.read(&large, LARGE).await.is_err(), "{what}");
        assert!(place.read(&digest(b"small"), LARGE).await.unwrap().is_some(), "{what}");
    }
}

#[tokio::test]
async fn a_depot_has_a_blob_once_it_is_stored_and_nothing_of_one_that_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let files = Files::new(data.layout.clone());
    let content = contents().remove(2);
    let digest = digest(&content);
    let incoming = || std::fs::read_dir(data.layout.incoming()).unwrap().count();

    let mut writer = files.begin(Algorithm::Sha256).await.unwrap();
    writer.write(&content).unwrap();
    drop(writer);
    assert_eq!(incoming(), 0);

    for expected in [Adopted::New, Adopted::There] {
        let mut writer = files.begin(Algorithm::Sha256).await.unwrap();
        content.chunks(70_000).for_each(|piece| writer.write(piece).unwrap());
        let (sealed, lease) = writer.seal().unwrap();
        assert_eq!(sealed.digest, digest);
        assert!(files.leases.is_held(&digest), "from its seal on");
        assert_eq!(files.store(sealed).await.unwrap(), expected);
        drop(lease);
        assert!(!files.leases.is_held(&digest));
        assert_eq!((incoming(), bytes_of(&files.find(&digest, None).await.unwrap().unwrap())), (0, content.clone()));
    }
}

#[tokio::test]
async fn a_damaged_blob_is_set_aside_unless_it_was_brought_anew_meanwhile() {
    let Made { place, _folder: folder, .. } = files(true);
    drop(place);
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let files = Files::new(data.layout.clone());
    let content = contents().remove(2);
    let read = files.find(&digest(&content), None).await.unwrap().unwrap();
    let path = data.layout.blob(&digest(&content));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &content).unwrap();
    assert!(!files.quarantine(&read).await.unwrap(), "another file has the name");
    let read = files.find(&digest(&content), None).await.unwrap().unwrap();
    assert!(files.quarantine(&read).await.unwrap());
    assert!(files.find(&digest(&content), None).await.unwrap().is_none());
    assert!(data.layout.damaged_blob(&digest(&content)).exists());
}

/// As a pull does: the data folder, then the media; the nearest one's error counts.
async fn nearest(blobs: &Blobs, digest: &Digest, size: u64) -> Result<Option<Blob>, Error> {
    let stored = blobs.find_stored(digest, size).await;
    if matches!(stored, Ok(Some(_))) {
        return stored;
    }
    match blobs.find_on_media(digest, size).await {
        Ok(Some(blob)) => Ok(Some(blob)),
        found => stored.and(found),
    }
}

#[tokio::test]
async fn the_nearest_place_that_gives_a_blob_serves_it_and_a_damaged_file_is_passed_over_for_a_medium() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let blobs = Blobs::open(&data.layout).unwrap();
    let (content, path) = (contents().remove(2), folder.path().join("medium"));
    std::fs::write(&path, &content).unwrap();
    let (wanted, size) = (digest(&content), content.len() as u64);
    assert!(nearest(&blobs, &wanted, size).await.unwrap().is_none());
    blobs.mount(Arc::new(Medium::new("m".into(), vec![located(&path, 0, &content)], HashMap::new())));
    std::fs::write(data.layout.blob(&wanted), b"cut").unwrap();
    let found = nearest(&blobs, &wanted, size).await.unwrap().unwrap();
    assert!(found.is_on_medium());
    assert!(blobs.find_open(&wanted, size).is_some() && blobs.find_open(&wanted, 3).is_none());
    // The medium is pulled out: the handle is not trusted any more, and the nearest place's error is said.
    std::fs::write(&path, b"another").unwrap();
    assert!(blobs.find_open(&wanted, size).is_none());
    assert!(matches!(nearest(&blobs, &wanted, size).await, Err(Error::Disk(_))));
    std::fs::write(data.layout.blob(&wanted), &content).unwrap();
    assert!(!nearest(&blobs, &wanted, size).await.unwrap().unwrap().is_on_medium());
}

#[test]
fn d14_a_link_in_the_place_of_a_blob_is_never_served_and_the_next_copy_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let (files, content) = (Files::new(data.layout.clone()), Bytes::from_static(b"a secret of the machine"));
    let (path, outside) = (data.layout.blob(&digest(&content)), folder.path().join("outside"));
    std::fs::write(&outside, &content).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let error = files.open(&digest(&content), None).unwrap_err().to_string();
    assert!(error.contains("is damaged: it is a link"), "{error}");
    assert!(files.read_now(&digest(&content), 100).is_err());
    assert_eq!(files.size(&digest(&content)).unwrap(), None);
    files.put(&[(digest(&content), content.clone())]).unwrap();
    assert_eq!(files.read_now(&digest(&content), 100).unwrap().unwrap(), content);
    assert!(path.symlink_metadata().unwrap().is_file() && outside.exists());
}

/// An upload with its first byte, let go of; and its id.
fn begun(uploads: &Uploads, name: &crate::oci::RepositoryName) -> crate::oci::UploadId {
    let mut upload = uploads.create(name, Algorithm::Sha256, None, 10).unwrap();
    let file = upload.first_byte().unwrap().make().unwrap();
    upload.stored(file);
    upload.append(b"x").unwrap();
    upload.id
}

#[test]
fn d14_an_upload_that_leads_elsewhere_is_none_and_nothing_is_added_there() {
    use crate::error::Error;
    use std::time::Duration;
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let (uploads, name) = (Uploads::open(data.layout.clone()).unwrap(), "a".parse().unwrap());
    let (outside, elsewhere) = (folder.path().join("outside"), folder.path().join("elsewhere"));
    // Its data.
    let first = begun(&uploads, &name);
    std::fs::write(&outside, b"precious").unwrap();
    std::fs::remove_file(data.layout.upload_data(first)).unwrap();
    std::os::unix::fs::symlink(&outside, data.layout.upload_data(first)).unwrap();
    assert!(matches!(uploads.take(&name, first), Err(Error::Disk(_))));
    assert!(uploads.size(&name, first).is_err());
    // All of it, in a folder that comes from elsewhere.
    let second = begun(&uploads, &name);
    std::fs::rename(data.layout.upload(second), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, data.layout.upload(second)).unwrap();
    let uploads = Uploads::open(data.layout.clone()).unwrap();
    assert!(matches!(uploads.take(&name, second), Err(Error::UploadUnknown(_))));
    // What is ours goes when it is old, and nothing outside does.
    uploads.sweep(std::time::SystemTime::now() + Duration::from_secs(60), Duration::ZERO).unwrap();
    assert!(!data.layout.upload(first).exists());
    assert!(std::fs::read(&outside).unwrap() == b"precious" && elsewhere.join("data").exists());
}

#[test]
fn d21_an_upload_is_for_its_own_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(folder.path().join("data"), false).unwrap();
    let id = begun(&Uploads::open(data.layout.clone()).unwrap(), &"a".parse().unwrap());
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let layout = &data.layout;
    let modes = [layout.upload(id), layout.upload_data(id), layout.upload_record(id)].map(mode);
    assert_eq!(modes, [0o700, 0o600, 0o600]);
}
