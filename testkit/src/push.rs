//! The shortest ways to push over HTTP.

use crate::client::{Client, Request, Response};
use crate::content::digest;
use crate::manifest::image;

/// Pushes a blob in one request (end-4b); gives its digest.
pub fn push_blob(client: &Client, repository: &str, content: &[u8]) -> String {
    let digest = digest(content);
    let target = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    client.send(&Request::new("POST", &target).body(content)).expect(201);
    digest
}

/// Begins an upload (end-4a); gives its location.
pub fn start_upload(client: &Client, repository: &str) -> String {
    let target = format!("/v2/{repository}/blobs/uploads/");
    let started = client.send(&Request::new("POST", &target).body("")).expect(202);
    started.header("location").unwrap().to_owned()
}

/// Puts a manifest under a tag or digest, whatever the answer.
pub fn put_manifest(client: &Client, repository: &str, reference: &str, manifest: &str) -> Response {
    client.send(&Request::new("PUT", &format!("/v2/{repository}/manifests/{reference}")).body(manifest))
}

/// Pushes an image with its blobs under a tag; gives its manifest.
pub fn push_image(client: &Client, repository: &str, tag: &str, layers: &[&[u8]]) -> String {
    push_blob(client, repository, b"{}");
    for layer in layers {
        push_blob(client, repository, layer);
    }
    let manifest = image(layers, "");
    put_manifest(client, repository, tag, &manifest).expect(201);
    manifest
}
