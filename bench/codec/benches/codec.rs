//! Ours and `eetf` on the same bytes. What a measured step makes, it also drops.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use trunkline_bench_codec::{Shape, shapes, visit, walk};
use trunkline_etf::{Limits, RawTerm, Term};

criterion_group! {
    name = codec;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(60))
        .nresamples(1_001)
        .without_plots();
    targets = all
}
criterion_main!(codec);

fn all(criterion: &mut Criterion) {
    for shape in shapes() {
        ours(criterion, &shape);
        eetf(criterion, &shape);
        copy(criterion, &shape);
    }
}

fn ours(criterion: &mut Criterion, shape: &Shape) {
    let limits = Limits::default();
    let bytes = Bytes::from(shape.bytes.clone());
    measure(criterion, "trunkline decode", shape, || {
        drop(black_box(
            Term::decode(black_box(&bytes), &limits).expect("a term"),
        ));
    });
    let raw = RawTerm::new(bytes.slice(1..));
    measure(criterion, "trunkline check", shape, || {
        black_box(black_box(&raw).walk(&limits).expect("a term"));
    });
    measure(criterion, "trunkline visit", shape, || {
        black_box(visit(black_box(&raw), &limits));
    });
    let checked = raw.walk(&limits).expect("a term");
    measure(criterion, "trunkline walk", shape, || {
        black_box(walk(black_box(checked)));
    });
    let term = Term::decode(&bytes, &limits).expect("a term");
    assert_eq!(term.to_vec(), shape.bytes, "{}", shape.name);
    let mut buffer = Vec::with_capacity(1 << 20);
    measure(criterion, "trunkline encode", shape, || {
        buffer.clear();
        black_box(&term).encode(black_box(&mut buffer));
    });
    measure(criterion, "trunkline vec", shape, || {
        drop(black_box(black_box(&term).to_vec()));
    });
}

fn eetf(criterion: &mut Criterion, shape: &Shape) {
    measure(criterion, "eetf decode", shape, || {
        drop(black_box(
            eetf::Term::decode(black_box(&*shape.bytes)).expect("a term"),
        ));
    });
    let term = eetf::Term::decode(&*shape.bytes).expect("a term");
    let mut buffer = Vec::with_capacity(1 << 20);
    measure(criterion, "eetf encode", shape, || {
        buffer.clear();
        let term = black_box(&term);
        term.encode(black_box(&mut buffer)).expect("bytes");
    });
    measure(criterion, "eetf vec", shape, || {
        // As ours begins.
        let mut out = Vec::with_capacity(128);
        black_box(&term).encode(&mut out).expect("bytes");
        drop(black_box(out));
    });
}

/// The floor: the same bytes, as memory is copied.
fn copy(criterion: &mut Criterion, shape: &Shape) {
    let mut buffer = Vec::with_capacity(1 << 20);
    measure(criterion, "copy encode", shape, || {
        buffer.clear();
        black_box(&mut buffer).extend_from_slice(black_box(&shape.bytes));
    });
    measure(criterion, "copy vec", shape, || {
        drop(black_box(black_box(&shape.bytes).clone()));
    });
}

fn measure(criterion: &mut Criterion, what: &str, shape: &Shape, mut work: impl FnMut()) {
    let mut group = criterion.benchmark_group(what);
    // Samples of the same length: a term of some milliseconds would have long ones otherwise.
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(shape.elements as u64));
    group.bench_function(BenchmarkId::from_parameter(shape.name), |bencher| {
        bencher.iter(&mut work);
    });
    group.finish();
}
