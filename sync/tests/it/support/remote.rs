//! Images as registries have them, and ways to carry them without `docker save`: folders of blobs, a registry's storage.

use std::collections::BTreeMap;

use airdock_registry::oci::{Algorithm, Digest};

use super::tarball::Tarball;
use super::{Image, gzip};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Files by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An image as a registry has it: compressed layers, and a manifest that no tool here would write.
pub struct Remote {
    pub manifest: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
}

impl Remote {
    pub fn new(seed: u64) -> Self {
        let image = Image::new(&[], &[seed]);
        let packed = vec![gzip(&image.layers[0])];
        let manifest = image.manifest_of(&packed, "application/vnd.oci.image.layer.v1.tar+gzip");
        let mut manifest = String::from_utf8(manifest).unwrap();
        manifest.truncate(manifest.len() - 1);
        manifest.push_str(r#", "annotations": {"a": "b"} }"#);
        Self { manifest: manifest.into_bytes(), blobs: vec![image.config, packed.into_iter().next().unwrap()] }
    }

    pub fn digest(&self) -> Digest {
        Algorithm::Sha256.digest(&self.manifest)
    }

    pub fn parts(&self) -> Vec<&[u8]> {
        std::iter::once(self.manifest.as_slice()).chain(self.blobs.iter().map(Vec::as_slice)).collect()
    }
}

/// An artifact with a subject and the empty config.
pub fn referrer(subject: &Remote) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"a/b","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}},"layers":[],"subject":{{"mediaType":"{MANIFEST}","digest":"{}","size":{}}}}}"#,
        Algorithm::Sha256.digest(b"{}"),
        subject.digest(),
        subject.manifest.len()
    )
    .into_bytes()
}

/// An image index of these, each with its platform.
pub fn image_index(children: &[(&Remote, &str)]) -> Vec<u8> {
    let child = |(remote, platform): &(&Remote, &str)| {
        format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":{},"platform":{{"os":"{}","architecture":"{}"}}}}"#,
            remote.digest(),
            remote.manifest.len(),
            platform.split_once('/').unwrap().0,
            platform.split_once('/').unwrap().1
        )
    };
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        children.iter().map(child).collect::<Vec<_>>().join(",")
    )
    .into_bytes()
}

/// `skopeo copy --all … dir:`.
pub fn save_directory(files: &mut Files, folder: &str, root: &[u8], images: &[&Remote]) {
    let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    for image in images {
        for blob in &image.blobs {
            files.insert(path(&Algorithm::Sha256.digest(blob).encoded()), blob.clone());
        }
        if image.manifest != root {
            files.insert(path(&format!("{}.manifest.json", image.digest().encoded())), image.manifest.clone());
        }
    }
    files.insert(path("manifest.json"), root.to_vec());
    files.insert(path("version"), b"Directory Transport Version: 1.1\n".to_vec());
}

/// The storage of distribution's `registry:2` for one repository.
pub fn save_storage(
    files: &mut Files,
    root: &str,
    repository: &str,
    tags: &[(&str, &[u8])],
    revisions: &[&[u8]],
    blobs: &[&[u8]],
) {
    let digest = |content: &[u8]| Algorithm::Sha256.digest(content);
    let of = format!("{root}repositories/{repository}");
    let tagged = tags.iter().map(|(_, manifest)| *manifest);
    for manifest in revisions.iter().copied().chain(tagged) {
        let link = digest(manifest).to_string().into_bytes();
        files.insert(format!("{of}/_manifests/revisions/sha256/{}/link", digest(manifest).encoded()), link);
    }
    for (tag, manifest) in tags {
        let link = digest(manifest).to_string().into_bytes();
        files.insert(format!("{of}/_manifests/tags/{tag}/current/link"), link.clone());
        files.insert(format!("{of}/_manifests/tags/{tag}/index/sha256/{}/link", digest(manifest).encoded()), link);
    }
    for blob in blobs {
        let hex = digest(blob).encoded();
        files.insert(format!("{of}/_layers/sha256/{hex}/link"), format!("sha256:{hex}").into_bytes());
    }
    for content in blobs.iter().chain(revisions).copied().chain(tags.iter().map(|(_, manifest)| *manifest)) {
        let hex = digest(content).encoded();
        files.insert(format!("{root}blobs/sha256/{}/{hex}/data", &hex[..2]), content.to_vec());
    }
    files.insert(format!("{of}/_uploads/1f/startedat"), b"2026-01-01T00:00:00Z".to_vec());
    files.insert(format!("{of}/_uploads/1f/data"), b"half a blob".to_vec());
}

/// A tar of these.
pub fn tarred(files: &Files) -> Vec<u8> {
    files.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content)).end()
}
