//! What a registry lists and serves, as a client sees it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Client, Request};
use crate::content::digest;

/// The tags of each repository, with their manifests' digests.
pub type Table = BTreeMap<String, BTreeMap<String, String>>;

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Every repository that is listed.
pub fn repositories(client: &Client) -> Vec<String> {
    texts(&client.get("/v2/_catalog?n=1000").expect(200).json()["repositories"])
}

/// The tags a repository lists; none if there is no such repository.
pub fn tags(client: &Client, repository: &str) -> Vec<String> {
    texts(&client.get(&format!("/v2/{repository}/tags/list")).json()["tags"])
}

/// The descriptors a repository lists about a manifest.
pub fn referrers(client: &Client, repository: &str, subject: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v2/{repository}/referrers/{subject}")).expect(200);
    answer.json()["manifests"].as_array().expect("a list, never null").clone()
}

/// Every tag of every repository, and where it points.
pub fn table(client: &Client) -> Table {
    let tagged = |repository: &str| {
        let points_at = |tag: String| {
            let head = client.head(&format!("/v2/{repository}/manifests/{tag}")).expect(200);
            (tag, head.header("docker-content-digest").unwrap().to_owned())
        };
        tags(client, repository).into_iter().map(points_at).collect()
    };
    repositories(client).into_iter().map(|repository| (repository.clone(), tagged(&repository))).collect()
}

/// Everything a client can pull by a tag: each tag's manifest with its type, and every blob it names.
pub fn everything(client: &Client) -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut connection = client.connect();
    for (name, tags) in table(client) {
        for (tag, expected) in tags {
            let path = format!("/v2/{name}/manifests/{tag}");
            let served = connection.send(&Request::new("GET", &path)).expect(200);
            assert_eq!(served.header("docker-content-digest"), Some(&*expected));
            assert_eq!(digest(&served.body), expected);
            let manifest = served.json();
            let kind = served.header("content-type").unwrap().to_owned();
            found.push((format!("{name}:{tag}"), kind, served.body));
            let layers = manifest["layers"].as_array().unwrap().iter();
            for descriptor in layers.chain([&manifest["config"]]) {
                let of = descriptor["digest"].as_str().unwrap();
                let target = format!("/v2/{name}/blobs/{of}");
                let served = connection.send(&Request::new("GET", &target)).expect(200);
                assert_eq!(digest(&served.body), of, "{name}:{tag}");
                let head = connection.send(&Request::new("HEAD", &target)).expect(200);
                assert_eq!(head.header("content-length"), Some(&*served.body.len().to_string()));
                found.push((format!("{name}@{of}"), String::new(), served.body));
            }
        }
    }
    found
}
