//! What does it cost to parse a request? Every request pays it.

use std::hint::black_box;

use airdock_registry::api::Endpoint;
use airdock_registry::names;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Method, Uri};

const DIGEST: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

fn parse(c: &mut Criterion) {
    let manifests = "/v2/zenml/zenml-pro-server/manifests";
    let requests = [
        ("check", Method::GET, "/v2/".to_owned()),
        ("manifest by tag", Method::GET, format!("{manifests}/0.93.2")),
        ("manifest by digest", Method::HEAD, format!("{manifests}/{DIGEST}")),
        ("manifest with ns", Method::GET, "/v2/zenmldocker/zenml/manifests/0.93.2?ns=docker.io".to_owned()),
        ("blob", Method::GET, format!("/v2/zenml/zenml-pro-server/blobs/{DIGEST}")),
        ("encoded name", Method::GET, format!("/v2/registry.example%3A5000/zenml/server/blobs/{DIGEST}")),
        ("upload with digest", Method::POST, format!("/v2/zenml/zenml/blobs/uploads/?digest={DIGEST}")),
        ("no endpoint", Method::GET, "/v2/zenml/zenml/nothing/here".to_owned()),
    ];
    let names = names::Settings::default();
    let mut group = c.benchmark_group("endpoint");
    for (name, method, uri) in requests {
        let uri: Uri = uri.parse().expect("a legal URI");
        group.bench_function(name, |b| b.iter(|| Endpoint::parse(black_box(&method), black_box(&uri), &names)));
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
