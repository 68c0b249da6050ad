//! What do queries cost in a registry with ten thousand tags, and how long does opening it take?
//!
//! A recently read manifest comes from the cache; lists and blob links come from the metadata.

use std::hint::black_box;

use airdock_registry::oci::Digest;
use airdock_registry::{PutReference, Registry};
use criterion::{Criterion, criterion_group, criterion_main};
use testkit::manifest::about;
use testkit::registry::{
    add_blobs, add_manifest, as_digest, asked, bundle, by_tag, digest_of, image, name, open, put, tag,
};
use tokio::runtime::Runtime;

const REPOSITORIES: usize = 100;
const TAGS: usize = 100;

fn repository(at: usize) -> String {
    format!("bench/app-{at:03}")
}

/// Makes a hundred repositories with a hundred tags each, and a hundred signatures of one manifest; returns its digest.
async fn fill(registry: &Registry) -> Digest {
    let manifest = image(b"{}", &[], "");
    let digest = digest_of(&manifest);
    let mut release = registry.release(bundle());
    add_blobs(&mut release, &[b"{}"]);
    for repository in (0..REPOSITORIES).map(repository) {
        add_manifest(&mut release, &repository, &manifest);
        for at in 0..TAGS {
            release.add_tag(&name(&repository), tag(&format!("v{at}")), digest);
        }
    }
    release.commit().await.expect("the release commits");
    for at in 0..100 {
        let about = about(manifest.bytes()) + &format!(r#","annotations":{{"at":"{at}"}}"#);
        let signature = image(b"{}", &[], &about);
        put(registry, &repository(0), as_digest(&signature), signature).await.expect("it is whole");
    }
    digest
}

fn metadata(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written");
    let data = folder.path().join("data");
    let registry = runtime.block_on(open(&data));
    let subject = runtime.block_on(fill(&registry));

    let (asked, seven) = (asked(&repository(0)), by_tag("v7"));
    c.bench_function("manifest/by tag, read before", |b| {
        b.iter(|| runtime.block_on(registry.manifest(black_box(&asked), &seven)));
    });
    c.bench_function("tags/page of 100", |b| b.iter(|| runtime.block_on(registry.tags(black_box(&asked), None, 100))));
    c.bench_function("repositories/page of 100", |b| b.iter(|| runtime.block_on(registry.repositories(None, 100))));
    c.bench_function("referrers/100", |b| {
        b.iter(|| runtime.block_on(registry.referrers(black_box(&asked), &subject, &[], None)));
    });

    let mut at = 0;
    c.bench_function("put manifest, new tag", |b| {
        b.iter(|| {
            at += 1;
            let tag = PutReference::Tag(tag(&format!("pushed-{}", at % 1000)));
            runtime.block_on(put(&registry, &repository(1), tag, image(b"{}", &[], "")))
        });
    });

    runtime.block_on(registry.close()).expect("it closes");
    drop(registry);
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    group.bench_function("10,000 tags, to the first manifest and tag list", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let registry = open(&data).await;
                registry.manifest(&asked, &seven).await.expect("it is there");
                registry.tags(&asked, None, 100).await.expect("it is there");
                registry.close().await.expect("it closes");
            });
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = metadata
}
criterion_main!(benches);
