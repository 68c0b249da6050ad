//! Ingest into a real registry on a real folder.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that unwraps says what it expects")]
#![allow(missing_docs, unreachable_pub, reason = "tests are sentences")]

mod bundles;
mod charts;
mod corpora;
mod devices;
mod dialects;
mod directories;
mod example;
mod hauls;
mod helm;
mod hostile_archives;
mod hostile_content;
mod large_layers;
mod late_referrers;
mod layouts;
mod left_over;
mod mounts;
mod naming;
mod others;
mod packing;
mod parts;
mod records;
mod resume;
mod same_result;
mod signatures;
mod signed;
mod storages;
mod streams;
