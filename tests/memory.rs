//! Memory use, counted by the allocator. This program has one test, because any other would be
//! counted as well.

#![cfg(not(any(loom, shuttle)))]

use job_registry::{JobRegistry, LookupError, ManualClock};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MILLION: usize = 1_000_000;
const PAYLOAD: usize = 100;
/// The documented memory of an empty slot, and the place for its payload.
const SLOT: usize = 112 + size_of::<Box<[u8]>>();
/// Upper bound for the test itself and its output.
const LITTLE: usize = 10_000;

/// P6, scenario 25: a million jobs with payloads, errors and pending removals are registered and
/// removed. The slots stay, as documented under Limitations, and a second million needs no more
/// memory.
#[test]
fn a_million_jobs_leave_their_slots_and_nothing_else() {
    let all = Region::new(ALLOCATOR);
    let clock = ManualClock::new();
    let jobs: JobRegistry<Box<[u8]>> = JobRegistry::builder()
        .capacity(MILLION)
        .clock(clock.clone())
        .retention(Duration::from_secs(1))
        .build();
    let held = || {
        let change = all.change();
        change.bytes_allocated - change.bytes_deallocated
    };
    let mut after = Vec::with_capacity(3);
    for _ in 0..3 {
        let mut last = None;
        for n in 0..MILLION {
            let job = jobs.register(Box::from([1; PAYLOAD])).unwrap();
            job.start().unwrap();
            if n % 2 == 0 {
                job.complete().unwrap();
            } else {
                job.fail("a reason that needs memory, too").unwrap();
            }
            last = Some(job.id());
        }
        assert!(jobs.register(Box::from([])).is_err(), "there is room");
        assert!(held() > MILLION * PAYLOAD, "payloads are not counted");
        clock.advance(Duration::from_secs(1));
        assert_eq!(jobs.sweep().removed, MILLION);
        assert_eq!(jobs.snapshot(last.unwrap()), Err(LookupError::Gone));
        assert!(jobs.is_empty());
        after.push(held());
    }
    assert!(after[0] < MILLION * SLOT, "{after:?}");
    assert!(after[2] < after[0] + LITTLE, "it grows: {after:?}");
    drop(jobs);
    assert!(held() < LITTLE, "{} bytes outlive the registry", held());
}
