//! Bundles served in place from a mounted medium, through the real binary.

mod medium;
mod pass;
mod served;
mod verify;

use std::path::{Path, PathBuf};

use crate::support::client::{Client, Request};
use crate::support::content::digest;
use crate::support::process::{Airdock, Builder};

/// The example bundle.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/zenml-air-gapped-bundle")
}

/// A server that mounts this path.
fn mounting(path: &Path) -> Builder {
    Airdock::builder().argument("--mount").argument(path)
}

/// Writes `disc/app.tar`: an archive as `docker save` before 25 writes it, of `app:v1` with these layers. Each layer is a
/// pair of the bytes stored in the archive and the bytes its digest is of.
fn save(folder: &Path, layers: &[(&[u8], &[u8])]) -> PathBuf {
    let diff_ids: Vec<_> = layers.iter().map(|(_, layer)| digest(layer)).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let disc = folder.join("disc");
    std::fs::create_dir_all(&disc).unwrap();
    let path = disc.join("app.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    };
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    for (name, (stored, _)) in names.iter().zip(layers) {
        append(name, stored);
    }
    append("config.json", config.to_string().as_bytes());
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": ["app:v1"], "Layers": names }]);
    append("manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap();
    path
}

/// The repositories that serve `app:v1` of such an archive.
const APP: &str = "/v2/docker.io/library/app";

fn blob(content: &[u8]) -> String {
    format!("{APP}/blobs/{}", digest(content))
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

/// Everything a client can pull: each tag's manifest with its media type, and every blob it refers to.
fn everything(client: &Client) -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut connection = client.connect();
    let catalog = connection.send(&get("/v2/_catalog?n=1000")).expect(200).json();
    for name in catalog["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
        let tags = connection.send(&get(&format!("/v2/{name}/tags/list"))).expect(200).json();
        for tag in tags["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()) {
            let served = connection.send(&get(&format!("/v2/{name}/manifests/{tag}"))).expect(200);
            assert_eq!(served.header("docker-content-digest"), Some(&*digest(&served.body)));
            let manifest = served.json();
            let kind = served.header("content-type").unwrap().to_owned();
            found.push((format!("{name}:{tag}"), kind, served.body));
            let layers = manifest["layers"].as_array().unwrap().iter();
            for descriptor in layers.chain([&manifest["config"]]) {
                let of = descriptor["digest"].as_str().unwrap();
                let target = format!("/v2/{name}/blobs/{of}");
                let served = connection.send(&get(&target)).expect(200);
                assert_eq!(digest(&served.body), of, "{name}:{tag}");
                let head = connection.send(&Request::new("HEAD", &target)).expect(200);
                assert_eq!(head.header("content-length"), Some(&*served.body.len().to_string()));
                found.push((format!("{name}@{of}"), String::new(), served.body));
            }
        }
    }
    found
}
