# The commands of a day's work. `just` lists them; CONTRIBUTING.md says more. CI runs `tests/run`, which is `just ci`.

_default:
    @just --list --unsorted

# Type-check everything: the fastest answer
check:
    cargo check --workspace --all-targets

# Format, then check what CI checks before it tests
lint:
    cargo fmt
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

# Run the tests whose names contain FILTER, in all crates: `just test releases`
test FILTER:
    cargo test --workspace {{ FILTER }}

# Run the tests of one crate: `just crate sync charts` (registry, sync, config)
crate NAME FILTER='':
    cargo test -p airdock-{{ NAME }} {{ FILTER }}

# Run the Helm tests: charts in bundles, and the classic Helm repository
helm:
    cargo test --test it charts

# Check rooms, arrows, circles, words and dependencies
architecture:
    cargo test -p airdock --test it architecture

# Run real clients against the real program: `just clients '*podman*'` (Debian 12, root)
clients PATTERN='*':
    tests/provision.sh
    cargo build --release
    tests/clients/run '{{ PATTERN }}'

# Compare with nginx and docker-registry, shortened: `just bench --only pulls`
bench *ARGS='--quick':
    cargo build --release
    benches/compare/run.py {{ ARGS }}

# Serve the example bundle on 127.0.0.1:5000: `just run --listen 127.0.0.1:5001`
run *ARGS:
    cargo run --release -- serve --bundle examples/zenml-air-gapped-bundle {{ ARGS }}

# Run everything that CI runs
ci:
    tests/run
