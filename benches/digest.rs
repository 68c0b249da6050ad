//! How fast does content hash, by algorithm and by piece size?
//!
//! All pieces come from one reused buffer, as in the store: up to the size of the CPU cache the hash is the limit, beyond
//! it the memory is.

use std::hint::black_box;

use airdock_registry::oci::{Algorithm, Digest};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Bytes hashed per iteration, at any piece size.
const TOTAL: usize = 16 << 20;

fn hash(c: &mut Criterion) {
    for algorithm in Algorithm::ALL {
        let mut group = c.benchmark_group(format!("hash/{algorithm}"));
        group.throughput(Throughput::Bytes(TOTAL as u64)).sample_size(20);
        for kib in [4, 64, 256, 1024, 16 * 1024] {
            let piece: Vec<u8> = (0..kib << 10).map(|at: usize| (at.wrapping_mul(0x9e37_79b9) >> 11) as u8).collect();
            group.bench_with_input(BenchmarkId::from_parameter(format!("{kib}KiB")), &piece, |b, piece| {
                b.iter(|| {
                    let mut hasher = algorithm.hasher();
                    for _ in 0..TOTAL / piece.len() {
                        hasher.update(black_box(piece));
                    }
                    hasher.finish()
                });
            });
        }
        group.finish();
    }
}

fn text(c: &mut Criterion) {
    let digest = Algorithm::Sha256.digest(b"airdock");
    let written = digest.to_string();
    c.bench_function("digest/parse", |b| b.iter(|| black_box(written.as_str()).parse::<Digest>()));
    c.bench_function("digest/write", |b| b.iter(|| black_box(&digest).to_string()));
}

criterion_group!(benches, hash, text);
criterion_main!(benches);
