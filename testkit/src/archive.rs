//! Archives, folders of blobs and charts, saved the way each tool saves them.

use std::collections::BTreeMap;

use airdock_registry::oci::{Algorithm, Digest, MediaType};
use airdock_sync::reference::ImageReference;

use crate::content::{gzip, hex};
use crate::image::{Image, Remote};
use crate::manifest::{MANIFEST, descriptor};
use crate::tarball::Tarball;

/// Files by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A tar of these.
pub fn tarred(files: &Files) -> Vec<u8> {
    files.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content)).end()
}

/// The files of a tar, without its links.
pub fn untarred(tar: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            files.insert(path, content);
        }
    }
    files
}

fn sha256(content: &[u8]) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// An entry of a `manifest.json`.
fn item(config: &str, image: &Image, layers: impl Iterator<Item = String>, more: &str) -> String {
    let tags = match image.names.is_empty() {
        true => "null".to_owned(),
        false => format!("[{}]", list(image.names.iter().cloned())),
    };
    format!(r#"{{"Config":"{config}","RepoTags":{tags},"Layers":[{}]{more}}}"#, list(layers))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(",")
}

/// Docker before 25: a folder for each layer, named by an arbitrary identifier; a repeated layer is a symbolic link.
pub fn save_docker_20(images: &[Image]) -> Vec<u8> {
    let mut tar = Tarball::new();
    let mut items = Vec::new();
    let mut first: Vec<(Digest, String)> = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let mut layers = Vec::new();
        for (at, layer) in image.layers.iter().enumerate() {
            let id = sha256(format!("{number} {at}").as_bytes()).encoded();
            tar =
                tar.folder(&format!("{id}/")).file(&format!("{id}/VERSION"), b"1.0").file(&format!("{id}/json"), b"{}");
            let digest = sha256(layer);
            match first.iter().find(|(known, _)| *known == digest) {
                Some((_, other)) => tar = tar.symlink(&format!("{id}/layer.tar"), &format!("../{other}/layer.tar")),
                None => {
                    tar = tar.file(&format!("{id}/layer.tar"), layer);
                    first.push((digest, id.clone()));
                }
            }
            layers.push(format!("{id}/layer.tar"));
        }
        let config = format!("{}.json", image.config_digest().encoded());
        tar = tar.file(&config, &image.config);
        items.push(item(&config, image, layers.into_iter(), ""));
    }
    tar.file("manifest.json", format!("[{}]\n", items.join(",")).as_bytes()).file("repositories", b"{}\n").end()
}

/// Docker from 25 on, with its own store: an image layout beside a `manifest.json`. Untagged images are left out of
/// `index.json` when there is a tagged one.
pub fn save_docker_26(images: &[Image]) -> Vec<u8> {
    let mut tar = Tarball::new().folder("blobs/").folder("blobs/sha256/");
    let mut blobs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let (mut items, mut descriptors) = (Vec::new(), Vec::new());
    for image in images {
        let manifest = image.docker_manifest();
        let layer = |layer: &Vec<u8>| format!("blobs/sha256/{}", sha256(layer).encoded());
        let sources: Vec<String> = image
            .layers
            .iter()
            .map(|layer| {
                let digest = sha256(layer);
                format!(
                    r#""{digest}":{{"mediaType":"{}","size":{},"digest":"{digest}"}}"#,
                    MediaType::IMAGE_LAYER,
                    layer.len()
                )
            })
            .collect();
        let config = format!("blobs/sha256/{}", image.config_digest().encoded());
        let sources = format!(r#","LayerSources":{{{}}}"#, sources.join(","));
        items.push(item(&config, image, image.layers.iter().map(layer), &sources));
        for name in &image.names {
            let tag = name.rsplit(':').next().unwrap();
            let full = name.parse::<ImageReference>().unwrap();
            let names = format!(
                r#","annotations":{{"io.containerd.image.name":"{full}","org.opencontainers.image.ref.name":"{tag}"}}"#
            );
            descriptors.push(descriptor(MANIFEST, &manifest, &names));
        }
        blobs.insert(sha256(&manifest).encoded(), manifest);
        blobs.insert(image.config_digest().encoded(), image.config.clone());
        blobs.extend(image.layers.iter().map(|layer| (sha256(layer).encoded(), layer.clone())));
    }
    for (name, content) in blobs {
        tar = tar.file(&format!("blobs/sha256/{name}"), &content);
    }
    tar.file("index.json", crate::manifest::list(&descriptors).as_bytes())
        .file("manifest.json", format!("[{}]\n", items.join(",")).as_bytes())
        .file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)
        .file("repositories", b"{}\n")
        .end()
}

/// podman and skopeo `docker-archive`: layers by DiffID, and symbolic links to them under old names.
pub fn save_podman(images: &[Image]) -> Vec<u8> {
    let mut tar = Tarball::new();
    let mut items = Vec::new();
    let mut written = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let mut layers = Vec::new();
        for (at, layer) in image.layers.iter().enumerate() {
            let name = format!("{}.tar", sha256(layer).encoded());
            let id = sha256(format!("podman {number} {at}").as_bytes()).encoded();
            if !written.contains(&name) {
                tar = tar.file(&name, layer);
                written.push(name.clone());
            }
            tar = tar.symlink(&format!("{id}/layer.tar"), &format!("../{name}")).file(&format!("{id}/VERSION"), b"1.0");
            layers.push(name);
        }
        let config = format!("{}.json", image.config_digest().encoded());
        tar = tar.file(&config, &image.config);
        items.push(item(&config, image, layers.into_iter(), ""));
    }
    tar.file("repositories", b"{}").file("manifest.json", format!("[{}]", items.join(",")).as_bytes()).end()
}

/// kaniko and crane: compressed layers by their own digest, the config by its digest including the colon.
pub fn save_kaniko(image: &Image) -> Vec<u8> {
    let packed: Vec<Vec<u8>> = image.layers.iter().map(|layer| gzip(layer)).collect();
    let mut tar = Tarball::new().file(&image.config_digest().to_string(), &image.config);
    for layer in &packed {
        tar = tar.file(&format!("{}.tar.gz", sha256(layer).encoded()), layer);
    }
    let names = packed.iter().map(|layer| format!("{}.tar.gz", sha256(layer).encoded()));
    let item = item(&image.config_digest().to_string(), image, names, "");
    tar.file("manifest.json", format!("[{item}]").as_bytes()).end()
}

/// An `index.json` of these manifests, each with its media type and annotations.
pub fn index_of(manifests: &[(&[u8], &str, &str)]) -> Vec<u8> {
    let descriptor = |(content, media_type, annotations): &(&[u8], &str, &str)| {
        descriptor(media_type, content, &format!(r#","annotations":{{{annotations}}}"#))
    };
    let descriptors: Vec<_> = manifests.iter().map(descriptor).collect();
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptors.join(",")).into_bytes()
}

/// An image layout of these blobs, in containerd's order: blobs first, then the documents.
pub fn layout(prefix: &str, blobs: &[&[u8]], index: &[u8]) -> Tarball {
    let mut tar = Tarball::new();
    let mut names: Vec<(String, &[u8])> = blobs.iter().map(|blob| (sha256(blob).encoded(), *blob)).collect();
    names.sort();
    names.dedup();
    for (name, blob) in names {
        tar = tar.file(&format!("{prefix}blobs/sha256/{name}"), blob);
    }
    tar.file(&format!("{prefix}index.json"), index)
        .file(&format!("{prefix}oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// `skopeo copy --all … dir:`.
pub fn save_directory(files: &mut Files, folder: &str, root: &[u8], images: &[&Remote]) {
    let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    for image in images {
        for blob in &image.blobs {
            files.insert(path(&hex(blob)), blob.clone());
        }
        if image.manifest != root {
            files.insert(path(&format!("{}.manifest.json", image.digest().encoded())), image.manifest.clone());
        }
    }
    files.insert(path("manifest.json"), root.to_vec());
    files.insert(path("version"), b"Directory Transport Version: 1.1\n".to_vec());
}

/// What distribution's `registry:2` keeps of one repository.
pub fn save_storage(
    files: &mut Files,
    root: &str,
    repository: &str,
    tags: &[(&str, &[u8])],
    revisions: &[&[u8]],
    blobs: &[&[u8]],
) {
    let of = format!("{root}repositories/{repository}");
    let tagged = tags.iter().map(|(_, manifest)| *manifest);
    for manifest in revisions.iter().copied().chain(tagged) {
        let link = sha256(manifest).to_string().into_bytes();
        files.insert(format!("{of}/_manifests/revisions/sha256/{}/link", sha256(manifest).encoded()), link);
    }
    for (tag, manifest) in tags {
        let link = sha256(manifest).to_string().into_bytes();
        files.insert(format!("{of}/_manifests/tags/{tag}/current/link"), link.clone());
        files.insert(format!("{of}/_manifests/tags/{tag}/index/sha256/{}/link", sha256(manifest).encoded()), link);
    }
    for blob in blobs {
        let hex = hex(blob);
        files.insert(format!("{of}/_layers/sha256/{hex}/link"), format!("sha256:{hex}").into_bytes());
    }
    for content in blobs.iter().chain(revisions).copied().chain(tags.iter().map(|(_, manifest)| *manifest)) {
        let hex = hex(content);
        files.insert(format!("{root}blobs/sha256/{}/{hex}/data", &hex[..2]), content.to_vec());
    }
    files.insert(format!("{of}/_uploads/1f/startedat"), b"2026-01-01T00:00:00Z".to_vec());
    files.insert(format!("{of}/_uploads/1f/data"), b"half a blob".to_vec());
}

/// A packed chart of this name and version.
pub fn chart(name: &str, version: &str) -> Vec<u8> {
    let yaml = format!("apiVersion: v2\nname: {name}\nversion: {version}\ndescription: a chart\n");
    chart_files(&[(&format!("{name}/Chart.yaml"), yaml.as_bytes()), (&format!("{name}/values.yaml"), b"a: 1\n")])
}

/// A packed chart of these files.
pub fn chart_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let tar = files.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content));
    gzip(&tar.end())
}
