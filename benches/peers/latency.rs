//! Latency of one updater during a concurrent operation on 1,000,000 jobs.

use crate::Plan;
use crate::contest::{Random, median};
use crate::peer::{Payload, RUNNING, Record};
use crate::report::Report;
use job_registry::{JobId, JobRegistry, Progress};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const JOBS: usize = 1_000_000;
/// Longest permitted latency in nanoseconds, for the rows of this crate alone.
const MILLISECOND: f64 = 1e6;
/// Number of buckets in the histogram. Each spans 10 ns.
const BUCKETS: usize = 10_000;

/// Histogram of the latencies of calls.
struct Latencies {
    buckets: Vec<u64>,
    longest: u64,
}

impl Latencies {
    fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            longest: 0,
        }
    }

    fn add(&mut self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        self.longest = self.longest.max(nanos);
        self.buckets[(nanos as usize / 10).min(BUCKETS - 1)] += 1;
    }

    /// Returns the 99.99th percentile in nanoseconds.
    fn p9999(&self) -> f64 {
        let all: u64 = self.buckets.iter().sum();
        let mut left = all / 10_000;
        for (bucket, count) in self.buckets.iter().enumerate().rev() {
            if *count > left {
                return if bucket == BUCKETS - 1 {
                    self.longest as f64
                } else {
                    bucket as f64 * 10.0
                };
            }
            left -= count;
        }
        0.0
    }
}

/// Runs `work` on another thread, and returns the latencies of `step`, which is repeated until
/// `work` ends.
fn measure_during(work: impl FnOnce() + Send, mut step: impl FnMut(u64)) -> Latencies {
    let mut latencies = Latencies::new();
    let is_over = &AtomicBool::new(false);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            work();
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) {
            let job = random.next();
            let start = Instant::now();
            step(job);
            latencies.add(start.elapsed());
        }
    });
    latencies
}

pub fn run(plan: &Plan, report: &mut Report) {
    if plan.wants("sweep") {
        sweeps(plan, report);
    }
    if plan.wants("scan") {
        scan(plan, report);
    }
    if plan.wants("pause") {
        bulk_calls(plan, report);
    }
}

fn running(registry: &JobRegistry<Payload>) -> Vec<JobId> {
    let register = |_| {
        let job = registry.register([0; 16]).expect("room");
        job.start().expect("pending");
        job.detach()
    };
    (0..JOBS).map(register).collect()
}

fn advance(registry: &JobRegistry<Payload>, ids: &[JobId], random: u64, step: u64) {
    let progress = Progress::from_ppm((step / 64 % 1_000_000) as u32).expect("in range");
    registry
        .advance(ids[random as usize % ids.len()], progress)
        .expect("live");
}

/// Measures the latency of `advance` while another thread records a heartbeat for every job.
fn sweeps(plan: &Plan, report: &mut Report) {
    let registry = JobRegistry::builder().capacity(JOBS).build();
    let ids = running(&registry);
    let map = dashmap::DashMap::<u64, Record>::with_capacity(JOBS);
    let locked = parking_lot::Mutex::new(std::collections::HashMap::with_capacity(JOBS));
    for id in 0..JOBS as u64 {
        let record = Record {
            status: RUNNING,
            ..Record::new()
        };
        map.insert(id, record.clone());
        locked.lock().insert(id, record);
    }
    let (mut longest, mut p9999) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    let mut step = 0;
    for _ in 0..plan.effort.rounds {
        let sweep_ours = || {
            for seen in registry.iter() {
                registry.heartbeat(seen.id()).expect("live");
            }
        };
        let sweep_map = || map.iter_mut().for_each(|mut job| assert!(job.heartbeat()));
        let sweep_locked = || {
            locked
                .lock()
                .values_mut()
                .for_each(|job| assert!(job.heartbeat()));
        };
        let mut next = || {
            step += 1;
            (step / 64 % 1_000_000) as u32
        };
        let all = [
            measure_during(sweep_ours, |job| {
                advance(&registry, &ids, job, u64::from(next()) * 64);
            }),
            measure_during(sweep_map, |job| {
                let mut job = map.get_mut(&(job % JOBS as u64)).expect("registered");
                job.advance(next()).expect("live");
            }),
            measure_during(sweep_locked, |job| {
                let mut jobs = locked.lock();
                let job = jobs.get_mut(&(job % JOBS as u64)).expect("registered");
                job.advance(next()).expect("live");
            }),
        ];
        for (at, latencies) in all.iter().enumerate() {
            longest[at].push(latencies.longest as f64);
            p9999[at].push(latencies.p9999());
        }
    }
    for (row, samples) in [("longest_in_sweep", longest), ("p9999_in_sweep", p9999)] {
        let [ours, map, locked] = samples.map(median);
        let values = [
            ("ours", ours),
            ("dashmap_sip", map),
            ("parking_lot_map", locked),
        ];
        report.add(row, JOBS, 2, &values);
    }
}

/// Measures the detection of stalled jobs. The limit loads three words per job from an array.
fn scan(plan: &Plan, report: &mut Report) {
    let builder = JobRegistry::builder().capacity(JOBS);
    let registry = builder.stall_after(Duration::from_hours(1)).build();
    running(&registry);
    let words: Vec<u64> = (0..3 * JOBS as u64).collect();
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..plan.effort.rounds {
        let start = Instant::now();
        assert!(registry.stalled().is_empty());
        ours.push(start.elapsed().as_nanos() as f64 / JOBS as f64);
        let start = Instant::now();
        let sum = words.iter().fold(0_u64, |sum, word| {
            sum.wrapping_add(std::hint::black_box(*word))
        });
        assert!(sum > 0);
        limit.push(start.elapsed().as_nanos() as f64 / JOBS as f64);
    }
    report.add(
        "scan",
        JOBS,
        1,
        &[("ours", median(ours)), ("limit", median(limit))],
    );
}

/// Measures the longest latency of a step during 1,000,000 registrations, verdicts and removals.
///
/// The best round counts. Latency caused by the code is in every round. Latency caused by the
/// machine, such as preemption, is not.
fn bulk_calls(plan: &Plan, report: &mut Report) {
    let clock = job_registry::ManualClock::new();
    let mut longest = [const { Vec::new() }; 3];
    for _ in 0..plan.effort.rounds.min(5) {
        let registry = JobRegistry::builder()
            .clock(clock.clone())
            .stall_after(Duration::from_secs(1))
            .retention(Duration::from_secs(1))
            .build();
        let job = registry.register([0; 16]).expect("room");
        job.start().expect("pending");
        let mut step = 0;
        let mut one = |_| {
            step += 1;
            job.heartbeat().expect("live");
            advance(&registry, &[job.id()], 0, step);
        };
        let latencies = measure_during(|| drop(running(&registry)), &mut one);
        longest[0].push(latencies.longest as f64);
        clock.advance(Duration::from_secs(2));
        job.heartbeat().expect("live");
        let verdicts = || assert_eq!(registry.fail_stalled().len(), JOBS);
        longest[1].push(measure_during(verdicts, &mut one).longest as f64);
        clock.advance(Duration::from_secs(2));
        let sweep = || assert_eq!(registry.sweep().removed, JOBS);
        longest[2].push(measure_during(sweep, &mut one).longest as f64);
    }
    for (row, samples) in [
        "pause_of_register",
        "pause_of_fail_stalled",
        "pause_of_sweep",
    ]
    .into_iter()
    .zip(longest)
    {
        report.add(
            row,
            JOBS,
            2,
            &[("ours", least(&samples)), ("one_millisecond", MILLISECOND)],
        );
    }
}

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}
