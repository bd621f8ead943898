//! Times of each public call alone, to detect regressions.
//!
//! `cargo bench --bench registry` runs them. Criterion compares with the last run, or with a saved
//! one by `-- --baseline NAME`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use job_registry::{Job, JobId, JobRegistry, Progress};
use std::hint::black_box;
use std::time::Duration;

type Payload = [u8; 16];

/// Returns a registry in which 1,000 other jobs run.
fn busy() -> JobRegistry<Payload> {
    let jobs = JobRegistry::builder()
        .stall_after(Duration::from_hours(1))
        .build();
    for _ in 0..1000 {
        let _ = running(&jobs).detach();
    }
    jobs
}

fn running(jobs: &JobRegistry<Payload>) -> Job<Payload> {
    let job = jobs.register([0; 16]).expect("room");
    job.start().expect("pending");
    job
}

fn ended(jobs: &JobRegistry<Payload>) -> JobId {
    let job = running(jobs);
    job.complete().expect("running");
    job.detach()
}

/// Measures calls that leave the job running.
fn steady(c: &mut Criterion) {
    let jobs = busy();
    let job = running(&jobs);
    let id = job.id();
    let mut group = c.benchmark_group("steady");
    let mut ppm = 0;
    let mut progress = move || {
        ppm = (ppm + 1) % 1_000_001;
        Progress::from_ppm(ppm).expect("in range")
    };
    group.bench_function("advance", |b| b.iter(|| jobs.advance(id, progress())));
    group.bench_function("advance by handle", |b| b.iter(|| job.advance(progress())));
    group.bench_function("heartbeat", |b| b.iter(|| jobs.heartbeat(id)));
    group.bench_function("snapshot", |b| b.iter(|| jobs.snapshot(id)));
    group.bench_function("snapshot by handle", |b| b.iter(|| job.snapshot()));
    group.bench_function("get", |b| b.iter(|| jobs.get(id)));
    group.bench_function("read", |b| {
        b.iter(|| jobs.read(id, |record| record.payload[0]));
    });
    group.bench_function("update", |b| {
        b.iter(|| jobs.update(id, |payload| payload[0] = payload[0].wrapping_add(1)));
    });
    group.bench_function("lock", |b| b.iter(|| drop(jobs.lock(id))));
    group.bench_function("try_lock", |b| b.iter(|| drop(jobs.try_lock(id))));
    group.bench_function("watch", |b| b.iter(|| drop(jobs.watch(id))));
    group.bench_function("id to text and back", |b| {
        b.iter(|| black_box(id).to_string().parse::<JobId>());
    });
    group.finish();
}

/// Measures calls that need a new job each time.
fn once(c: &mut Criterion) {
    let jobs = JobRegistry::builder()
        .retention(Duration::MAX)
        .capacity(10_000_000)
        .build();
    let mut group = c.benchmark_group("once");
    let cancel_and_remove = |id: JobId| {
        let _ = jobs.cancel(id);
        let _ = jobs.remove(id);
    };
    group.bench_function("register, start, complete, remove", |b| {
        b.iter(|| {
            let id = ended(&jobs);
            jobs.remove(id)
        });
    });
    group.bench_function("register, cancel, retry, cancel, remove", |b| {
        b.iter(|| {
            let id = jobs.register([0; 16]).expect("room").detach();
            jobs.cancel(id).expect("live");
            let retried = jobs.retry(id).expect("cancelled").detach();
            cancel_and_remove(retried);
        });
    });
    group.bench_function("register, fail, remove", |b| {
        b.iter(|| {
            let id = jobs.register([0; 16]).expect("room").detach();
            jobs.fail(id, "disk full").expect("live");
            jobs.remove(id)
        });
    });
    group.finish();
}

/// Measures calls that visit all jobs. The throughput is in jobs.
fn all(c: &mut Criterion) {
    let jobs = busy();
    let mut group = c.benchmark_group("all of 1000");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("iter", |b| {
        b.iter(|| jobs.iter().map(|seen| seen.version()).max());
    });
    group.bench_function("counts", |b| b.iter(|| jobs.counts()));
    group.bench_function("stalled", |b| b.iter(|| jobs.stalled()));
    let due = || {
        let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
        (0..1000).for_each(|_| {
            ended(&jobs);
        });
        std::thread::sleep(Duration::from_millis(2));
        jobs
    };
    group.bench_function("sweep", |b| {
        b.iter_batched(
            due,
            |jobs| assert_eq!(jobs.sweep().removed, 1000),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, steady, once, all);
criterion_main!(benches);
