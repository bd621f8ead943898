//! Latency of one updater during an iteration over a million jobs.

use crate::Plan;
use crate::contest::{Random, median};
use crate::peer::{Payload, RUNNING, Record};
use crate::report::Report;
use job_registry::{JobId, JobRegistry, Progress};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const JOBS: usize = 1_000_000;
/// The longest permitted latency, for the rows of this crate alone.
const MILLISECOND: f64 = 1e6;
/// Number of buckets in the histogram, of ten nanoseconds each.
const BUCKETS: usize = 10_000;

/// Latencies of calls.
struct Waits {
    buckets: Vec<u64>,
    longest: u64,
}

impl Waits {
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

    /// The latency in nanoseconds that all but one of 10,000 calls stay below.
    fn rare(&self) -> f64 {
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

/// Runs `work` on its own thread, and repeats `step` here until it has ended.
fn beside(work: impl FnOnce() + Send, mut step: impl FnMut(u64)) -> Waits {
    let mut waits = Waits::new();
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
            waits.add(start.elapsed());
        }
    });
    waits
}

pub fn run(plan: &Plan, report: &mut Report) {
    if plan.wants("sweep") {
        sweeps(plan, report);
    }
    if plan.wants("scan") {
        scan(plan, report);
    }
    if plan.wants("pause") {
        pauses(plan, report);
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

/// A sweeper repeatedly sends a heartbeat to every job.
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
    let (mut longest, mut rare) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    let mut step = 0;
    for _ in 0..plan.effort.rounds {
        let beat_ours = || {
            for seen in registry.iter() {
                registry.heartbeat(seen.id()).expect("live");
            }
        };
        let beat_map = || map.iter_mut().for_each(|mut job| assert!(job.heartbeat()));
        let beat_locked = || {
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
            beside(beat_ours, |job| {
                advance(&registry, &ids, job, u64::from(next()) * 64);
            }),
            beside(beat_map, |job| {
                let mut job = map.get_mut(&(job % JOBS as u64)).expect("there");
                job.advance(next()).expect("live");
            }),
            beside(beat_locked, |job| {
                let mut jobs = locked.lock();
                let job = jobs.get_mut(&(job % JOBS as u64)).expect("there");
                job.advance(next()).expect("live");
            }),
        ];
        for (at, waits) in all.iter().enumerate() {
            longest[at].push(waits.longest as f64);
            rare[at].push(waits.rare());
        }
    }
    for (row, samples) in [("longest_in_sweep", longest), ("p9999_in_sweep", rare)] {
        let [ours, map, locked] = samples.map(median);
        let values = [
            ("ours", ours),
            ("dashmap_sip", map),
            ("parking_lot_map", locked),
        ];
        report.add(row, JOBS, 2, &values);
    }
}

/// Detects stalled jobs. The limit loads as many words and does nothing with them.
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

/// The longest latency of a concurrent step during a million registrations, removals and verdicts,
/// in the best round. Latency that the code causes is in every round. Latency that the machine
/// causes, such as preemption for some milliseconds, is not.
fn pauses(plan: &Plan, report: &mut Report) {
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
        let waits = beside(|| drop(running(&registry)), &mut one);
        longest[0].push(waits.longest as f64);
        clock.advance(Duration::from_secs(2));
        job.heartbeat().expect("live");
        let verdicts = || assert_eq!(registry.fail_stalled().len(), JOBS);
        longest[1].push(beside(verdicts, &mut one).longest as f64);
        clock.advance(Duration::from_secs(2));
        let sweep = || assert_eq!(registry.sweep().removed, JOBS);
        longest[2].push(beside(sweep, &mut one).longest as f64);
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
