//! Archives as `docker save` writes them, and image layouts, made of nothing but what a test says.

use std::fs::File;
use std::path::Path;

use super::content::digest;

/// Writes what `docker save` of Docker 24 writes. Returns the configuration's digest.
pub(crate) fn save(path: &Path, tags: &[String], layers: &[&[u8]]) -> String {
    let diff_ids: Vec<_> = layers.iter().map(digest).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let digest = digest(&config);
    let mut file = tar::Builder::new(File::create(path).unwrap());
    let mut layer_paths = Vec::new();
    for (layer, diff_id) in layers.iter().zip(&diff_ids) {
        let folder = diff_id.trim_start_matches("sha256:");
        append(&mut file, &format!("{folder}/VERSION"), b"1.0");
        append(&mut file, &format!("{folder}/layer.tar"), layer);
        layer_paths.push(format!("{folder}/layer.tar"));
    }
    let config_path = format!("{}.json", digest.trim_start_matches("sha256:"));
    append(&mut file, &config_path, &config);
    let manifest = serde_json::json!([{ "Config": config_path, "RepoTags": tags, "Layers": layer_paths }]);
    append(&mut file, "manifest.json", manifest.to_string().as_bytes());
    file.into_inner().unwrap();
    digest
}

/// Writes an image layout of one manifest or index, which bears `name`, and of these blobs.
pub(crate) fn layout(path: &Path, name: &str, root: &str, blobs: &[&[u8]]) {
    let media_type = serde_json::from_str::<serde_json::Value>(root).unwrap()["mediaType"].clone();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": media_type, "digest": digest(root), "size": root.len(),
            "annotations": { "io.containerd.image.name": name },
        }],
    });
    let mut file = tar::Builder::new(File::create(path).unwrap());
    append(&mut file, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    append(&mut file, "index.json", index.to_string().as_bytes());
    for blob in blobs.iter().chain([&root.as_bytes()]) {
        append(&mut file, &format!("blobs/sha256/{}", digest(blob).trim_start_matches("sha256:")), blob);
    }
    file.into_inner().unwrap();
}

/// Adds a file to a tar.
pub(crate) fn append(tar: &mut tar::Builder<impl std::io::Write>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, content).unwrap();
}
