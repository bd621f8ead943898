//! Instruction counts of the hot calls, by callgrind, whose counts are repeatable.
//!
//! `cargo verify instructions` counts them. Each call is made [`CALLS`] times in a registry with
//! 1,000 other jobs. A manual clock keeps the time constant unless a benchmark advances it. A
//! benchmark fails if a call exceeds the count in its attribute by more than 3 %.

// The macro generates functions without `#[must_use]`.
#![allow(clippy::must_use_candidate)]

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use job_registry::{Job, JobId, JobRegistry, ManualClock, Progress};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

const CALLS: u32 = 100;

/// Returns a configuration that limits a call to this count of instructions.
fn takes(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions * u64::from(CALLS) * 103 / 100;
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, limit)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

type Jobs = JobRegistry<[u8; 16]>;

/// A registry of running jobs, one of which the benchmark uses.
struct Busy {
    jobs: Jobs,
    job: Job<[u8; 16]>,
    id: JobId,
    clock: ManualClock,
}

fn busy() -> Busy {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(Duration::from_mins(1))
        .retention(Duration::from_mins(1))
        .capacity(10_000)
        .build();
    for _ in 0..1000 {
        let _ = running(&jobs).detach();
    }
    let job = running(&jobs);
    let id = job.id();
    // The first call of a thread initializes its thread-locals, which is not counted.
    drop(jobs.lock(id).expect("free"));
    Busy {
        jobs,
        job,
        id,
        clock,
    }
}

fn running(jobs: &Jobs) -> Job<[u8; 16]> {
    let job = jobs.register([0; 16]).expect("room");
    job.start().expect("pending");
    job
}

fn progress(call: u32) -> Progress {
    Progress::from_ppm(call).expect("in range")
}

// Each benchmark returns its registry, so that the destructor is not counted.

#[library_benchmark(setup = busy, config = takes(61))]
fn advance(busy: Busy) -> Busy {
    for call in 1..=CALLS {
        assert!(busy.jobs.advance(busy.id, progress(call)).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(61))]
fn advance_by_handle(busy: Busy) -> Busy {
    for call in 1..=CALLS {
        assert!(busy.job.advance(progress(call)).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(152))]
fn heartbeat(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        busy.clock.advance(Duration::from_millis(1));
        assert!(busy.jobs.heartbeat(busy.id).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(70))]
fn snapshot(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        assert!(black_box(busy.jobs.snapshot(busy.id)).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(126))]
fn update(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        assert!(busy.jobs.update(busy.id, |payload| payload[0] += 1).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(348))]
fn get(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        assert!(black_box(busy.jobs.get(busy.id)).is_ok());
    }
    busy
}

#[library_benchmark(setup = busy, config = takes(144))]
fn lock(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        drop(busy.jobs.lock(busy.id));
    }
    busy
}

// Each call is a wait, an `advance` that wakes it, and the next poll.
#[library_benchmark(setup = busy, config = takes(760))]
fn wake(busy: Busy) -> Busy {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut watch = busy.job.watch().expect("registered");
    assert!(pin!(watch.changed()).poll(cx).is_ready());
    for call in 1..=CALLS {
        let mut changed = pin!(watch.changed());
        assert!(changed.as_mut().poll(cx).is_pending());
        assert!(busy.job.advance(progress(call)).is_ok());
        assert!(changed.as_mut().poll(cx).is_ready());
    }
    drop(watch);
    busy
}

#[library_benchmark(setup = busy, config = takes(1623))]
fn register_start_complete_remove(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        let job = running(&busy.jobs);
        assert!(job.complete().is_ok());
        assert!(busy.jobs.remove(job.detach()).is_ok());
    }
    busy
}

// Each call registers, starts and completes a job, which schedules its removal. One sweep removes
// all of them.
#[library_benchmark(setup = busy, config = takes(2375))]
fn complete_and_sweep(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        assert!(running(&busy.jobs).complete().is_ok());
    }
    busy.clock.advance(Duration::from_secs(61));
    assert_eq!(busy.jobs.sweep().removed, CALLS as usize);
    busy
}

// Each call counts 1,001 jobs.
#[library_benchmark(setup = busy, config = takes(25_600))]
fn counts(busy: Busy) -> Busy {
    for _ in 0..CALLS {
        assert_eq!(black_box(busy.jobs.counts()).running, 1001);
    }
    busy
}

library_benchmark_group!(
    name = calls,
    benchmarks = [
        advance,
        advance_by_handle,
        heartbeat,
        snapshot,
        update,
        get,
        lock,
        wake,
        register_start_complete_remove,
        complete_and_sweep,
        counts
    ]
);

main!(library_benchmark_groups = calls);
