//! Bytes and allocations of a job, a watch, a pending removal and a heartbeat, compared with peers.
//!
//! `cargo bench --bench memory` measures them. An instrumented allocator counts, so the numbers do
//! not depend on timing.

use job_registry::{JobId, JobRegistry};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio_util::time::DelayQueue;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Payload = [u8; 16];

/// A peer's record of a job, with the fields that a registry shows.
#[derive(Clone)]
#[expect(dead_code, reason = "kept for its size alone")]
struct Record {
    status: u8,
    progress: u32,
    heartbeat: Instant,
    registered: Instant,
    started: Option<Instant>,
    ended: Option<Instant>,
    error: Option<Box<str>>,
    payload: Payload,
}

fn record() -> Record {
    let now = Instant::now();
    Record {
        status: 1,
        progress: 0,
        heartbeat: now,
        registered: now,
        started: Some(now),
        ended: None,
        error: None,
        payload: [0; 16],
    }
}

/// Returns the bytes and allocations that `build` leaves for each job.
fn cost<T>(jobs: usize, build: impl FnOnce() -> T) -> ((f64, f64), T) {
    let region = Region::new(ALLOCATOR);
    let kept = build();
    let change = region.change();
    let each = |freed: usize, allocated: usize| (allocated as f64 - freed as f64) / jobs as f64;
    let bytes = each(change.bytes_deallocated, change.bytes_allocated);
    (
        (bytes, each(change.deallocations, change.allocations)),
        kept,
    )
}

/// Prints a row. `goal` is the maximum number of bytes.
fn print(row: &str, jobs: usize, name: &str, (bytes, allocations): (f64, f64), goal: Option<f64>) {
    let verdict = match goal {
        Some(goal) if bytes <= goal => format!("met: at most {goal}"),
        Some(goal) => format!("MISSED: at most {goal}"),
        None => String::new(),
    };
    println!(
        "{row:16} {jobs:>8} {name:14} {bytes:8.1} bytes {allocations:6.3} allocations  {verdict}"
    );
}

fn main() {
    println!("Cost per job, with a payload of 16 bytes.\n");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    for jobs in [100_000, 1_000_000] {
        live(jobs);
        watched(jobs);
        removals(jobs);
        heartbeats(jobs);
        after_a_spike(jobs);
        println!();
    }
}

fn registry() -> JobRegistry<Payload> {
    JobRegistry::builder()
        .capacity(2_000_000)
        .retention(Duration::MAX)
        .build()
}

fn run(registry: &JobRegistry<Payload>) -> JobId {
    let job = registry.register([0; 16]).expect("room");
    job.start().expect("pending");
    job.detach()
}

/// Measures a running job. The ids that callers keep are not counted.
fn live(jobs: usize) {
    let ours = || {
        let registry = registry();
        (0..jobs).for_each(|_| _ = black_box(run(&registry)));
        registry
    };
    print("live", jobs, "ours", cost(jobs, ours).0, Some(96.0 + 16.0));
    let guide = || {
        let name = |id: usize| format!("{id:016x}-{:019x}", !id);
        let map: HashMap<String, Record> = (0..jobs).map(|id| (name(id), record())).collect();
        tokio::sync::Mutex::new(map)
    };
    print("live", jobs, "guide", cost(jobs, guide).0, None);
    let map = || {
        (0..jobs as u64)
            .map(|id| (id, record()))
            .collect::<dashmap::DashMap<_, _>>()
    };
    print("live", jobs, "dashmap_sip", cost(jobs, map).0, None);
    let slots = || {
        let mut slots = slotmap::SlotMap::new();
        for _ in 0..jobs {
            slots.insert(record());
        }
        parking_lot::Mutex::new(slots)
    };
    print("live", jobs, "mutex_slotmap", cost(jobs, slots).0, None);
    let channel = |_| Arc::new(tokio::sync::watch::Sender::new(record()));
    let channels = || (0..jobs).map(channel).collect::<Vec<_>>();
    print("live", jobs, "tokio_watch", cost(jobs, channels).0, None);
}

/// Measures a watch in addition to its job, while a task waits for the next change.
fn watched(jobs: usize) {
    let cx = &mut Context::from_waker(Waker::noop());
    let registry = registry();
    let ids: Vec<_> = (0..jobs).map(|_| run(&registry)).collect();
    let mut waiting = Vec::with_capacity(jobs);
    let wait = || {
        for id in &ids {
            let mut watch = registry.watch(*id).expect("registered");
            let mut changed = Box::pin(async move {
                // The first item is the current state.
                watch.changed().await;
                watch.changed().await
            });
            assert!(changed.as_mut().poll(cx).is_pending());
            waiting.push(changed);
        }
    };
    let ((bytes, allocations), ()) = cost(jobs, wait);
    // The boxed future belongs to the waiting task, not to the registry.
    let own = waiting.first().map_or(0, |future| size_of_val(&**future)) as f64;
    print(
        "a watch",
        jobs,
        "ours",
        (bytes - own, allocations - 1.0),
        None,
    );
}

/// Measures a pending removal in addition to its ended job.
fn removals(jobs: usize) {
    let registry = registry();
    let ids: Vec<_> = (0..jobs).map(|_| run(&registry)).collect();
    for id in &ids {
        registry.complete(*id).expect("running");
    }
    // A multiplicative hash spreads the delays over 70 minutes.
    let delay =
        |i: usize| Duration::from_millis((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42);
    let ours = || {
        let ids = ids.iter().enumerate();
        ids.for_each(|(i, id)| registry.remove_after(*id, delay(i)).expect("registered"));
    };
    print(
        "pending removal",
        jobs,
        "ours",
        cost(jobs, ours).0,
        Some(16.0),
    );
    let queue = || {
        let mut queue = DelayQueue::new();
        for i in 0..jobs {
            queue.insert(i as u64, delay(i));
        }
        queue
    };
    print(
        "pending removal",
        jobs,
        "delay_queue",
        cost(jobs, queue).0,
        None,
    );
    let tasks = || {
        for i in 0..jobs {
            tokio::spawn(async move { tokio::time::sleep(delay(i)).await });
        }
    };
    print(
        "pending removal",
        jobs,
        "task_per_job",
        cost(jobs, tasks).0,
        None,
    );
}

/// Measures a periodic heartbeat in addition to its job.
fn heartbeats(jobs: usize) {
    let registry = registry();
    let ids: Vec<_> = (0..jobs).map(|_| run(&registry)).collect();
    let mut handles = Vec::with_capacity(jobs);
    let every = || {
        let heartbeat = |id: &JobId| {
            registry
                .heartbeat_every(*id, Duration::from_secs(10))
                .expect("registered")
        };
        handles.extend(ids.iter().map(heartbeat));
    };
    print("a heartbeat", jobs, "ours", cost(jobs, every).0, Some(32.0));
    let tasks = || {
        for _ in 0..jobs {
            tokio::spawn(async move {
                let mut interval = tokio::time::interval(Duration::from_secs(10));
                loop {
                    black_box(interval.tick().await);
                }
            });
        }
    };
    print(
        "a heartbeat",
        jobs,
        "task_per_job",
        cost(jobs, tasks).0,
        None,
    );
}

/// Measures the memory after all jobs have been removed. The registry keeps slots for later jobs.
fn after_a_spike(jobs: usize) {
    let spike = || {
        let registry = registry();
        let ids: Vec<_> = (0..jobs).map(|_| run(&registry)).collect();
        for id in ids {
            registry.complete(id).expect("running");
            registry.remove(id).expect("ended");
        }
        registry
    };
    print("after a spike", jobs, "ours", cost(jobs, spike).0, None);
}
