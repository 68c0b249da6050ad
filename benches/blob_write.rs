//! How fast is a blob stored, by upload and by ingest, and how does it depend on the piece size?
//!
//! A small blob costs mostly syncs (file, folder, link), a large one mostly hashing and writing. Each blob is new to the
//! store.

use std::cell::Cell;

use airdock_registry::oci::{Algorithm, Digest, RepositoryName};
use airdock_registry::{Provenance, Registry, Repository};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const LARGE: usize = 16 << 20;

/// Content that is different every time.
struct Contents {
    bytes: Vec<u8>,
    made: Cell<u64>,
}

impl Contents {
    fn new(size: usize) -> Self {
        Self { bytes: testkit::content::noise(size), made: Cell::new(0) }
    }

    fn next(&self) -> (Bytes, Digest) {
        self.made.set(self.made.get() + 1);
        let mut bytes = self.bytes.clone();
        bytes[..8].copy_from_slice(&self.made.get().to_le_bytes());
        let digest = Algorithm::Sha256.digest(&bytes);
        (bytes.into(), digest)
    }
}

/// A registry on the disk of the build: syncing a tmpfs would measure nothing.
fn registry(runtime: &Runtime) -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written");
    let registry = runtime.block_on(testkit::registry::open(&folder.path().join("data")));
    (folder, registry)
}

async fn upload(repository: &Repository, bytes: &Bytes, digest: Digest, piece: usize) {
    let mut upload = repository.start_upload(Algorithm::Sha256).await.expect("an upload starts");
    for at in (0..bytes.len()).step_by(piece) {
        let end = bytes.len().min(at + piece);
        upload.append(bytes.slice(at..end)).await.expect("the disk takes it");
    }
    upload.finish(digest).await.expect("it has its digest");
}

fn blob_write(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let name: RepositoryName = "bench/blob".parse().expect("a legal name");

    let (_folder, registry) = registry(&runtime);
    let repository = registry.repository(name);
    let small = Contents::new(4096);
    c.bench_function("upload/4KiB", |b| {
        b.iter_batched(
            || small.next(),
            |(bytes, digest)| runtime.block_on(upload(&repository, &bytes, digest, 4096)),
            BatchSize::PerIteration,
        );
    });

    let large = Contents::new(LARGE);
    let mut group = c.benchmark_group("blob/16MiB");
    group.throughput(Throughput::Bytes(LARGE as u64)).sample_size(10);
    for kib in [16, 64, 256, 1024] {
        group.bench_function(BenchmarkId::new("upload, pieces of KiB", kib), |b| {
            b.iter_batched(
                || large.next(),
                |(bytes, digest)| runtime.block_on(upload(&repository, &bytes, digest, kib << 10)),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("ingest, pieces of 256 KiB", |b| {
        b.iter_batched(
            || large.next(),
            |(bytes, digest)| {
                let mut release = registry.release(Provenance::Ingested { bundle: "bench".into(), release: None });
                let mut writer = release.writer().expect("the disk takes it");
                for piece in bytes.chunks(256 << 10) {
                    writer.write(piece).expect("the disk takes it");
                }
                writer.commit(Some(digest)).expect("it has its digest");
                runtime.block_on(release.commit()).expect("an empty release commits")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    // Short: at a gigabyte per second a longer run would fill the disk.
    config = Criterion::default()
        .measurement_time(std::time::Duration::from_secs(2))
        .warm_up_time(std::time::Duration::from_millis(300));
    targets = blob_write
}
criterion_main!(benches);
