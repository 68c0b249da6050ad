//! Images, saved the way each tool saves them (protocol notes, section 4), and charts.

use airdock_registry::oci::{Algorithm, Digest};

use super::gzip;
use super::tarball::Tarball;

/// Pseudo-random bytes, the same on each run.
pub fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn sha256(content: &[u8]) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// A config and its layers.
#[derive(Clone)]
pub struct Image {
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
    pub names: Vec<&'static str>,
}

impl Image {
    /// An image of tar layers made from seeds: equal seeds, equal layers.
    pub fn new(names: &[&'static str], seeds: &[u64]) -> Self {
        Self::of_layers(
            names,
            seeds.iter().map(|seed| Tarball::new().file(&format!("f{seed}"), &bytes(*seed, 3000)).end()).collect(),
        )
    }

    pub fn of_layers(names: &[&'static str], layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("\"{}\"", sha256(layer))).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=<b>"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        Self { config: config.into_bytes(), layers, names: names.to_vec() }
    }

    pub fn config_digest(&self) -> Digest {
        sha256(&self.config)
    }

    /// The manifest Docker from 25 on writes, byte for byte.
    pub fn docker_manifest(&self) -> Vec<u8> {
        self.manifest_of(&self.layers, "application/vnd.oci.image.layer.v1.tar")
    }

    pub fn manifest_of(&self, layers: &[Vec<u8>], kind: &str) -> Vec<u8> {
        let layer = |layer: &Vec<u8>| {
            format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, sha256(layer), layer.len())
        };
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{}]}}"#,
            self.config_digest(),
            self.config.len(),
            layers.iter().map(layer).collect::<Vec<_>>().join(",")
        )
        .into_bytes()
    }

    fn repo_tags(&self) -> String {
        if self.names.is_empty() {
            return "null".into();
        }
        format!("[{}]", self.names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(","))
    }
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
        items.push(format!(
            r#"{{"Config":"{config}","RepoTags":{},"Layers":[{}]}}"#,
            image.repo_tags(),
            list(layers.into_iter())
        ));
    }
    tar.file("manifest.json", format!("[{}]\n", items.join(",")).as_bytes()).file("repositories", b"{}\n").end()
}

/// Docker from 25 on, with its own store: an image layout beside a `manifest.json`. Untagged images are left out of
/// `index.json` when there is a tagged one.
pub fn save_docker_26(images: &[Image]) -> Vec<u8> {
    let mut tar = Tarball::new().folder("blobs/").folder("blobs/sha256/");
    let mut blobs: std::collections::BTreeMap<String, Vec<u8>> = std::collections::BTreeMap::new();
    let (mut items, mut descriptors) = (Vec::new(), Vec::new());
    for image in images {
        let manifest = image.docker_manifest();
        let layer = |layer: &Vec<u8>| format!("blobs/sha256/{}", sha256(layer).encoded());
        let sources: Vec<String> = image
            .layers
            .iter()
            .map(|layer| {
                let digest = sha256(layer);
                format!(r#""{digest}":{{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":{},"digest":"{digest}"}}"#, layer.len())
            })
            .collect();
        items.push(format!(
            r#"{{"Config":"blobs/sha256/{}","RepoTags":{},"Layers":[{}],"LayerSources":{{{}}}}}"#,
            image.config_digest().encoded(),
            image.repo_tags(),
            list(image.layers.iter().map(layer)),
            sources.join(",")
        ));
        for name in &image.names {
            let tag = name.rsplit(':').next().unwrap();
            let full = name.parse::<airdock_sync::reference::ImageReference>().unwrap();
            descriptors.push(format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{},"annotations":{{"io.containerd.image.name":"{full}","org.opencontainers.image.ref.name":"{tag}"}}}}"#,
                sha256(&manifest),
                manifest.len()
            ));
        }
        blobs.insert(sha256(&manifest).encoded(), manifest);
        blobs.insert(image.config_digest().encoded(), image.config.clone());
        blobs.extend(image.layers.iter().map(|layer| (sha256(layer).encoded(), layer.clone())));
    }
    for (name, content) in blobs {
        tar = tar.file(&format!("blobs/sha256/{name}"), &content);
    }
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        descriptors.join(",")
    );
    tar.file("index.json", index.as_bytes())
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
        items.push(format!(
            r#"{{"Config":"{config}","RepoTags":{},"Layers":[{}]}}"#,
            image.repo_tags(),
            list(layers.into_iter())
        ));
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
    let item = format!(
        r#"[{{"Config":"{}","RepoTags":{},"Layers":[{}]}}]"#,
        image.config_digest(),
        image.repo_tags(),
        list(names)
    );
    tar.file("manifest.json", item.as_bytes()).end()
}

/// An `index.json` of these manifests, each with its media type and annotations.
pub fn index_of(manifests: &[(&[u8], &str, &str)]) -> Vec<u8> {
    let descriptor = |(content, kind, annotations): &(&[u8], &str, &str)| {
        format!(
            r#"{{"mediaType":"{kind}","digest":"{}","size":{},"annotations":{{{annotations}}}}}"#,
            sha256(content),
            content.len()
        )
    };
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.iter().map(descriptor).collect::<Vec<_>>().join(","))
        .into_bytes()
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

/// A packed chart of this name and version.
pub fn chart(name: &str, version: &str) -> Vec<u8> {
    let yaml = format!("apiVersion: v2\nname: {name}\nversion: {version}\ndescription: a chart\n");
    chart_files(&[(&format!("{name}/Chart.yaml"), yaml.as_bytes()), (&format!("{name}/values.yaml"), b"a: 1\n")])
}

pub fn chart_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let tar = files.iter().fold(Tarball::new(), |tar, (path, content)| tar.file(path, content));
    gzip(&tar.end())
}
