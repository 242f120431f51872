//! Benchmarks of the codec inside one process, without files: four small cases.
//!
//! `cargo bench -p deltaglider-vcdiff --bench in_process [-- FILTER]`. Criterion compares each case
//! with the run before. `scripts/count-instructions` counts the instructions of the same cases.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod support;
use support::cases::{Case, NAMES};

fn small_cases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for name in NAMES {
        let case = Case::new(name);
        group.throughput(Throughput::Bytes(case.target_len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| case.run()));
    }
    group.finish();
}

criterion_group!(benches, small_cases);
criterion_main!(benches);
