//! Images: configs, layers and their manifests, as tools save them and as registries have them.

use airdock_registry::oci::{Algorithm, Digest, MediaType};

use crate::content::{bytes, gzip};
use crate::manifest::{MANIFEST, about, descriptor, list, manifest};
use crate::tarball::Tarball;

/// A layer: a tar of one file.
pub fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    Tarball::new().file(name, content).end()
}

/// A config and its layers.
#[derive(Clone)]
pub struct Image {
    /// The config.
    pub config: Vec<u8>,
    /// The layers, uncompressed.
    pub layers: Vec<Vec<u8>>,
    /// The names an archive gives it.
    pub names: Vec<String>,
}

impl Image {
    /// An image of tar layers made from seeds: equal seeds, equal layers.
    pub fn new(names: &[&str], seeds: &[u64]) -> Self {
        Self::of_layers(names, seeds.iter().map(|seed| layer(&format!("f{seed}"), &bytes(*seed, 3000))).collect())
    }

    /// An image of these layers.
    pub fn of_layers(names: &[&str], layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<String> =
            layers.iter().map(|layer| format!("\"{}\"", Algorithm::Sha256.digest(layer))).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=<b>"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { config: config.into_bytes(), layers, names }
    }

    /// The digest of the config.
    pub fn config_digest(&self) -> Digest {
        Algorithm::Sha256.digest(&self.config)
    }

    /// The manifest Docker from 25 on writes, byte for byte.
    pub fn docker_manifest(&self) -> Vec<u8> {
        self.manifest_of(&self.layers, MediaType::IMAGE_LAYER)
    }

    /// The manifest of the config and of its layers in this form and media type.
    pub fn manifest_of(&self, layers: &[Vec<u8>], media_type: &str) -> Vec<u8> {
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(media_type, layer, "")).collect();
        manifest(&descriptor(MediaType::IMAGE_CONFIG, &self.config, ""), &layers, "").into_bytes()
    }
}

/// An image as a registry has it, with compressed layers.
pub struct Remote {
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// Its config and its layers.
    pub blobs: Vec<Vec<u8>>,
}

impl Remote {
    /// An image of one layer made from a seed, and a manifest that no tool here would write.
    pub fn new(seed: u64) -> Self {
        let mut image = Self::of(Image::new(&[], &[seed]));
        image.manifest.pop();
        image.manifest.extend(br#", "annotations": {"a": "b"} }"#);
        image
    }

    /// This image with its layers compressed.
    pub fn of(image: Image) -> Self {
        let packed: Vec<_> = image.layers.iter().map(|layer| gzip(layer)).collect();
        let manifest = image.manifest_of(&packed, MediaType::IMAGE_LAYER_GZIP);
        Self { manifest, blobs: std::iter::once(image.config).chain(packed).collect() }
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Algorithm::Sha256.digest(&self.manifest)
    }

    /// Everything it is made of, the manifest first.
    pub fn parts(&self) -> Vec<&[u8]> {
        std::iter::once(self.manifest.as_slice()).chain(self.blobs.iter().map(Vec::as_slice)).collect()
    }
}

/// An artifact that says what it is about, and has the empty config.
pub fn referrer(of: &Remote) -> Vec<u8> {
    let more = format!(r#","artifactType":"a/b"{}"#, about(&of.manifest));
    crate::manifest::image(&[], &more).into_bytes()
}

/// An image index of these, each with its platform.
pub fn image_index(children: &[(&Remote, &str)]) -> Vec<u8> {
    let child = |(remote, platform): &(&Remote, &str)| {
        let (os, architecture) = platform.split_once('/').unwrap();
        let platform = format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}"#);
        descriptor(MANIFEST, &remote.manifest, &platform)
    };
    list(&children.iter().map(child).collect::<Vec<_>>()).into_bytes()
}
