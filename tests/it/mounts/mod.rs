//! Bundles served in place from a mounted medium, through the real binary.

mod hung;
mod medium;
mod pass;
mod served;
mod verify;

use std::path::{Path, PathBuf};

use testkit::archive::save_docker_20;
use testkit::client::Request;
use testkit::content::digest;
use testkit::image::Image;
use testkit::process::{Airdock, Builder};

/// A server that mounts this path.
fn mounting(path: &Path) -> Builder {
    Airdock::builder().argument("--mount").argument(path)
}

/// Writes `disc/app.tar`: an archive as `docker save` before 25 writes it, of `app:v1` with these layers. A layer is what
/// its pair's second says and is there as its first says.
fn save(folder: &Path, layers: &[(&[u8], &[u8])]) -> PathBuf {
    let mut image = Image::of_layers(&["app:v1"], layers.iter().map(|(_, layer)| layer.to_vec()).collect());
    image.layers = layers.iter().map(|(content, _)| content.to_vec()).collect();
    let disc = folder.join("disc");
    std::fs::create_dir_all(&disc).unwrap();
    let path = disc.join("app.tar");
    std::fs::write(&path, save_docker_20(&[image])).unwrap();
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
