//! What do queries cost in a registry with ten thousand tags, and how long does opening it take?
//!
//! A recently read manifest comes from the cache; lists and blob links come from the metadata.

use std::hint::black_box;
use std::path::Path;

use airdock_registry::names::RequestedName;
use airdock_registry::oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName, Tag, TagOrDigest};
use airdock_registry::{Provenance, PutReference, Registry, Settings};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const REPOSITORIES: usize = 100;
const TAGS: usize = 100;

fn name(at: usize) -> RepositoryName {
    format!("bench/app-{at:03}").parse().expect("a legal name")
}

async fn open(data: &Path) -> Registry {
    let settings = Settings { data: data.to_owned(), ..Settings::default() };
    Registry::open(settings).await.expect("the folder opens")
}

fn descriptor(media_type: &str, content: &[u8]) -> String {
    let digest = Algorithm::Sha256.digest(content);
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, content.len())
}

fn image(config: &[u8], subject: &str) -> Manifest {
    let (kind, config) = (MediaType::IMAGE_MANIFEST, descriptor("application/vnd.oci.image.config.v1+json", config));
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{config},"layers":[]{subject}}}"#);
    Manifest::parse(text.into(), None).expect("a legal manifest")
}

/// Makes a hundred repositories with a hundred tags each, and a hundred signatures of one manifest; returns its digest.
async fn fill(registry: &Registry) -> Digest {
    let (config, by) = (b"{}", Provenance::Pushed { by: "bench".into() });
    let manifest = image(config, "");
    let digest = Algorithm::Sha256.digest(manifest.bytes());
    let mut release = registry.release(Provenance::Ingested { bundle: "bench".into(), release: None });
    let mut writer = release.writer().expect("the disk takes it");
    writer.write(config).expect("the disk takes it");
    writer.commit(None).expect("the disk takes it");
    for repository in (0..REPOSITORIES).map(name) {
        release.add_manifest(&repository, digest, manifest.clone());
        for tag in 0..TAGS {
            release.add_tag(&repository, format!("v{tag}").parse().expect("a legal tag"), digest);
        }
    }
    release.commit().await.expect("the release commits");
    let repository = registry.repository(name(0));
    for at in 0..100 {
        let subject = descriptor(MediaType::IMAGE_MANIFEST, manifest.bytes());
        let signature = image(config, &format!(r#","subject":{subject},"annotations":{{"at":"{at}"}}"#));
        let reference = PutReference::Digest(Algorithm::Sha256.digest(signature.bytes()), vec![]);
        repository.put_manifest(reference, signature, by.clone()).await.expect("it is whole");
    }
    digest
}

fn metadata(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written");
    let data = folder.path().join("data");
    let registry = runtime.block_on(open(&data));
    let subject = runtime.block_on(fill(&registry));

    let asked = RequestedName::bare(name(0));
    let tag = TagOrDigest::Tag("v7".parse::<Tag>().expect("a legal tag"));
    c.bench_function("manifest/by tag, read before", |b| {
        b.iter(|| runtime.block_on(registry.manifest(black_box(&asked), &tag)));
    });
    c.bench_function("tags/page of 100", |b| b.iter(|| runtime.block_on(registry.tags(black_box(&asked), None, 100))));
    c.bench_function("repositories/page of 100", |b| b.iter(|| runtime.block_on(registry.repositories(None, 100))));
    c.bench_function("referrers/100", |b| {
        b.iter(|| runtime.block_on(registry.referrers(black_box(&asked), &subject, &[], None)));
    });

    let repository = registry.repository(name(1));
    let (mut at, by) = (0, Provenance::Pushed { by: "bench".into() });
    c.bench_function("put manifest, new tag", |b| {
        b.iter(|| {
            at += 1;
            let tag = PutReference::Tag(format!("pushed-{}", at % 1000).parse().expect("a legal tag"));
            runtime.block_on(repository.put_manifest(tag, image(b"{}", ""), by.clone()))
        });
    });

    runtime.block_on(registry.close()).expect("it closes");
    drop((repository, registry));
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    group.bench_function("10,000 tags, to the first manifest and tag list", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let registry = open(&data).await;
                registry.manifest(&asked, &tag).await.expect("it is there");
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
