//! Bundles and archives on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{index_of, layout, save_docker_20};
use crate::content::digest;
use crate::image::Image;

/// The example bundle of this repository, in the layout that ZenML Pro documents.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/zenml-air-gapped-bundle")
}

/// The example as one tar.
pub fn example_tar() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("zenml-air-gapped-bundle", example()).unwrap();
    archive.into_inner().unwrap()
}

/// Writes an archive as `docker save` before 25 writes it, of one image. Returns the config's digest.
pub fn save(path: &Path, tags: &[impl AsRef<str>], layers: &[&[u8]]) -> String {
    let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    let image = Image::of_layers(&tags, layers.iter().map(|layer| layer.to_vec()).collect());
    fs::write(path, save_docker_20(std::slice::from_ref(&image))).unwrap();
    digest(&image.config)
}

/// Writes an image layout of one manifest or index, which has this name, and of these blobs.
pub fn save_layout(path: &Path, name: &str, root: &str, blobs: &[&[u8]]) {
    let media_type = serde_json::from_str::<serde_json::Value>(root).unwrap()["mediaType"].clone();
    let name = format!(r#""io.containerd.image.name":"{name}""#);
    let index = index_of(&[(root.as_bytes(), media_type.as_str().unwrap(), &name)]);
    let blobs: Vec<_> = blobs.iter().copied().chain([root.as_bytes()]).collect();
    fs::write(path, layout("", &blobs, &index).end()).unwrap();
}
