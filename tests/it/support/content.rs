//! Content to push and the shortest ways to push it.

use airdock_registry::oci::{Algorithm, MediaType};

use super::client::{Client, Request, Response};

/// The sha256 digest of `content`, as text.
pub(crate) fn digest(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha256.digest(content.as_ref()).to_string()
}

/// The sha512 digest of `content`, as text.
pub(crate) fn sha512(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha512.digest(content.as_ref()).to_string()
}

/// Bytes no two places of which look alike.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(size)
    .collect()
}

/// Pushes a blob in one request (end-4b); gives its digest.
pub(crate) fn push_blob(client: &Client, repository: &str, content: &[u8]) -> String {
    let digest = digest(content);
    let target = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    client.send(&Request::new("POST", &target).body(content)).expect(201);
    digest
}

/// Begins an upload (end-4a); gives its location.
pub(crate) fn start_upload(client: &Client, repository: &str) -> String {
    let target = format!("/v2/{repository}/blobs/uploads/");
    let started = client.send(&Request::new("POST", &target).body("")).expect(202);
    started.header("location").unwrap().to_owned()
}

/// An image manifest of an empty config and some layers, with more fields before its end, such as `,"x":1`.
pub(crate) fn image(layers: &[&[u8]], more: &str) -> String {
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| {
            let (kind, digest, size) = (MediaType::IMAGE_LAYER_GZIP, digest(layer), layer.len());
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[{}]{more}}}"#,
        MediaType::IMAGE_MANIFEST,
        MediaType::EMPTY,
        digest("{}"),
        layers.join(",")
    )
}

/// An image index of some manifests.
pub(crate) fn index(manifests: &[&str]) -> String {
    let manifests: Vec<_> = manifests
        .iter()
        .map(|manifest| {
            let (kind, digest, size) = (MediaType::IMAGE_MANIFEST, digest(manifest), manifest.len());
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
        })
        .collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, MediaType::IMAGE_INDEX, manifests.join(","))
}

/// Puts a manifest under a tag or digest, whatever the answer.
pub(crate) fn put_manifest(client: &Client, repository: &str, reference: &str, manifest: &str) -> Response {
    client.send(&Request::new("PUT", &format!("/v2/{repository}/manifests/{reference}")).body(manifest))
}

/// Pushes an image with its blobs under a tag; gives its manifest.
pub(crate) fn push_image(client: &Client, repository: &str, tag: &str, layers: &[&[u8]]) -> String {
    push_blob(client, repository, b"{}");
    for layer in layers {
        push_blob(client, repository, layer);
    }
    let manifest = image(layers, "");
    put_manifest(client, repository, tag, &manifest).expect(201);
    manifest
}
